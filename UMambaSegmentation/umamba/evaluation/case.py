"""One case in memory: two label maps on one grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from umamba.errors import InputError
from umamba.evaluation.labels import SEGMENTATION, Label, translation
from umamba.evaluation.pairs import Pair
from umamba.evaluation.segment_names import read_segments
from umamba.imaging.files import suffix_of
from umamba.imaging.image import Geometry, Image
from umamba.imaging.read import read_image

# Of a voxel. Grids whose corners lie closer are one grid, whatever their formats rounded.
SAME_PLACE = 0.1
LARGEST_LABEL = 4_294_967_295
MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class LabelMaps:
    """Reference and prediction of one case.

    Attributes:
        reference, prediction: (Z, Y, X), one unsigned integer type; Z is 1 for a flat image.
        spacing: (z, y, x), in `unit`.
        unit: "mm", or "px" for PNG and TIFF, which have no spacing.
        voxel_ml: Volume of a voxel, or None for a flat image.
        warnings: What the readers found odd.
    """

    reference: np.ndarray
    prediction: np.ndarray
    spacing: tuple[float, float, float]
    unit: str
    voxel_ml: float | None
    warnings: tuple[str, ...]

    @property
    def is_flat(self) -> bool:
        """Whether there is one slice only, so that surfaces are lines."""
        return len(self.reference) == 1

    def without(self, ignored: int | None) -> tuple[LabelMaps, int]:
        """The same with 0 where the reference has the value `ignored`, and how many voxels are left."""
        if ignored is None:
            return self, self.reference.size
        left_out = self.reference == ignored
        cut = replace(
            self,
            reference=np.where(left_out, 0, self.reference),
            prediction=np.where(left_out, 0, self.prediction),
        )
        return cut, self.reference.size - int(left_out.sum())


def load(pair: Pair, labels: Sequence[Label] | None) -> LabelMaps:
    """Read both files of a case; segments of .seg.nrrd files get the values of the labels called like them.

    Raises:
        InputError: Naming the case: a file cannot be read, is no label map, or lies on another grid.
    """
    try:
        reference, prediction = (_read(path) for path in (pair.reference, pair.prediction))
        _check_grids(reference.geometry, prediction.geometry)
        maps = []
        for path, image in ((pair.reference, reference), (pair.prediction, prediction)):
            values = _whole_numbers(image.data, path.name)
            if suffix_of(path) == SEGMENTATION and labels is not None:
                values = _translated(values, translation(read_segments(path), labels))
            maps.append(values)
    except InputError as error:
        raise InputError(f"case {pair.name}: {error}") from error
    kind = np.result_type(*maps)
    geometry = reference.geometry
    flat_file = reference.source == "natural" and geometry.axes == 2
    spacing = tuple(abs(value) for value in geometry.spacing[::-1])
    return LabelMaps(
        reference=maps[0].astype(kind, copy=False),
        prediction=maps[1].astype(kind, copy=False),
        spacing=spacing if len(spacing) == 3 else (1.0, *spacing),  # type: ignore[arg-type]
        unit="px" if flat_file else "mm",
        voxel_ml=None if geometry.axes == 2 else math.prod(spacing) / MM3_PER_ML,
        warnings=(*reference.warnings, *prediction.warnings),
    )


def _read(path: Path) -> Image:
    """The one channel of a label map; three equal colours are one."""
    images = read_image(path, voxels=False)
    first = images[0]
    if any(not np.array_equal(first.data, other.data) for other in images[1:]):
        raise InputError(
            f"{path.name}: holds {len(images)} channels (colours); a label map has one: save it as grey "
            "values, 0 for the background"
        )
    return first


def _whole_numbers(data: np.ndarray, name: str) -> np.ndarray:
    """The labels in the smallest unsigned type that holds them.

    Raises:
        InputError: Fractions, NaN, negative or huge numbers.
    """
    if data.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            odd = data[~(np.isfinite(data) & (data == np.rint(data)))]
        if odd.size:
            raise InputError(
                f"{name}: holds the value {odd[0]:g}; labels are whole numbers: give the label map, not an "
                "image or probabilities"
            )
    low, high = data.min(), data.max()
    if low < 0 or high > LARGEST_LABEL:
        wrong = low if low < 0 else high
        raise InputError(f"{name}: holds the value {wrong:g}; labels are 0 to {LARGEST_LABEL}")
    kind = np.min_scalar_type(int(high))
    return data.astype(kind, copy=False)


def _translated(values: np.ndarray, to: Mapping[int, int]) -> np.ndarray:
    changed = {old: new for old, new in to.items() if old != new}
    if not changed:
        return values
    found = values.astype(np.result_type(values, np.min_scalar_type(max(changed.values()))))
    for old, new in changed.items():
        found[values == old] = new
    return found


def _check_grids(reference: Geometry, prediction: Geometry) -> None:
    if reference.shape != prediction.shape:
        raise InputError(
            f"the reference has {_by(reference.size)} voxels, the prediction {_by(prediction.size)}; "
            "resample the prediction to the reference's grid first (without interpolation)"
        )
    smallest = min(reference.spacing)
    apart = max(
        float(np.abs(_place(reference, corner) - _place(prediction, corner)).max())
        for corner in _corners(reference.shape)
    )
    if apart > SAME_PLACE * smallest:
        raise InputError(
            f"the prediction lies elsewhere than the reference: up to {apart:.3g} mm apart (spacing "
            f"{_by(reference.spacing)} and {_by(prediction.spacing)} mm, origin {_by(reference.origin)} and "
            f"{_by(prediction.origin)}); resample it to the reference's grid first (without interpolation)"
        )


def _corners(shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """The first and last index along i, j, k, in all combinations."""
    return [(i, j, k) for i in (0, shape[2] - 1) for j in (0, shape[1] - 1) for k in (0, shape[0] - 1)]


def _place(geometry: Geometry, index: tuple[int, int, int]) -> np.ndarray:
    origin = np.zeros(3)
    origin[: geometry.axes] = geometry.origin
    place: np.ndarray = geometry.matrix @ np.asarray(index, dtype=np.float64) + origin
    return place


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
