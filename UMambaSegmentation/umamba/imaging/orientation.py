"""Bringing an image to a named orientation and arrays back, by permuting and flipping axes alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image

NATIVE = "native"
# A letter names where an index increases to: (axis of LPS, sign).
_LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
_LETTER_OF = {towards: letter for letter, towards in _LETTERS.items()}
# Cosines closer than this count as equal, so that a grid turned by 45 degrees gets one and the same
# orientation whatever its rounding; the file formats store cosines in single precision.
_COSINE_TIE = 1e-6


@dataclass(frozen=True)
class Undo:
    """The way back of `to_orientation` for arrays.

    Attributes:
        axes: Array axis (of Z, Y, X) of the original that each oriented array axis is.
        flipped: Whether that axis was reversed, in oriented order.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """A view of (..., Z, Y, X) in the original order of axes."""
        steps = tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)
        lead = array.ndim - 3
        back = tuple(lead + axis for axis in np.argsort(self.axes))
        return array[(..., *steps)].transpose(*range(lead), *back)

    def forward(self, array: np.ndarray) -> np.ndarray:
        """A view of (..., Z, Y, X) of the original in the oriented order."""
        lead = array.ndim - 3
        steps = tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)
        return array.transpose(*range(lead), *(lead + axis for axis in self.axes))[(..., *steps)]


def orientation_of(geometry: Geometry) -> str:
    """Three letters that say towards where i, j, k increase, as nibabel and SimpleITK.DICOMOrient name them.

    An oblique grid gets the nearest letters: the largest cosine of all decides first, then the largest of
    the axes left. Of cosines within 1e-6 the lowest index, then the lowest direction (L, P, S) wins.
    A 2D image has none: "native".
    """
    if geometry.axes != 3:
        return NATIVE
    return "".join(_LETTER_OF[towards] for towards in _towards(geometry))


def to_orientation(image: Image, letters: str) -> tuple[Image, Undo]:
    """Permute and flip the axes of `image` until i, j, k increase towards `letters`.

    Nothing is copied and nothing interpolated: the data is a view. "native" and 2D images come back as
    they are.

    Args:
        image: Any grid, left-handed and oblique ones too.
        letters: Three letters as in "RAS", or "native".

    Returns:
        The image with its new grid (the header of its file is dropped), and the way back for arrays.

    Raises:
        InputError: Letters that name no orientation.
    """
    if letters == NATIVE or image.geometry.axes != 3:
        return image, Undo()
    wanted = _parse(letters)
    geometry = image.geometry
    found = _towards(geometry)
    index_axes = [[axis for axis, _ in found].index(axis) for axis, _ in wanted]  # i, j, k taken from
    flips = [found[source][1] != sign for source, (_, sign) in zip(index_axes, wanted, strict=True)]
    # Array axes run the other way round: Z, Y, X are k, j, i.
    undo = Undo(
        axes=(2 - index_axes[2], 2 - index_axes[1], 2 - index_axes[0]),
        flipped=(flips[2], flips[1], flips[0]),
    )
    oriented = replace(
        image, data=undo.forward(image.data), geometry=_reorder(geometry, index_axes, flips), nifti=None
    )
    return oriented, undo


def _parse(letters: str) -> list[tuple[int, int]]:
    wanted = [_LETTERS.get(letter, (-1, 0)) for letter in letters]
    if sorted(axis for axis, _ in wanted) != [0, 1, 2]:
        raise InputError(
            f"{letters[:20]!r} is no orientation: three letters such as 'RAS' are wanted, one of each pair "
            "R/L, A/P, S/I, or 'native'"
        )
    return wanted


def _towards(geometry: Geometry) -> list[tuple[int, int]]:
    """For i, j, k: the axis of LPS it runs along most, and its sign there."""
    cosines = np.asarray(geometry.direction, dtype=np.float64).reshape(3, 3)
    left = np.abs(cosines)
    found = [(0, 0)] * 3
    for _ in range(3):
        ties = left >= left.max() - _COSINE_TIE
        index, axis = (int(entry) for entry in np.argwhere(ties.T)[0])
        found[index] = (axis, 1 if cosines[axis, index] >= 0 else -1)
        left[axis, :] = left[:, index] = -1
    return found


def _reorder(geometry: Geometry, index_axes: list[int], flips: list[bool]) -> Geometry:
    """The grid whose i, j, k are `index_axes` of the old one, reversed where `flips` says so."""
    cosines = np.asarray(geometry.direction, dtype=np.float64).reshape(3, 3)[:, index_axes]
    size = [geometry.size[axis] for axis in index_axes]
    spacing = [geometry.spacing[axis] for axis in index_axes]
    origin = np.asarray(geometry.origin, dtype=np.float64)
    for axis, flip in enumerate(flips):
        if flip:
            origin = origin + cosines[:, axis] * (spacing[axis] * (size[axis] - 1))
            cosines[:, axis] = 0.0 - cosines[:, axis]  # and not -0.0
    return Geometry(
        size=tuple(size),
        spacing=tuple(spacing),
        origin=tuple(float(value) for value in origin),
        direction=tuple(float(value) for value in cosines.ravel()),
    )
