"""The slices of one DICOM series made into one regular grid, or the reason why they are not one.

SimpleITK stacks whatever it is given: uneven, tilted and repeated slices become a grid that is wrong in
silence. Here every slice must lie where the grid has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from umamba.errors import InputError
from umamba.imaging.checks import ORTHONORMAL_LIMIT
from umamba.imaging.dicomheader import DEFLATED, DicomHeader

# Encodings of pixels that GDCM decodes: plain (implicit, explicit, big-endian), JPEG, JPEG lossless,
# JPEG-LS, JPEG 2000, RLE.
_DECODABLE = frozenset(
    ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"]
    + [f"1.2.840.10008.1.2.4.{code}" for code in (50, 51, 57, 70, 80, 81, 90, 91)]
)
_GREY = ("MONOCHROME1", "MONOCHROME2")
# How far a slice may lie from its place on the grid, as a part of the distance between slices: first without
# a word (positions are rounded in the header), then with a warning.
_PLACE_ROUNDING = 0.01
_PLACE_LIMIT = 0.05
# mm. Rounding of positions in headers, whatever the distance between slices.
_PLACE_ROUNDING_MM = 0.01
# Sideways shift of the stack, as a part of its height (the tangent of the tilt): 0.06 degrees, 0.6 degrees.
_TILT_ROUNDING = 1e-3
_TILT_LIMIT = 1e-2
# Cosines and lengths of one series that differ by more do not belong to one grid.
_SAME_COSINE = 1e-4
_SAME_SPACING = 1e-4


def sorted_slices(headers: Sequence[DicomHeader], name: str) -> tuple[list[DicomHeader], list[str]]:
    """The slices of one series in the order of their positions.

    Args:
        headers: All files of the series, any order.
        name: How to call it in messages.

    Returns:
        The sorted headers and warnings (slightly uneven or tilted, inverted grey scale).

    Raises:
        InputError: No pixels, several frames in a file, colours, an encoding that GDCM does not know, slices
            of different size, spacing or direction, without a position, at one place, uneven or tilted.
    """
    _check_pixels(headers, name)
    _check_alike(headers, name)
    warnings = []
    if headers[0].photometric == "MONOCHROME1":
        warnings.append(f"{name}: its grey scale is inverted (MONOCHROME1); the values were taken as stored")
    if len(headers) == 1:
        return list(headers), warnings
    if any(len(header.position) != 3 for header in headers):
        missing = next(header for header in headers if len(header.position) != 3)
        raise InputError(f"{name}: {missing.path.name} has no position; export the series again")
    normal = cosines_of(headers[0], name)[:, 2]
    ordered = sorted(headers, key=lambda header: float(np.dot(header.position, normal)))
    places = np.array([header.position for header in ordered])
    _check_repeats(ordered, places @ normal, name)
    faults, odd = _evenness(places @ normal)
    tilt_faults, tilt_odd = _tilt(places, normal)
    faults += tilt_faults
    if faults:
        raise InputError(
            f"{name}: {'; '.join(faults)}: this is no regular grid; resample it first (3D Slicer does)"
        )
    warnings += [f"{name}: {text}" for text in (*odd, *tilt_odd)]
    return ordered, warnings


def cosines_of(header: DicomHeader, name: str) -> np.ndarray:
    """(3, 3): columns along a row, down a column, and across the slices, each of length 1, LPS.

    GDCM replaces a pair that is not quite at right angles by the identity, in silence; here it is kept.

    Raises:
        InputError: A vector whose length is far from 1, or two that are far from right angles.
    """
    along, down = np.reshape(header.orientation, (2, 3))
    lengths = np.linalg.norm([along, down], axis=1)
    across = np.cross(along, down)
    if np.abs(lengths - 1).max() > ORTHONORMAL_LIMIT or np.linalg.norm(across) < ORTHONORMAL_LIMIT:
        raise InputError(
            f"{name}: {header.path.name} has direction cosines that are none ("
            f"{', '.join(f'{value:g}' for value in header.orientation)}); export the series again"
        )
    along, down = along / lengths[0], down / lengths[1]
    if abs(along @ down) > ORTHONORMAL_LIMIT:  # no gantry's tilt: rows and columns are one detector's
        raise InputError(
            f"{name}: {header.path.name} has rows and columns that are not at right angles (off by "
            f"{abs(along @ down):.2g}); export the series again"
        )
    return np.column_stack([along, down, across / np.linalg.norm(across)])


def slice_distance(ordered: Sequence[DicomHeader], name: str) -> tuple[float, list[str]]:
    """mm between slices: the mean over the stack as ITK has it; of a single slice what its header says."""
    if len(ordered) > 1:
        across = np.subtract(ordered[-1].position, ordered[0].position)
        return math.sqrt(float(across @ across)) / (len(ordered) - 1), []
    for value in (*ordered[0].slice_distance, *ordered[0].thickness):
        if value > 0:
            return value, []
    return 1.0, [f"{name}: one slice without a thickness; 1 mm was assumed"]


def _check_pixels(headers: Sequence[DicomHeader], name: str) -> None:
    for header in headers:
        file = header.path.name
        if header.frames and (header.frames[0] > 1 or not header.pixel_spacing):
            raise InputError(
                f"{name}: {file} is a multi-frame object ({header.frames[0]:.0f} frames), which cannot be "
                "read yet; load it in 3D Slicer and save the volume as .nrrd, or convert it with dcm2niix"
            )
        if header.transfer_syntax != DEFLATED and not header.has_pixels:
            raise InputError(f"{name}: {file} holds no pixel data; give the folder of an image series")
        if header.transfer_syntax not in _DECODABLE:
            raise InputError(
                f"{name}: {file} is packed in a way that cannot be read ({header.transfer_syntax}); export "
                "the series uncompressed"
            )
        if header.samples > 1 or header.photometric not in _GREY:
            raise InputError(
                f"{name}: {file} is no grey image ({header.photometric or 'colours unknown'}); give a "
                "series of grey slices"
            )


def _check_alike(headers: Sequence[DicomHeader], name: str) -> None:
    first = headers[0]
    for header in headers:
        file = header.path.name
        if len(header.pixel_spacing) != 2 or min(header.pixel_spacing) <= 0:
            raise InputError(f"{name}: {file} has no pixel spacing; export the series again")
        if len(headers) > 1 and len(header.orientation) != 6:
            raise InputError(f"{name}: {file} has no orientation; export the series again")
        if (header.rows, header.columns) != (first.rows, first.columns):
            raise InputError(
                f"{name}: slices of different sizes ({first.rows} x {first.columns} and {header.rows} x "
                f"{header.columns}, {file}); take out what does not belong to the volume"
            )
        if not np.allclose(header.pixel_spacing, first.pixel_spacing, rtol=_SAME_SPACING, atol=0):
            raise InputError(f"{name}: slices of different pixel spacing ({file}); take out the odd ones")
        if len(headers) > 1 and not np.allclose(
            header.orientation, first.orientation, rtol=0, atol=_SAME_COSINE
        ):
            raise InputError(
                f"{name}: slices of different orientation ({file}), perhaps a localizer; take out what does "
                "not belong to the volume"
            )


def _check_repeats(ordered: Sequence[DicomHeader], heights: np.ndarray, name: str) -> None:
    steps = np.diff(heights)
    repeated = np.flatnonzero(steps <= _PLACE_ROUNDING_MM)
    if len(repeated):
        at = int(repeated[0])
        raise InputError(
            f"{name}: {len(repeated)} slices lie at the place of another ({ordered[at].path.name} and "
            f"{ordered[at + 1].path.name}): copies, or several time points, echoes or phases; give one volume"
        )


def _evenness(heights: np.ndarray) -> tuple[list[str], list[str]]:
    """Faults and oddities of the distances between slices; `heights` in mm, rising."""
    steps = np.diff(heights)
    mean = float(heights[-1] - heights[0]) / len(steps)
    off = float(np.abs(heights - heights[0] - mean * np.arange(len(heights))).max())
    if off <= max(_PLACE_ROUNDING * mean, _PLACE_ROUNDING_MM):
        return [], []
    usual = float(np.median(steps))
    told = f"the slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm)"
    if off <= _PLACE_LIMIT * mean:
        return [], [f"{told}; {mean:.4g} mm was used"]
    gaps = [int(at) for at in np.flatnonzero(steps > 1.5 * usual)]
    if gaps and steps.max() > (2 - 2 * _PLACE_LIMIT) * usual and steps.min() > (1 - 2 * _PLACE_LIMIT) * usual:
        return [f"{told}, a slice seems to be missing after the {_ordinal(gaps[0] + 1)} from below"], []
    return [told], []


def _tilt(places: np.ndarray, normal: np.ndarray) -> tuple[list[str], list[str]]:
    """Faults and oddities of the stack's direction against the slices' normal; `places` (n, 3) mm."""
    across = places - places[0]
    heights = across @ normal
    sideways = np.linalg.norm(across - heights[:, None] * normal, axis=1)
    shear = float(sideways.max() / heights[-1])
    if shear <= _TILT_ROUNDING:
        return [], []
    told = f"the slices are tilted against the stack by {math.degrees(math.atan(shear)):.1f} degrees"
    return ([told], []) if shear > _TILT_LIMIT else ([], [f"{told}; taken as upright"])


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if 10 < number % 100 < 20 else endings.get(number % 10, "th")
    return f"{number}{ending}"
