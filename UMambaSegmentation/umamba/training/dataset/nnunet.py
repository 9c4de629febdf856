"""nnU-Net's raw dataset: dataset.json with imagesTr/ and labelsTr/, or with a list of its cases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.plans import fields
from umamba.plans.jsonfile import load_json
from umamba.training.dataset.faults import raise_first
from umamba.training.dataset.raw import (
    DATASET_FILE,
    Case,
    RawDataset,
    channel_of,
    checked_case_names,
    checked_description,
    dataset_name,
    files_of,
)

COUNT = "numTraining"


def read_nnunet_folder(folder: Path) -> RawDataset:
    """Read dataset.json and find every case's files.

    Raises:
        InputError: dataset.json is missing or wrong, its number of cases is not that found, or a case lacks a
            file.
    """
    path = folder / DATASET_FILE
    if not path.is_file():
        raise InputError(
            f"{folder.name}: has imagesTr but no dataset.json; nnU-Net's format wants one that names "
            "channels, labels, numTraining and file_ending"
        )
    raw = load_json(path)
    description = checked_description(raw, DATASET_FILE)
    if COUNT not in raw:
        raise InputError(f"{DATASET_FILE}: {COUNT} missing; nnU-Net's dataset.json must have it")
    expected = fields.integer(raw[COUNT], f"{DATASET_FILE}: {COUNT}", 0, 10**9)
    if "dataset" in raw:
        cases = _listed(folder, fields.mapping(raw["dataset"], f"{DATASET_FILE}: dataset"))
    else:
        cases = _found(folder, description["file_ending"], len(description["channel_names"]))
    checked_case_names([case.name for case in cases], folder.name)
    if len(cases) != expected:
        raise InputError(
            f"{DATASET_FILE}: {COUNT} is {expected}, {len(cases)} cases were found; correct the number or "
            "add what is missing"
        )
    return RawDataset(dataset_name(folder), tuple(cases), description, folder)


def _listed(folder: Path, entries: Mapping[str, Any]) -> list[Case]:
    """The cases of the list "dataset"; paths are relative to the folder, variables in them are filled in."""
    cases, faults = [], []
    for name, entry in sorted(entries.items()):
        where = f"{DATASET_FILE}: dataset: {name}"
        known = fields.mapping(entry, where)
        images = [
            _path(folder, fields.text(image, f"{where}: images"))
            for image in fields.sequence(fields.required(known, "images", where), f"{where}: images")
        ]
        label = _path(folder, fields.text(fields.required(known, "label", where), f"{where}: label"))
        cases.append(Case(name, tuple(images), label))
        missing = [path.name for path in (*images, label) if not path.is_file()]
        if missing or not images:
            faults.append((name, f"{', '.join(missing) or 'its image'} is missing; correct dataset.json"))
    raise_first(faults)
    return cases


def _path(folder: Path, text: str) -> Path:
    return Path(os.path.abspath(folder / os.path.expandvars(text)))  # noqa: PTH100  (as nnU-Net does)


def _found(folder: Path, ending: str, channel_count: int) -> list[Case]:
    if not (folder / "labelsTr").is_dir():
        raise InputError(f"{folder.name}: has imagesTr but no labelsTr; put each case's label map there")
    labels = files_of(folder / "labelsTr", (ending,))
    images: dict[str, dict[int, Path]] = {}
    for stem, path in files_of(folder / "imagesTr", (ending,)).items():
        found = channel_of(stem)
        if found is None:
            raise InputError(
                f"{path.name}: images of nnU-Net end in their channel's number, _0000{ending} for the first; "
                "rename it"
            )
        images.setdefault(found[0], {})[found[1]] = path
    return match(images, labels, channel_count, ending)


def match(
    images: Mapping[str, Mapping[int, Path]], labels: Mapping[str, Path], channel_count: int, ending: str
) -> list[Case]:
    """Cases from the channels' files of each name and the label of each name, sorted.

    A single file may hold all channels (colours), so one file does where several channels are wanted and no
    case has more than one.

    Raises:
        InputError: A label, an image or a channel is missing, or there is a channel too many.
    """
    one_file = all(set(channels) == {0} for channels in images.values())
    wanted = {0} if one_file and ending in (".png", ".tif") else set(range(channel_count))
    cases, faults = [], []
    for name in sorted(images.keys() | labels.keys()):
        channels = images.get(name, {})
        if name not in labels:
            faults.append((name, "it has an image and no label; add the label or take the image away"))
        elif not channels:
            faults.append((name, "it has a label and no image; add the image or take the label away"))
        elif lacking := sorted(wanted - channels.keys()):
            faults.append(
                (name, f"channel {_number(lacking[0])} of {channel_count} is missing; add its file")
            )
        elif extra := sorted(channels.keys() - wanted):
            faults.append(
                (name, f"there is a channel {_number(extra[0])}, {channel_count} are wanted; take it away")
            )
        else:
            cases.append(Case(name, tuple(path for _, path in sorted(channels.items())), labels[name]))
    raise_first(faults)
    return cases


def _number(channel: int) -> str:
    return f"{channel:04d}"
