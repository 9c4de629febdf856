"""Every image and label of a dataset, read once and held against what nnU-Net needs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.evaluation.workers import run_all
from umamba.events import Monitor
from umamba.imaging.files import suffix_of
from umamba.imaging.image import Geometry, Image
from umamba.imaging.read import read_image
from umamba.plans import parse_dataset
from umamba.training.dataset.faults import raise_first
from umamba.training.dataset.raw import NATURAL_ENDINGS, Case, RawDataset
from umamba.training.words import by

STAGE = "check"
# Relative, as nnU-Net compares the spacings of image and label.
SAME_SPACING = 1e-5
# Of a voxel. Corners farther apart lie on two grids; as near as the evaluation wants them.
SAME_PLACE = 0.1
_LARGEST_VALUE = 65_535


@dataclass(frozen=True)
class Finding:
    """What one case gave: its first fault, or the values of its label map."""

    fault: str | None = None
    values: frozenset[int] = frozenset()


def check_dataset(raw: RawDataset, monitor: Monitor | None = None, processes: int = 1) -> tuple[str, ...]:
    """Read all cases and refuse a dataset that cannot be trained on.

    Args:
        raw: The dataset.
        monitor: Is told of each case in the stage "check", and may cancel.
        processes: Processes to read with; with 1 all is done in this one.

    Returns:
        Warnings: declared labels that no case has.

    Raises:
        InputError: Images or labels that cannot be read, lie on different grids, hold NaN, fractions or
            undeclared values, or the wrong number of channels; no label but the background. The first faulty
            case is named, the others are counted.
    """
    rules = parse_dataset(raw.description).labels
    declared = frozenset({0, *rules.values, *(() if rules.ignore is None else (rules.ignore,))})
    tasks = [(case, raw.channel_count, declared) for case in raw.cases]
    findings = _find(check_case, tasks, monitor or Monitor(), processes)
    _raise_faults(raw.cases, findings)
    values = frozenset().union(*(finding.values for finding in findings))
    if not values & set(rules.values):
        raise InputError("no label map holds anything but background; there is nothing to learn")
    absent = [
        name
        for name, value in rules.names.items()
        if name not in ("background", "ignore") and not values & set(_as_tuple(value))
    ]
    return (f"no case has the label {some(absent)}",) if absent else ()


def values_of_labels(cases: Sequence[Case], monitor: Monitor, processes: int) -> frozenset[int]:
    """All values of all label maps.

    Raises:
        InputError: A label map cannot be read or holds something else than whole numbers from 0.
    """
    findings = _find(_values, [(case.label,) for case in cases], monitor, processes)
    _raise_faults(cases, findings)
    return frozenset().union(*(finding.values for finding in findings))


def _raise_faults(cases: Sequence[Case], findings: Sequence[Finding]) -> None:
    both = zip(cases, findings, strict=True)
    raise_first([(case.name, finding.fault) for case, finding in both if finding.fault is not None])


def _find(
    function: Callable[..., Finding], tasks: Sequence[tuple[Any, ...]], monitor: Monitor, processes: int
) -> list[Finding]:
    findings = [Finding()] * len(tasks)
    monitor.step(STAGE, 0, len(tasks))
    for done, (number, finding) in enumerate(run_all(function, tasks, processes, monitor.check), start=1):
        findings[number] = finding
        monitor.step(STAGE, done, len(tasks))
    return findings


def check_case(case: Case, channel_count: int, declared: frozenset[int]) -> Finding:
    """Read one case; faults are returned, not raised, so that the others can be counted."""
    try:
        images = _read_images(case, channel_count)
        label = _read_label(case.label)
        for image in images:
            _compare(images[0].geometry, image.geometry, "channel " + image.files[0])
        _compare(images[0].geometry, label.geometry, "label " + label.files[0])
        values = _whole_values(label.data, label.files[0])
    except InputError as error:
        return Finding(str(error))
    undeclared = sorted(values - declared)
    if undeclared:
        return Finding(
            f"{label.files[0]} holds the value{'s' if len(undeclared) > 1 else ''} "
            f"{some([str(value) for value in undeclared])}, declared are "
            f"{some([str(value) for value in sorted(declared)])}; declare it or correct the label map"
        )
    return Finding(values=values)


def _values(path: Path) -> Finding:
    try:
        return Finding(values=_whole_values(_read_label(path).data, path.name))
    except InputError as error:
        return Finding(str(error))


def _read_images(case: Case, channel_count: int) -> list[Image]:
    images: list[Image] = []
    for path in case.images:
        found = read_image(path, voxels=False)
        if suffix_of(path) in NATURAL_ENDINGS:
            _check_natural(path, found)
        elif suffix_of(path) == ".nii" and found[0].geometry.axes == 2:
            raise InputError(
                f"{path.name}: is flat, and nnU-Net reads flat NIfTI packed only; save as .nii.gz"
            )
        elif len(found) > 1:
            raise InputError(
                f"{path.name}: holds {len(found)} channels; save each as a file of its own, _0000, _0001, ..."
            )
        images.extend(found)
    if len(images) != channel_count:
        raise InputError(
            f"its images hold {len(images)} channels in all, {channel_count} wanted; save all cases alike, "
            "or correct the names of the channels"
        )
    for image in images:
        if image.data.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in image.data):
            raise InputError(
                f"{image.files[0]}: holds NaN or infinite values; replace them by what they mean (often 0)"
            )
    return images


def _check_natural(path: Path, images: Sequence[Image]) -> None:
    """Refuse a picture that nnU-Net's reader, which trains, sees in another way than this engine's.

    Raises:
        InputError: Transparency, stacks of pages, and whatever else differs.
    """
    if images[0].geometry.axes != 2:
        raise InputError(f"{path.name}: is a stack of pages without voxel sizes; save it as .nii.gz or .nrrd")
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    try:
        theirs = NaturalImage2DIO().read_images([str(path)])[0]
    except Exception as error:
        raise InputError(f"{path.name}: nnU-Net cannot read it ({error}); save it again") from error
    ours = np.stack([image.data for image in images])
    if theirs.shape != ours.shape or not np.array_equal(theirs, ours.astype(np.float32)):
        raise InputError(
            f"{path.name}: nnU-Net reads other values ({len(theirs)} channels) than a segmentation will see; "
            "save it as grey or RGB of 8 bits, without transparency or palette"
        )


def _read_label(path: Path) -> Image:
    images = read_image(path, voxels=False)
    if len(images) > 1:
        raise InputError(
            f"{path.name}: holds {len(images)} channels (colours); a label map has one: save it as grey "
            "values, 0 for the background"
        )
    if suffix_of(path) in NATURAL_ENDINGS:
        _check_natural(path, images)
    return images[0]


def _compare(first: Geometry, other: Geometry, what: str) -> None:
    """Refuse another grid than the first channel's.

    Raises:
        InputError: Size, spacing or place differ.
    """
    if other.size != first.size:
        raise InputError(
            f"{what} has {by(other.size)} voxels, its image {by(first.size)}; resample it to the image's grid"
        )
    if not np.allclose(other.spacing, first.spacing, rtol=SAME_SPACING, atol=0):
        raise InputError(
            f"{what} has spacing {by(other.spacing)} mm, its image {by(first.spacing)} mm; resample it to "
            "the image's grid"
        )
    corners = [_place(first, corner) - _place(other, corner) for corner in _corners(first)]
    apart = max(float(np.abs(corner).max()) for corner in corners)
    if apart > SAME_PLACE * min(first.spacing):
        raise InputError(
            f"{what} lies elsewhere than its image, up to {apart:.3g} mm apart (origin or direction differ); "
            "resample it to the image's grid, or give it the image's header if they belong voxel to voxel"
        )


def _corners(geometry: Geometry) -> list[tuple[int, ...]]:
    ends = [(0, size - 1) for size in (*geometry.size, 1)[:3]]
    return list(itertools.product(*ends))


def _place(geometry: Geometry, index: Sequence[int]) -> np.ndarray:
    origin = np.zeros(3)
    origin[: geometry.axes] = geometry.origin
    return np.asarray(geometry.matrix @ np.asarray(index, dtype=np.float64) + origin)


def _whole_values(data: np.ndarray, name: str) -> frozenset[int]:
    """The values of a label map (Z, Y, X).

    Raises:
        InputError: NaN, fractions, negative or huge numbers.
    """
    values: set[int] = set()
    for plane in data:
        if plane.dtype.kind == "f":
            odd = plane[~(np.isfinite(plane) & (plane == np.rint(plane)))]
            if odd.size:
                raise InputError(
                    f"{name} holds the value {odd[0]:g}; labels are whole numbers: save the label map "
                    "itself, without interpolation"
                )
        low, high = plane.min(), plane.max()
        if low < 0 or high > _LARGEST_VALUE:
            raise InputError(
                f"{name} holds the value {low if low < 0 else high:g}; labels run from 0 to {_LARGEST_VALUE}"
            )
        values.update(np.flatnonzero(np.bincount(plane.astype(np.uint16).ravel())).tolist())
    return frozenset(values)


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else value
