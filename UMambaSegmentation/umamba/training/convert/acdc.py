"""ACDC as its challenge publishes it: NIfTI files in a folder for each patient.

Bernard et al., "Deep Learning Techniques for Automatic MRI Cardiac Multi-structures Segmentation and
Diagnosis: Is the Problem Solved?", IEEE TMI 37 (2018). Values of the label maps: 1 right ventricle (cavity),
2 myocardium, 3 left ventricle (cavity).
"""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.imaging.files import atomic_write
from umamba.imaging.read import read_image
from umamba.training.convert.cases import TEST, TRAIN, PublishedCase, PublishedDataset
from umamba.training.convert.lists import demand_lists
from umamba.training.convert.slices import ACDC_LABELS, ACDC_LISTS, patient_of
from umamba.training.dataset.check import check_case
from umamba.training.dataset.raw import Case

NAME = "acdc"
_PATIENT = re.compile(r"patient\d+")
_FRAME = re.compile(r"(patient\d+_frame(\d+))(_gt)?\.nii(?:\.gz)?")
_PHASE = re.compile(r"^\s*(ED|ES)\s*:\s*(\d+)\s*$", re.MULTILINE)
_INFO = "Info.cfg"
_MOST_INFO_BYTES = 10_000  # the published ones have about 60
_COMPRESSION_LEVEL = 6


@dataclass(frozen=True)
class NiftiCase:
    """A frame and its label map, which keep their bytes and with them their grid.

    Attributes:
        name: For errors.
        image, label: .nii.gz or .nii; test frames may have no label map.
    """

    name: str
    image: Path
    label: Path | None

    @property
    def labelled(self) -> bool:
        """Whether there is a label map."""
        return self.label is not None

    def write(self, image: Path, label: Path, values: frozenset[int]) -> None:
        """Copy what can be read, and is a pair where there are two, as `CaseFiles.write`."""
        if self.label is not None:
            fault = check_case(Case(self.name, (self.image,), self.label), 1, values).fault
            if fault is not None:
                raise InputError(f"case {self.name}: {fault}")
            _copy(self.label, label)
        else:
            read_image(self.image)
        _copy(self.image, image)


def _copy(source: Path, target: Path) -> None:
    """The same bytes, packed where they were not."""
    with source.open("rb") as read, atomic_write(target) as hidden, hidden.open("wb") as write:
        if source.suffix == ".gz":
            shutil.copyfileobj(read, write)
            return
        with gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, write, mtime=0) as packed:
            shutil.copyfileobj(read, packed)


def read_challenge(source: Path, lists: Path | None) -> PublishedDataset:
    """Find the frames of all patients.

    Args:
        source: The folder with training/ and testing/ (perhaps below database/), or one with the patients'.
        lists: Folder with train.list, val.list and test.list, which split the patients of the training
            folder by the beginnings of their names; None: all of these are trained on.

    Raises:
        InputError: Not this layout; a frame without label map, a phase without frame; a list that names a
            patient who is not there, or none that names one who is.
    """
    training, testing = _folders(source)
    cases = [case for patient in training for case in _frames(patient, TRAIN)]
    if lists is not None:
        cases = _split(cases, lists)
    cases.extend(case for patient in testing for case in _frames(patient, TEST))
    description = "ACDC, end diastole and end systole, as published by the challenge"
    return PublishedDataset("Dataset501_ACDC", description, "MRI", ACDC_LABELS, cases)


def _folders(source: Path) -> tuple[list[Path], list[Path]]:
    """The patients' folders to train on, and to test on."""
    for base in (source, source / "database"):
        if training := _patients(base / "training"):
            return training, _patients(base / "testing")
    if training := _patients(source):
        return training, []
    raise InputError(
        f"{source.name}: is not laid out as {NAME}; training/patientNNN/patientNNN_frameNN.nii.gz were "
        "looked for"
    )


def _patients(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and _PATIENT.fullmatch(path.name))


def _frames(folder: Path, part: str) -> Iterator[PublishedCase]:
    """The annotated frames of a patient; the whole sequence, patientNNN_4d, is passed over."""
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    numbers = set()
    for path in sorted(folder.iterdir()):
        if path.is_file() and (frame := _FRAME.fullmatch(path.name)):
            (labels if frame[3] else images)[frame[1]] = path
            numbers.add(int(frame[2]))
    for phase, number in _phases(folder / _INFO):
        if number not in numbers:
            raise InputError(
                f"{folder.name}: {_INFO} names frame {number} ({phase}), whose files are not there; copy them"
            )
    lacking = labels.keys() - images.keys() if part == TEST else labels.keys() ^ images.keys()
    if lacking:
        name = min(lacking)
        what = "label map" if name in images else "image"
        raise InputError(f"{name}: has no {what}; copy its files again")
    if not images:
        raise InputError(f"{folder.name}: holds no {folder.name}_frameNN.nii.gz; copy its files again")
    for name, image in images.items():
        yield PublishedCase(name, patient_of(name), part, NiftiCase(name, image, labels.get(name)))


def _phases(path: Path) -> list[tuple[str, int]]:
    """Phases and numbers of their frames, as far as they are told."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        text = file.read(_MOST_INFO_BYTES).decode("utf-8", "replace")
    return [(phase, int(number)) for phase, number in _PHASE.findall(text)]


def _split(cases: list[PublishedCase], lists: Path) -> list[PublishedCase]:
    """Give every patient the part that the lists give; they number frames otherwise than the challenge."""
    there = {case.patient for case in cases}
    parts: dict[str, str] = {}
    for part, entries in demand_lists(lists, ACDC_LISTS).items():
        patients = list(dict.fromkeys(patient_of(name) for name in entries.names))
        if missing := [patient for patient in patients if patient not in there]:
            raise InputError(f"{entries.file}: names {some(missing)}, who are not there; correct the list")
        for patient in patients:
            if parts.setdefault(patient, part) != part:
                raise InputError(f"{entries.file}: {patient} is in another list too; leave it in one")
    if left := sorted(there - parts.keys()):
        raise InputError(f"{lists.name}: no list names {some(left)}; add them to one")
    return [PublishedCase(case.name, case.patient, parts[case.patient], case.files) for case in cases]
