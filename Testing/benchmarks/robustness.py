"""How a model bears images unlike its training's: a table of Dice (objects: F1 at IoU 0.5) under each change.

    python Testing/benchmarks/robustness.py MODEL IMAGES LABELS [--cases NAME ...] [--threads N]

IMAGES holds <case>_0000.nii.gz (or <case>.png), LABELS <case>.nii.gz (or <case>.tif with object numbers).
Every case is segmented as it is and after each change; a change of the grid is undone on the result, so that
all are held against the same reference. Prints a Markdown table of means over cases and labels.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

import umamba
from umamba.evaluation.objects import match

LEAST_IOU = 0.5
SEED = 3
COARSER = 2.0  # spacing along the last axis, times
Reading = Callable[[sitk.Image], sitk.Image]


@dataclass(frozen=True)
class Change:
    """One way to alter an image.

    Attributes:
        name: In words.
        alter: The image to one that is segmented instead.
        undo: The label map, on the altered image's grid, back to the original's.
        roi: Whether to segment the original's extent only.
        flat: Whether it also applies to a 2D image.
    """

    name: str
    alter: Reading
    undo: Callable[[sitk.Image, sitk.Image], sitk.Image] = lambda labels, image: labels
    roi: bool = False
    flat: bool = True


def _with_voxels(image: sitk.Image, change: Callable[[np.ndarray], np.ndarray]) -> sitk.Image:
    data = sitk.GetArrayFromImage(image)
    changed = change(data.astype(np.float64))
    if image.GetDimension() == 2:  # a picture stays one of 8 bits
        changed = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    else:
        changed = changed.astype(np.float32)
    result = sitk.GetImageFromArray(changed, isVector=image.GetNumberOfComponentsPerPixel() > 1)
    result.CopyInformation(image)
    return result


def _gamma(exponent: float) -> Reading:
    def change(data: np.ndarray) -> np.ndarray:
        low, high = data.min(), data.max()
        return low + (high - low) * ((data - low) / max(high - low, 1e-8)) ** exponent

    return lambda image: _with_voxels(image, change)


def _noise(share: float) -> Reading:
    def change(data: np.ndarray) -> np.ndarray:
        return data + np.random.default_rng(SEED).normal(0, share * data.std(), data.shape)

    return lambda image: _with_voxels(image, change)


def _like(labels: sitk.Image, image: sitk.Image) -> sitk.Image:
    return sitk.Resample(labels, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0, labels.GetPixelID())


def _reorient(letters: str) -> Reading:
    return lambda image: sitk.DICOMOrient(image, letters)


def _stored_mirrored(image: sitk.Image) -> sitk.Image:
    """The first axis stored the other way round, the grid told so."""
    return sitk.Flip(image, [True] + [False] * (image.GetDimension() - 1), False)


def _tilt(degrees: float) -> Reading:
    """The image on a grid turned within the plane: its content looks turned to a network."""

    def alter(image: sitk.Image) -> sitk.Image:
        flat = image.GetDimension() == 2
        centre = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
        turn = sitk.Euler2DTransform() if flat else sitk.Euler3DTransform()
        turn.SetCenter(centre)
        if flat:
            turn.SetAngle(np.deg2rad(degrees))
        else:
            turn.SetRotation(0, 0, float(np.deg2rad(degrees)))
        return sitk.Resample(
            image, image, turn, sitk.sitkLinear, float(sitk.GetArrayViewFromImage(image).min())
        )

    return alter


def _untilt(degrees: float) -> Callable[[sitk.Image, sitk.Image], sitk.Image]:
    def undo(labels: sitk.Image, image: sitk.Image) -> sitk.Image:
        flat = labels.GetDimension() == 2
        centre = labels.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in labels.GetSize()])
        turn = sitk.Euler2DTransform() if flat else sitk.Euler3DTransform()
        turn.SetCenter(centre)
        if flat:
            turn.SetAngle(np.deg2rad(-degrees))
        else:
            turn.SetRotation(0, 0, float(np.deg2rad(-degrees)))
        return sitk.Resample(labels, image, turn, sitk.sitkNearestNeighbor, 0, labels.GetPixelID())

    return undo


def _surround(image: sitk.Image) -> sitk.Image:
    """Half the image's size more on every side in the plane, its own mirror image."""
    margin = [n // 2 for n in image.GetSize()[:2]] + [0] * (image.GetDimension() - 2)
    return sitk.MirrorPad(image, margin, margin)


def _coarser(axis: int) -> Reading:
    def alter(image: sitk.Image) -> sitk.Image:
        spacing = list(image.GetSpacing())
        size = list(image.GetSize())
        size[axis] = max(1, round(size[axis] / COARSER))
        spacing[axis] *= image.GetSize()[axis] / size[axis]
        origin = list(image.GetOrigin())
        step = [0.0] * len(size)
        step[axis] = (image.GetSize()[axis] / size[axis] - 1) / 2
        origin = list(image.TransformContinuousIndexToPhysicalPoint(step))
        return sitk.Resample(
            image, size, sitk.Transform(), sitk.sitkLinear, origin, spacing, image.GetDirection(), 0.0
        )

    return alter


CHANGES = (
    Change("as it is", lambda image: image),
    Change("first axis stored the other way round", _stored_mirrored, _like),
    Change("axes stored as sagittal slices", _reorient("PSR"), _like, flat=False),
    Change("turned by 15 degrees in the plane", _tilt(15), _untilt(15)),
    Change(
        "intensities times 10, plus 1000",
        lambda image: _with_voxels(image, lambda data: 10 * data + 1000),
        flat=False,
    ),
    Change("gamma 0.6", _gamma(0.6)),
    Change("gamma 1.6", _gamma(1.6)),
    Change("noise of 10 % of the standard deviation", _noise(0.1)),
    Change("noise of 30 % of the standard deviation", _noise(0.3)),
    Change("first axis twice as coarse", _coarser(0), _like),
    Change("last axis twice as coarse", _coarser(2), _like, flat=False),
    Change("twice the field of view, mirrored surroundings", _surround, _like),
    Change("the same, with the original's extent as ROI", _surround, _like, roi=True, flat=False),
)


def extent(image: sitk.Image) -> tuple[float, ...]:
    """The box of the voxels' centres, X0, X1, Y0, Y1, Z0, Z1, mm, LPS."""
    size = image.GetSize()
    corners = [
        image.TransformContinuousIndexToPhysicalPoint(
            [float((n - 1) * end) for n, end in zip(size, ends, strict=True)]
        )
        for ends in np.ndindex(*[2] * len(size))
    ]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    return tuple(float(value) for pair in zip(low, high, strict=True) for value in pair)


def score(found: np.ndarray, wanted: np.ndarray, model: Any) -> float:
    """Mean Dice of the model's labels, or F1 of objects."""
    if model.card.instances:
        return float(match(wanted, found, LEAST_IOU).scores()["F1"] or 0.0)
    values = [label.value for label in model.card.labels]
    return statistics.fmean(
        2 * np.sum((found == v) & (wanted == v)) / max(1, np.sum(found == v) + np.sum(wanted == v))
        for v in values
    )


def run(change: Change, image: sitk.Image, wanted: np.ndarray, model: Any, threads: int) -> float:
    """Alter, segment, undo, score."""
    altered = change.alter(image)
    result = umamba.segment(altered, model, threads=threads, roi=extent(image) if change.roi else None)
    shape = sitk.GetArrayViewFromImage(altered).shape[: altered.GetDimension()]
    labels = sitk.GetImageFromArray(result.labels.reshape(shape))
    labels.CopyInformation(altered)
    return score(sitk.GetArrayFromImage(change.undo(labels, image)), wanted, model)


def cases(images: Path, labels: Path, names: Sequence[str]) -> list[tuple[Path, Path]]:
    """Image and reference of each case that has both."""
    pairs = []
    for image in sorted([*images.glob("*_0000.nii.gz"), *images.glob("*.png")]):
        name = image.name.removesuffix(".nii.gz").removesuffix(".png").removesuffix("_0000")
        reference = next((p for e in (".nii.gz", ".tif") if (p := labels / f"{name}{e}").exists()), None)
        if reference and (not names or name in names):
            pairs.append((image, reference))
    return pairs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    model = umamba.models.get(options.model)
    pairs = cases(options.images, options.labels, options.cases)
    measure = f"F1 at IoU {LEAST_IOU}" if model.card.instances else "Dice"
    print(f"{model.card.id}, {len(pairs)} cases\n")
    print(f"| change | mean {measure} | lowest case |\n| --- | --- | --- |")
    for change in CHANGES:
        scores = []
        for place, reference in pairs:
            image = sitk.ReadImage(str(place))
            if image.GetDimension() == 2 and not change.flat:
                continue
            wanted = sitk.GetArrayFromImage(sitk.ReadImage(str(reference)))
            scores.append(run(change, image, wanted, model, options.threads))
        if scores:
            print(f"| {change.name} | {statistics.fmean(scores):.3f} | {min(scores):.3f} |", flush=True)


if __name__ == "__main__":
    main()
