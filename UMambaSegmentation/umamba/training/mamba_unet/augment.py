"""Augmentation of Mamba-UNet's published training: operations and chances of its code's random generator.

Half of the slices are turned by a multiple of 90 degrees and then flipped, a quarter is rotated by up to 20
degrees, a quarter stays. The published loading processes draw the same kinds again in every pass, for they
are seeded alike; here every draw is a new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umamba.inference.acdc import nearest_sources, resize

_CHANCE = 0.5
_QUARTERS = 4
_MOST_DEGREES = 20


@dataclass(frozen=True)
class Change:
    """What happens to one slice.

    Attributes:
        turns: Quarter turns before a flip along `axis`; None for no flip.
        axis: 0 (rows) or 1 (columns).
        degrees: Of a rotation by the nearest pixel, with zeros outside; None for no rotation.
    """

    turns: int | None = None
    axis: int = 0
    degrees: int | None = None

    def __call__(self, planes: np.ndarray) -> np.ndarray:
        """The slice (C, Y, X) changed; a quarter turn changes rows for columns."""
        if self.turns is not None:
            return np.flip(np.rot90(planes, self.turns, axes=(1, 2)), self.axis + 1)
        if self.degrees is not None:
            from scipy.ndimage import rotate

            return np.stack([rotate(plane, self.degrees, order=0, reshape=False) for plane in planes])
        return planes


def draw(generator: np.random.Generator) -> Change:
    """A change by the published chances."""
    if generator.random() > _CHANCE:
        return Change(turns=int(generator.integers(_QUARTERS)), axis=int(generator.integers(2)))
    if generator.random() > _CHANCE:
        return Change(degrees=int(generator.integers(-_MOST_DEGREES, _MOST_DEGREES)))
    return Change()


def bring_to(planes: np.ndarray, side: tuple[int, int]) -> np.ndarray:
    """Planes (..., Y, X) at the network's size, by the nearest pixel, as inference does it."""
    rows, columns = planes.shape[-2:]
    return resize(planes, nearest_sources(rows, side[0]), nearest_sources(columns, side[1]))
