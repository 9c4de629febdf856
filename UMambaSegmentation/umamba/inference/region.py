"""Which part of an image a run looks at: a box in mm, or a box around a point."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image

# Centres that lie on the box's face count as inside in spite of rounding in origin + index * spacing.
FACE_TOLERANCE_MM = 1e-6


@dataclass(frozen=True)
class IndexBox:
    """A half-open box of voxel indices in array order (Z, Y, X).

    Attributes:
        start, stop: Per axis.
        inside: Mask of the box's shape where a tilted grid leaves voxels of the box outside the region,
            else None.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    inside: np.ndarray | None = None

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index expression."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def cut(self, image: Image) -> Image:
        """The image's voxels inside the box, as an image with a moved origin."""
        geometry = image.geometry
        first = np.array(self.start[::-1], dtype=np.float64)
        origin = np.zeros(3)
        origin[: geometry.axes] = geometry.origin
        moved = origin + geometry.matrix @ first
        size = tuple(b - a for a, b in zip(self.start, self.stop, strict=True))[::-1]
        cut_geometry = Geometry(
            size[: geometry.axes],
            geometry.spacing,
            tuple(float(value) for value in moved[: geometry.axes]),
            geometry.direction,
        )
        return image.with_data(image.data[self.slices], cut_geometry)


def box_from_roi(geometry: Geometry, roi: tuple[float, ...]) -> IndexBox:
    """The voxels whose centres lie in an axis-aligned box of physical space.

    Args:
        geometry: The image's grid.
        roi: X0, X1, Y0, Y1, Z0, Z1 in mm, LPS; each pair in either order.

    Raises:
        InputError: Not six finite numbers, or no voxel centre lies inside.
    """
    if len(roi) != 6 or not np.all(np.isfinite(roi)):
        raise InputError("roi: six finite numbers are wanted, X0,X1,Y0,Y1,Z0,Z1 in mm (LPS)")
    bounds = np.sort(np.asarray(roi, dtype=np.float64).reshape(3, 2), axis=1)
    low, high = bounds[:, 0] - FACE_TOLERANCE_MM, bounds[:, 1] + FACE_TOLERANCE_MM
    first, last = _candidates(geometry, low, high)
    inside = _inside_mask(geometry, low, high, first, last)
    if not inside.any():
        raise InputError(
            f"roi: no voxel of the image lies in the box; the image covers {_extent_text(geometry)} (LPS)"
        )
    spans = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(inside.any(axis=others))
        spans.append((int(hit[0]), int(hit[-1]) + 1))
    within = inside[tuple(slice(*span) for span in spans)]
    z0, y0, x0 = (begin + span[0] for begin, span in zip(first, spans, strict=True))
    z1, y1, x1 = (begin + span[1] for begin, span in zip(first, spans, strict=True))
    return IndexBox((z0, y0, x0), (z1, y1, x1), None if within.all() else within.copy())


def box_around(geometry: Geometry, point: tuple[float, ...], extent_mm: tuple[float, ...]) -> IndexBox:
    """A box of voxels around a point, along the image's own axes and clipped to the image.

    Args:
        geometry: The image's grid (already in the model's orientation).
        point: x, y, z in mm, LPS.
        extent_mm: Full lengths along i, j, k.

    Raises:
        InputError: Not three finite numbers, or the point lies outside the image.
    """
    if len(point) != 3 or not np.all(np.isfinite(point)):
        raise InputError("around: three finite numbers are wanted, X,Y,Z in mm (LPS)")
    origin = np.zeros(3)
    origin[: geometry.axes] = geometry.origin
    index = np.linalg.solve(geometry.matrix, np.asarray(point, dtype=np.float64) - origin)
    size = np.array(geometry.shape[::-1])
    if np.any(index < -0.5) or np.any(index > size - 0.5):
        raise InputError(
            f"around: the point lies outside the image, which covers {_extent_text(geometry)} (LPS)"
        )
    steps = np.linalg.norm(geometry.matrix, axis=0)
    half = np.asarray(extent_mm, dtype=np.float64) / (2 * steps)
    start = np.clip(np.ceil(index - half - FACE_TOLERANCE_MM), 0, size - 1).astype(int)
    stop = np.clip(np.floor(index + half + FACE_TOLERANCE_MM) + 1, start + 1, size).astype(int)
    x0, y0, z0 = (int(v) for v in start)
    x1, y1, z1 = (int(v) for v in stop)
    return IndexBox((z0, y0, x0), (z1, y1, x1))


def _candidates(
    geometry: Geometry, low: np.ndarray, high: np.ndarray
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Half-open range of indices (Z, Y, X) outside of which no centre lies within `low`..`high` (mm, LPS)."""
    axes = geometry.axes
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))))[:, :axes]
    size = np.array(geometry.size)
    index = np.linalg.solve(geometry.matrix[:axes, :axes], (corners - geometry.origin).T)
    if not np.isfinite(index).all():  # a box of astronomical size
        return (0, 0, 0), geometry.shape
    # One voxel more on each side is far beyond any rounding.
    first = np.clip(np.floor(index.min(axis=1)) - 1, 0, size).astype(int)
    last = np.clip(np.ceil(index.max(axis=1)) + 2, first, size).astype(int)
    flat = 3 - axes
    return (*[0] * flat, *map(int, first[::-1])), (*[1] * flat, *map(int, last[::-1]))


def _inside_mask(
    geometry: Geometry, low: np.ndarray, high: np.ndarray, first: tuple[int, ...], last: tuple[int, ...]
) -> np.ndarray:
    """Mask of the voxels in `first`..`last` (Z, Y, X) whose centres lie within `low`..`high` (mm, LPS)."""
    z, y, x = (np.arange(begin, end) for begin, end in zip(first, last, strict=True))
    matrix = geometry.matrix
    inside = np.ones((len(z), len(y), len(x)), dtype=bool)
    for axis in range(geometry.axes):
        in_row, in_column = matrix[axis, 0] * x, matrix[axis, 1] * y[:, None]
        for plane, k in zip(inside, z, strict=True):
            centre = geometry.origin[axis] + matrix[axis, 2] * k + in_column + in_row
            plane &= (centre >= low[axis]) & (centre <= high[axis])
    return inside


def _extent_text(geometry: Geometry) -> str:
    """The image's bounding box, such as "-90..90, -126..90, -72..108 mm"."""
    origin = np.zeros(3)
    origin[: geometry.axes] = geometry.origin
    last = np.array(geometry.shape[::-1]) - 1
    corners = np.array([[i, j, k] for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])])
    points = origin + corners @ geometry.matrix.T
    spans = zip(points.min(axis=0), points.max(axis=0), strict=True)
    return ", ".join(f"{low:.4g}..{high:.4g}" for low, high in spans) + " mm"
