"""Published datasets of 2D networks: volumes and slices as arrays, with lists of who is trained on.

ACDC as SSL4MIS and Mamba-UNet prepare it, Synapse (BTCV) as TransUNet does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.training.convert.arrays import ArrayCase
from umamba.training.convert.cases import TEST, TRAIN, VALIDATION, PublishedCase, PublishedDataset
from umamba.training.convert.lists import PartList, demand_lists, read_lists

Spacing = tuple[float, float, float]
_SLICE = re.compile(r"(.+)_slice_?(\d+)")


@dataclass(frozen=True)
class ArrayLayout:
    """Where such a dataset keeps its files, and what they are.

    Attributes:
        name: As the command line calls it.
        dataset, description, channel, labels: As `PublishedDataset`.
        volumes, slices: Folder and ending of the files.
        lists: Names of the lists, by part.
        list_folders: Where they lie, seen from the dataset's folder.
        unlisted: The part of a case without slices where there are no lists.
        spacing: Along x, y, z in mm: what the published test code writes into its results.
        square: As `ArrayCase`.
    """

    name: str
    dataset: str
    description: str
    channel: str
    labels: Mapping[str, int]
    volumes: tuple[str, str]
    slices: tuple[str, str]
    lists: Mapping[str, Sequence[str]]
    list_folders: tuple[str, ...]
    unlisted: str
    spacing: Spacing
    square: bool = False


ACDC_LABELS = {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3}
# The slices of train_slices.list are those of the volumes of train.list; either list does.
ACDC_LISTS = {
    TRAIN: ("train.list", "train_slices.list"),
    VALIDATION: ("val.list",),
    TEST: ("test.list",),
}
ACDC_ARRAYS = ArrayLayout(
    name="acdc-h5",
    dataset="Dataset502_ACDCh5",
    description="ACDC, end diastole and end systole, as prepared by SSL4MIS: each volume scaled to 0..1",
    channel="MRI",
    labels=ACDC_LABELS,
    volumes=("data", ".h5"),
    slices=("data/slices", ".h5"),
    lists=ACDC_LISTS,
    list_folders=(".",),
    unlisted=TRAIN,
    spacing=(1.0, 1.0, 10.0),
)
SYNAPSE = ArrayLayout(
    name="synapse",
    dataset="Dataset503_Synapse",
    description="Synapse abdomen CT (BTCV), as prepared by TransUNet: -125 to 275 HU scaled to 0..1",
    channel="CT",
    labels={
        "background": 0,
        "aorta": 1,
        "gallbladder": 2,
        "left kidney": 3,
        "right kidney": 4,
        "liver": 5,
        "pancreas": 6,
        "spleen": 7,
        "stomach": 8,
    },
    volumes=("test_vol_h5", ".npy.h5"),
    slices=("train_npz", ".npz"),
    lists={TRAIN: ("train.txt", "train_slices.txt"), VALIDATION: ("val.txt",), TEST: ("test_vol.txt",)},
    list_folders=(".", "lists/lists_Synapse"),
    unlisted=TEST,
    spacing=(1.0, 1.0, 1.0),
    square=True,
)


@dataclass(frozen=True)
class _Found:
    """Files by case: whole volumes, and slices by their numbers."""

    volumes: Mapping[str, Path]
    slices: Mapping[str, Mapping[int, Path]]

    @property
    def names(self) -> set[str]:
        return {*self.volumes, *self.slices}


def read_arrays(
    layout: ArrayLayout, source: Path, lists: Path | None, spacing: Spacing | None
) -> PublishedDataset:
    """Find the cases of a dataset of arrays; none is read.

    Args:
        layout: Which one.
        source: Its folder.
        lists: Folder of the lists; None: where the layout has them. Without any the folders say what is
            trained on.
        spacing: Along x, y, z in mm, in place of the layout's.

    Raises:
        InputError: Not this layout; a list that names what is not there.
    """
    found = _find(layout, source)
    parts, notes = _parts(layout, source, lists, found)
    chosen = spacing or layout.spacing
    if spacing is None:
        size = " x ".join(f"{length:g}" for length in chosen)
        notes = (
            *notes,
            f"the files have no voxel size: {size} mm (x, y, z) is written for all cases, which is not the "
            "true one; --spacing gives another",
        )
    cases = []
    for name, part in sorted(parts.items()):
        made = _cases(layout, found, name, part, chosen)
        if len(made) > 1:
            notes = (*notes, f"{name}: slices are missing between others, each of its {len(made)} is a case")
        cases.extend(made)
    return PublishedDataset(layout.dataset, layout.description, layout.channel, layout.labels, cases, notes)


def patient_of(name: str) -> str:
    """ "patient001" of "patient001_frame02", "case0005" of "case0005_slice012"."""
    return name.split("_")[0]


def _find(layout: ArrayLayout, source: Path) -> _Found:
    slices: dict[str, dict[int, Path]] = {}
    for stem, path in _files(source, layout.slices).items():
        if numbered := _SLICE.fullmatch(stem):
            of_case = slices.setdefault(numbered[1], {})
            other = of_case.setdefault(int(numbered[2]), path)
            if other is not path:
                raise InputError(f"{other.name} and {path.name} are one slice; leave one")
    found = _Found(_files(source, layout.volumes), slices)
    if not found.names:
        wanted = " or ".join(f"{folder}/*{ending}" for folder, ending in (layout.volumes, layout.slices))
        raise InputError(f"{source.name}: is not laid out as {layout.name}; {wanted} were looked for")
    return found


def _files(source: Path, place: tuple[str, str]) -> dict[str, Path]:
    folder, ending = source / place[0], place[1]
    if not folder.is_dir():
        return {}
    paths = [path for path in sorted(folder.iterdir()) if path.name.endswith(ending) and path.is_file()]
    return {path.name.removesuffix(ending): path for path in paths if not path.name.startswith(".")}


def _parts(
    layout: ArrayLayout, source: Path, lists: Path | None, found: _Found
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The part of each case, and what must be told of the choice."""
    listed: Mapping[str, PartList]
    if lists is not None:
        listed = demand_lists(lists, layout.lists)
    else:
        places = (read_lists(source / place, layout.lists) for place in layout.list_folders)
        listed = next((lists for lists in places if lists), {})
    if not listed:
        parts = {name: TRAIN if name in found.slices else layout.unlisted for name in found.names}
        names = ", ".join(file for files in layout.lists.values() for file in files)
        return parts, (f"there are no lists ({names}): the folders alone say what is trained on",)
    parts = {}
    for part, entries in listed.items():
        for case in _listed_cases(entries, found):
            if parts.setdefault(case, part) != part:
                raise InputError(f"{entries.file}: {case} is in another list too; leave it in one")
    left = sorted(found.names - parts.keys())
    return parts, (f"{len(left)} cases are in no list and were left out: {some(left)}",) if left else ()


def _listed_cases(entries: PartList, found: _Found) -> list[str]:
    """The cases that a list of cases or of slices names, each once.

    Raises:
        InputError: One is not there.
    """
    cases: list[str] = []
    missing: list[str] = []
    for name in entries.names:
        numbered = _SLICE.fullmatch(name)
        case = numbered[1] if numbered else name
        there = case in found.names
        if numbered and case not in found.volumes:
            there = int(numbered[2]) in found.slices.get(case, {})
        (cases if there else missing).append(case if there else name)
    if missing:
        raise InputError(
            f"{entries.file}: names {some(missing)}, whose files are not there; copy them, or correct the "
            "list"
        )
    return list(dict.fromkeys(cases))


def _cases(layout: ArrayLayout, found: _Found, name: str, part: str, spacing: Spacing) -> list[PublishedCase]:
    """One case of a whole volume, or of slices without a gap; else a case of each slice."""
    patient = patient_of(name)
    if name in found.volumes:
        whole = ArrayCase((found.volumes[name],), False, spacing, layout.square)
        return [PublishedCase(name, patient, part, whole)]
    slices = sorted(found.slices[name].items())
    numbers = [number for number, _ in slices]
    if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return [PublishedCase(name, patient, part, ArrayCase(tuple(p for _, p in slices), True, spacing))]
    ending = layout.slices[1]
    return [
        PublishedCase(path.name.removesuffix(ending), patient, part, ArrayCase((path,), True, spacing))
        for _, path in slices
    ]
