"""A plain folder with images/ and labels/, described as nnU-Net's dataset.json would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.events import Monitor
from umamba.imaging.files import suffix_of
from umamba.training.dataset.labels import find_description
from umamba.training.dataset.nnunet import match
from umamba.training.dataset.raw import (
    DATASET_FILE,
    ENDINGS,
    READABLE,
    Case,
    RawDataset,
    channel_of,
    checked_case_names,
    checked_description,
    dataset_name,
    files_of,
)

_COLOURS = ("R", "G", "B")


def read_plain_folder(
    folder: Path,
    labels: Mapping[str, int] | None,
    channels: Sequence[str] | None,
    monitor: Monitor | None,
    processes: int,
) -> RawDataset:
    """As `umamba.training.dataset.raw.open_dataset`, of a folder with images/ and labels/."""
    images, label_files = _images(folder / "images"), _files(folder / "labels", "label map")
    ending = _one_kind(images, folder / "images")
    if _group(_one_kind(label_files, folder / "labels")) != _group(ending):
        raise InputError(
            f"{folder.name}: images are {ending} and labels are not; nnU-Net reads both in one way: save the "
            f"labels as {ending} too"
        )
    by_case = _by_case(images, label_files)
    found, source = find_description(folder, labels)
    names = _channel_names(by_case, channels, found.get("channel_names"))
    cases = match(by_case, label_files, len(names), ending)
    checked_case_names([case.name for case in cases], folder.name)
    description = {**found, "channel_names": names, "file_ending": ending}
    if "labels" not in description:
        description["labels"] = _labels_found(cases, monitor, processes)
        source = "the values found in labels/"
    return RawDataset(dataset_name(folder), tuple(cases), checked_description(description, source), folder)


def _images(folder: Path) -> dict[str, Path]:
    return _files(folder, "image")


def _files(folder: Path, what: str) -> dict[str, Path]:
    found = files_of(folder, ENDINGS)
    if not found:
        raise InputError(
            f"{folder.name}: holds no {what}; known are {', '.join(ENDINGS)} (convert DICOM to NIfTI or NRRD "
            "first)"
        )
    return found


def _one_kind(files: Mapping[str, Path], folder: Path) -> str:
    endings = sorted({suffix_of(path) for path in files.values()})
    if len(endings) > 1:
        raise InputError(f"{folder.name}: holds {' and '.join(endings)} files; save all in one format")
    return endings[0]


def _group(ending: str) -> tuple[str, ...]:
    return next(group for group in READABLE if ending in group)


def _by_case(images: Mapping[str, Path], labels: Mapping[str, Path]) -> dict[str, dict[int, Path]]:
    """Files by case and channel. A name that a label has too is a case's, whatever number it ends in."""
    found: dict[str, dict[int, Path]] = {}
    for stem, path in images.items():
        numbered = channel_of(stem)
        if stem in labels or numbered is None:
            found.setdefault(stem, {})[0] = path
        else:
            found.setdefault(numbered[0], {})[numbered[1]] = path
    return found


def _channel_names(
    cases: Mapping[str, Mapping[int, Path]],
    given: Sequence[str] | None,
    described: Any,  # noqa: ANN401
) -> dict[str, str]:
    """Names by number, as dataset.json has them; without names given, by what the first image holds."""
    count = _channel_count(list(cases.values()))
    if given is None and described is not None:
        if not isinstance(described, Mapping):
            raise InputError(
                f'{DATASET_FILE}: channel_names: {{"0": "CT"}} is wanted, with a number and a name for each '
                f"channel; found {str(described)[:80]}; correct it"
            )
        return dict(described)
    if given is None:
        given = ("image",) if count == 1 else _COLOURS if count == len(_COLOURS) else ()
        given = given or tuple(f"image{number}" for number in range(count))
    if len(given) != count:
        raise InputError(
            f"{len(given)} channels are named ({', '.join(given)}), the images have {count}; name each once"
        )
    return {str(number): name for number, name in enumerate(given)}


def _channel_count(cases: Sequence[Mapping[int, Path]]) -> int:
    """Files of a case; where each has one, the colours of the first."""
    from umamba.imaging.read import read_image

    most = max(len(files) for files in cases)
    if most > 1:
        return most
    return len(read_image(next(iter(cases[0].values())), voxels=False))


def _labels_found(cases: Sequence[Case], monitor: Monitor | None, processes: int) -> dict[str, int]:
    from umamba.training.dataset.check import values_of_labels

    values = values_of_labels(cases, monitor or Monitor(), processes)
    found = sorted(values - {0})
    if not found:
        raise InputError("labels: no label map holds anything but background; there is nothing to learn")
    if found != list(range(1, len(found) + 1)):
        gap = next(number for number, value in enumerate(found, start=1) if value != number)
        raise InputError(
            f"labels: the values {some([str(value) for value in (0, *found)])} were found; nnU-Net needs 0, "
            f"1, 2, ... without a gap: renumber the label maps ({found[gap - 1]} becomes {gap})"
        )
    return {"background": 0, **{f"label_{value}": value for value in found}}
