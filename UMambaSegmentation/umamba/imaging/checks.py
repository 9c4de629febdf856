"""What makes an image unfit (an error) or odd (a warning): its grid and its voxels.

Texts name the file by `name`; warnings are whole lines for the user.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image

# mm. Outside: no image of a body or of cells; metres or micrometres taken for millimetres.
SMALLEST_SPACING_MM = 1e-5
LARGEST_SPACING_MM = 1e3
# mm. Outside: rare, but there are microscopes and coarse scouts.
USUAL_SPACING_MM = (1e-2, 20.0)
# Largest entry of |D^T D - 1|. Below the first: the rounding of formats that store single precision.
# Above the second (3 degrees of shear, or 2.5 % of length) a person should know what a network makes of it.
ORTHONORMAL_ROUNDING = 2e-5
ORTHONORMAL_LIMIT = 5e-2
# Cosine between two axes, of 37 degrees of shear: scanners tilt their gantry by 30 degrees at most.
SHEAR_LIMIT = 0.6
# The pipeline computes in single precision; larger values would become infinite there.
LARGEST_VALUE = float(np.finfo(np.float32).max)


def check_geometry(geometry: Geometry, name: str) -> list[str]:
    """Hold a grid against what a segmentation can be made on.

    Returns:
        Warnings: unusual voxel sizes; axes not quite at right angles.

    Raises:
        InputError: No voxels; spacing, origin or direction not finite; spacing not positive or absurd; axes
            that are sheared or degenerate.
    """
    if geometry.axes not in (2, 3):
        raise InputError(f"{name}: has {geometry.axes} axes; give one volume of three axes")
    if min(geometry.size) < 1:
        raise InputError(f"{name}: has no voxels (size {_by(geometry.size)}); export it again")
    if not all(map(math.isfinite, geometry.origin)):
        raise InputError(f"{name}: its origin is not a number ({_by(geometry.origin)}); repair the header")
    return _spacing_warnings(geometry, name) + _direction_warnings(geometry, name)


def usable_sizes(spacing: Sequence[float], name: str) -> None:
    """Refuse voxel sizes that are zero, negative or no number.

    Raises:
        InputError: One of them is.
    """
    if not all(math.isfinite(value) and value > 0 for value in spacing):
        raise InputError(
            f"{name}: spacing {_by(spacing)} mm; every value must be above 0: repair the header or export "
            "again"
        )


def _spacing_warnings(geometry: Geometry, name: str) -> list[str]:
    spacing = geometry.spacing
    usable_sizes(spacing, name)
    if min(spacing) < SMALLEST_SPACING_MM or max(spacing) > LARGEST_SPACING_MM:
        raise InputError(
            f"{name}: spacing {_by(spacing)} mm cannot be right (wanted: {SMALLEST_SPACING_MM:g} to "
            f"{LARGEST_SPACING_MM:g} mm); perhaps metres or micrometres were stored: repair the header"
        )
    low, high = USUAL_SPACING_MM
    if min(spacing) < low or max(spacing) > high:
        return [f"{name}: unusual spacing {_by(spacing)} mm; check that the unit is millimetres"]
    return []


def _direction_warnings(geometry: Geometry, name: str) -> list[str]:
    axes = geometry.axes
    cosines = np.asarray(geometry.direction, dtype=np.float64).reshape(axes, axes)
    if not np.isfinite(cosines).all():
        raise InputError(f"{name}: its direction cosines are not numbers; repair the header or export again")
    products = cosines.T @ cosines - np.eye(axes)
    length = float(np.abs(np.diag(products)).max())
    shear = float(np.abs(products - np.diag(np.diag(products))).max())
    skew = max(length, shear)
    if length > ORTHONORMAL_LIMIT or shear > SHEAR_LIMIT:
        raise InputError(
            f"{name}: its axes are not at right angles or not of length 1 (off by {skew:.2g}, at most "
            f"{ORTHONORMAL_LIMIT:g} in length and {SHEAR_LIMIT:g} in angle can be used); resample it to a "
            "regular grid first"
        )
    if shear > ORTHONORMAL_LIMIT:
        return [
            f"{name}: its axes are not at right angles (tilted by {math.degrees(math.asin(shear)):.1f} "
            "degrees, as a CT with a tilted gantry); its slices were taken as if they stood upright: "
            "resampling it to a regular grid may give a better result"
        ]
    if skew > ORTHONORMAL_ROUNDING:
        return [
            f"{name}: its axes are not quite at right angles or not of length 1 (off by {skew:.1e}); used as "
            "they are"
        ]
    return []


def clean_voxels(data: np.ndarray, name: str, own: bool = False) -> tuple[np.ndarray, list[str]]:
    """Make voxels fit for statistics.

    NaN becomes the smaller of 0 and the smallest finite value: what surrounds a body in MR (0, which
    nnU-Net crops away) and in CT (air). Infinite values, and doubles beyond single precision, become the
    largest or smallest of the others.

    Args:
        data: (Z, Y, X), any real number type.
        name: How to call the image.
        own: The array may be changed in place; otherwise a copy is made where values must be replaced.

    Returns:
        The voxels, and warnings: how many were replaced by what; all voxels equal.

    Raises:
        InputError: No finite value at all.
    """
    low, high, bad = _finite_range(data)
    if bad == data.size:
        raise InputError(f"{name}: not one voxel holds a finite number; export the image again")
    warnings = []
    if bad:
        data = data if own else data.copy()
        nothing = min(0.0, low)
        for plane in data:
            _replace(plane, nothing, low, high)
        warnings.append(
            f"{name}: {bad} of {data.size} voxels are not finite; NaN was replaced by {nothing:g}, "
            f"infinite values by {low:g} or {high:g}"
        )
    if low == high:
        warnings.append(f"{name}: all voxels have the same value ({low:g}); expect an empty result")
    return data, warnings


def _finite_range(data: np.ndarray) -> tuple[float, float, int]:
    """Smallest and largest usable value and how many voxels are not, plane by plane to stay small."""
    if data.dtype.kind != "f":
        return float(data.min()), float(data.max()), 0
    low, high, bad = math.inf, -math.inf, 0
    for plane in data:
        usable = np.abs(plane) <= LARGEST_VALUE
        count = int(np.count_nonzero(usable))
        bad += plane.size - count
        if count:
            values = plane if count == plane.size else plane[usable]
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high, bad


def _replace(plane: np.ndarray, nothing: float, low: float, high: float) -> None:
    plane[np.isnan(plane)] = nothing
    plane[plane > LARGEST_VALUE] = high
    plane[plane < -LARGEST_VALUE] = low


def checked_image(image: Image, name: str, own: bool = False) -> Image:
    """The image with clean voxels and with the warnings of both checks added to its own.

    `own`: its array may be changed in place.

    Raises:
        InputError: As `checked_grid` and `checked_voxels`.
    """
    checked = checked_voxels(checked_grid(image, name), name, own)
    return replace(checked, data=np.ascontiguousarray(checked.data))


def checked_grid(image: Image, name: str) -> Image:
    """The image with the warnings about its grid; no voxel is looked at.

    Raises:
        InputError: As `check_geometry`; shape and grid that do not match; complex numbers or something else
            that is not a real number.
    """
    if image.data.dtype.kind not in "biuf":
        raise InputError(f"{name}: its voxels are of type {image.data.dtype}; real numbers are wanted")
    if image.data.shape != image.geometry.shape:
        raise InputError(
            f"{name}: its array has shape {_by(image.data.shape)}, its grid "
            f"{_by(image.geometry.shape)} (Z, Y, X)"
        )
    return _warned(image, check_geometry(image.geometry, name))


def checked_voxels(image: Image, name: str, own: bool = False) -> Image:
    """The image with clean voxels and the warnings about them.

    `own`: its array may be changed in place.

    Raises:
        InputError: As `clean_voxels`.
    """
    data, odd = clean_voxels(image.data, name, own)
    return _warned(replace(image, data=data), odd)


def _warned(image: Image, lines: Sequence[str]) -> Image:
    new = [line for line in lines if line not in image.warnings]
    return replace(image, warnings=(*image.warnings, *new))


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
