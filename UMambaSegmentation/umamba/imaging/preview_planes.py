"""The planes of a preview: which show the labels, how they are turned, how grey values are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from umamba.imaging.image import Image
from umamba.imaging.orientation import to_orientation

# Columns run to the patient's left, rows to the back, slices upwards.
RADIOLOGICAL = "LPS"
# Soft tissue as radiologists set it: level 40 HU, width 400 HU.
CT_WINDOW_HU = (-160.0, 240.0)
# A window that leaves less than this share of the pixels between black and white does not fit the image
# (a CT stored with an offset, say).
LEAST_IN_WINDOW = 0.05
# Elsewhere the darkest and brightest percent are cut off: one bright vessel must not darken the rest.
PERCENTILES = (1.0, 99.0)
# The plane through the centre of mass is left for the fullest one when it shows less than this share of
# its labels: between two hippocampi there is none.
LEAST_OF_FULLEST = 0.5


@dataclass(frozen=True)
class Plane:
    """One plane, turned for display: row 0 at the top, column 0 at the left.

    Attributes:
        name: "axial", "coronal", "sagittal", or "" for a 2D image.
        grey: (H, W) or, for a colour image, (H, W, 3), in the image's own numbers.
        labels: (H, W), the label values.
        size_mm: Height and width.
        marks: What lies to the left, right, top and bottom ("R", "L", "A", "P"), empty for a 2D image.
    """

    name: str
    grey: np.ndarray
    labels: np.ndarray
    size_mm: tuple[float, float]
    marks: tuple[str, ...] = ()


def select_planes(channels: Sequence[Image], labels: np.ndarray) -> list[Plane]:
    """The planes to draw: three of a volume, one of a 2D image.

    Args:
        channels: One image, or the three channels of a colour image.
        labels: (Z, Y, X) on the same grid.

    A volume's planes are those of its grid nearest to axial, coronal and sagittal, in radiological
    convention: the patient's right is on the left, as if seen from the feet; the front is at the top of the
    axial and at the left of the sagittal plane. Planes one voxel high are left out where others remain.
    """
    geometry = channels[0].geometry
    if geometry.axes == 2:
        spacing = np.abs(geometry.spacing)
        size = (labels.shape[1] * spacing[1], labels.shape[2] * spacing[0])
        grey = [channel.data[0] for channel in channels]
        return [Plane("", np.stack(grey, axis=-1) if len(grey) > 1 else grey[0], labels[0], size)]
    oriented, undo = to_orientation(channels[0], RADIOLOGICAL)
    image, turned = oriented.data, undo.forward(labels)
    z, y, x = (_best_index(counts) for counts in _count_along_axes(turned))
    dz, dy, dx = oriented.geometry.spacing_zyx
    rows, columns, depth = turned.shape[1] * dy, turned.shape[2] * dx, turned.shape[0] * dz
    planes = [
        Plane("axial", image[z], turned[z], (rows, columns), ("R", "L", "A", "P")),
        Plane("coronal", image[::-1, y], turned[::-1, y], (depth, columns), ("R", "L", "S", "I")),
        Plane("sagittal", image[::-1, :, x], turned[::-1, :, x], (depth, rows), ("A", "P", "S", "I")),
    ]
    thick = [plane for plane in planes if min(plane.labels.shape) > 1]
    return thick or planes


def to_bytes(planes: Sequence[Plane], ct: bool) -> list[np.ndarray]:
    """The planes' grey values as uint8, one window for all; what is not finite becomes black.

    Args:
        planes: What to show.
        ct: Whether the numbers are Hounsfield units.
    """
    shown = np.concatenate([plane.grey.ravel() for plane in planes]).astype(np.float64)
    shown = shown[np.isfinite(shown)]
    low, high = _window(shown, ct)
    pictures = []
    for plane in planes:
        grey = np.nan_to_num(plane.grey.astype(np.float64), nan=low, posinf=high, neginf=low)
        pictures.append((np.clip((grey - low) / (high - low), 0, 1) * 255).round().astype(np.uint8))
    return pictures


def _window(values: np.ndarray, ct: bool) -> tuple[float, float]:
    """Black and white, different from each other whatever the values (none, constant)."""
    if not len(values):
        return 0.0, 1.0
    if ct:
        low, high = CT_WINDOW_HU
        if np.mean((values > low) & (values < high)) >= LEAST_IN_WINDOW:
            return low, high
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 1.0, low + 1.0)


def _count_along_axes(labels: np.ndarray) -> list[np.ndarray]:
    """Labelled voxels in each plane along each of the three axes, one slice in memory at a time."""
    counts = [np.zeros(length, dtype=np.int64) for length in labels.shape]
    for index, plane in enumerate(labels):
        labelled = plane > 0
        counts[0][index] = np.count_nonzero(labelled)
        counts[1] += np.count_nonzero(labelled, axis=1)
        counts[2] += np.count_nonzero(labelled, axis=0)
    return counts


def _best_index(counts: np.ndarray) -> int:
    """The plane through the labels' centre of mass, or a fuller one; the middle where nothing is labelled."""
    if not counts.any():
        return len(counts) // 2
    centre = round(float(np.average(np.arange(len(counts)), weights=counts)))
    fullest = int(counts.argmax())
    return centre if counts[centre] >= LEAST_OF_FULLEST * counts[fullest] else fullest
