"""nnU-Net's crop to the nonzero part of an image, without copying the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umamba.inference.crop_kernels import FOREGROUND, HOLE, OUTSIDE, flood_from_border

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def nonzero_box(channels: Sequence[np.ndarray]) -> tuple[np.ndarray | None, Box]:
    """Find the voxels that are nonzero in any channel, with their holes filled, and the box around them.

    Follows nnU-Net's `crop_to_nonzero`: a hole is background that the 6-neighbourhood does not link to the
    image's border, so in the first and last slice, and in an image of one slice, nothing is filled. NaN
    counts as nonzero. An image that is 0 everywhere keeps its whole box, with a mask that is False.

    Args:
        channels: Arrays (Z, Y, X) of one shape, any number type; views are fine.

    Returns:
        The mask inside the box, (Z, Y, X) bool, True inside; None where that is every voxel of the box.
        And the box, one half-open (start, stop) per axis.
    """
    box, count = _tight_box(channels)
    shape = tuple(stop - start for start, stop in box)
    if count == np.prod(shape, dtype=np.int64):
        return None, box
    state = np.empty(shape, dtype=np.uint8)
    slices = tuple(slice(start, stop) for start, stop in box)
    for z, plane in enumerate(state):
        inside = channels[0][slices][z] != 0
        for channel in channels[1:]:
            inside |= channel[slices][z] != 0
        np.copyto(plane, np.where(inside, np.uint8(FOREGROUND), np.uint8(HOLE)))
    # All that lies beyond the box is background linked to the border, so the box's faces act as the border.
    flood_from_border(state)
    mask = state.view(np.bool_)
    np.not_equal(state, OUTSIDE, out=mask)
    return (None if mask.all() else mask), box


def _tight_box(channels: Sequence[np.ndarray]) -> tuple[Box, int]:
    """Box of the nonzero voxels, and their number; the whole image and 0 if there are none."""
    depth, rows, columns = channels[0].shape
    slices = np.zeros(depth, dtype=bool)
    in_row, in_column = np.zeros(rows, dtype=bool), np.zeros(columns, dtype=bool)
    count = 0
    for z in range(depth):
        inside = channels[0][z] != 0
        for channel in channels[1:]:
            inside |= channel[z] != 0
        found = int(np.count_nonzero(inside))
        if found:
            count += found
            slices[z] = True
            in_row |= inside.any(axis=1)
            in_column |= inside.any(axis=0)
    if count == 0:
        return ((0, depth), (0, rows), (0, columns)), 0
    return (_extent(slices), _extent(in_row), _extent(in_column)), count


def _extent(present: np.ndarray) -> tuple[int, int]:
    where = np.flatnonzero(present)
    return int(where[0]), int(where[-1]) + 1
