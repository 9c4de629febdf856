"""Bringing images to another grid the way nnU-Net does, in float32 and little memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umamba.imaging.axis_operator import AxisOperator, apply_axis, combine_block
from umamba.imaging.resampling_rules import axis_operators, separation
from umamba.ops import threads as pool
from umamba.plans import Resampling

# Lower and upper bound of the values, or None for no clipping.
_Range = tuple[np.float32, np.float32] | None


def resample_image(
    array: np.ndarray,
    new_shape: Sequence[int],
    rule: Resampling,
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    threads: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Resample one channel.

    "spline" follows nnU-Net's default: skimage's resize with edge mode, clipped to the range of the input;
    with a separate axis each slice across it is resized and clipped on its own, then the axis is resampled
    with `order_z` (no clipping). "linear" is the fork's torch function, "torch" nnunetv2's, "none" returns
    the array whatever the new shape. nnU-Net computes splines in float64, this in float32: they agree to
    about 1e-6 of the largest value.

    Memory beside input and result: one float32 array of at most sqrt(input size * result size) values when
    the first (or separate) axis is interpolated, and a few MB a thread. Every voxel's sum has a fixed order,
    so the result does not depend on the number of threads.

    Args:
        array: (Z, Y, X), any number type, any strides; not changed.
        new_shape: Three sizes, at least 1.
        rule: Method and orders.
        current_spacing, new_spacing: mm per axis; they decide about a separate axis.
        threads: None: as many as PyTorch uses.
        out: float32 array of `new_shape` to write to; None makes one.

    Returns:
        float32; the very same array if the shape stays, it is float32 and no `out` was given.

    Raises:
        ValueError: An empty array or shape, or an `out` that does not fit.
    """
    if 0 in array.shape or 0 in new_shape:
        raise ValueError(f"cannot resample {array.shape} to {tuple(new_shape)}: an axis is empty")
    operators = axis_operators(array.shape, new_shape, rule, current_spacing, new_spacing)
    shape = tuple(operator.m for operator in operators)
    if out is not None and (out.shape != shape or out.dtype != np.float32):
        raise ValueError(f"out is {out.dtype} {out.shape}, wanted is float32 {shape}")
    if shape == array.shape:
        if out is None:
            return np.asarray(array, dtype=np.float32)
        out[...] = array
        return out
    if out is None:
        out = np.empty(shape, dtype=np.float32)
    separate = separation(rule, current_spacing, new_spacing)
    lead = separate or 0
    along = operators[lead]
    across = tuple(operator for axis, operator in enumerate(operators) if axis != lead)
    source, target = np.moveaxis(array, lead, 0), np.moveaxis(out, lead, 0)
    overshoots = rule.method == "spline" and rule.order > 1
    whole = _range_of(source) if overshoots and separate is None else None
    slicewise = overshoots and separate is not None
    if along.picks:
        _resample_planes(source, across, _targets(along), target, whole, slicewise, threads)
    elif slicewise or _values(along.n, across, True) <= _values(along.m, across, False):
        middle = np.empty((along.n, *target.shape[1:]), dtype=np.float32)
        every = [[index] for index in range(along.n)]
        _resample_planes(source, across, every, middle, None, slicewise, threads)
        apply_axis(middle, along, 0, target, threads)
        _clip(target, whole)
    else:
        middle = apply_axis(source, along, 0, None, threads)
        every = [[index] for index in range(along.m)]
        _resample_planes(middle, across, every, target, whole, False, threads)
    return out


def _values(length: int, across: tuple[AxisOperator, ...], after: bool) -> int:
    """Size of the intermediate array, with the planes before or after their own resampling."""
    rows, columns = ((operator.m if after else operator.n) for operator in across)
    return length * rows * columns


def _targets(along: AxisOperator) -> list[list[int]]:
    """For each plane of the input the planes of the output that are copies of it."""
    targets: list[list[int]] = [[] for _ in range(along.n)]
    for plane, source in enumerate(along.start):
        targets[source].append(plane)
    return targets


def _resample_planes(
    source: np.ndarray,
    across: tuple[AxisOperator, ...],
    targets: list[list[int]],
    target: np.ndarray,
    bounds: _Range,
    slicewise: bool,
    threads: int | None,
) -> None:
    """Resample the planes of `source` that are wanted; write each to its places in `target` (both (n, Y, X)).

    Values are clipped to `bounds`, or with `slicewise` to the range of each input plane.
    """
    wanted = [index for index, places in enumerate(targets) if places]
    rows, columns = across
    # The axis that shrinks more comes first: fewer sums, smaller arrays between.
    rows_first = rows.m * columns.n <= rows.n * columns.m

    def part(number: int) -> None:
        index = wanted[number]
        plane = np.ascontiguousarray(source[index], dtype=np.float32)[np.newaxis]
        limits = _range_of(plane) if slicewise else bounds
        for axis in (1, 2) if rows_first else (2, 1):
            plane = combine_block(plane, across[axis - 1], axis)
        for place in targets[index]:
            if limits is None:
                target[place] = plane[0]
            else:
                np.clip(plane[0], *limits, out=target[place])

    pool.run(part, len(wanted), threads)


def _range_of(array: np.ndarray) -> tuple[np.float32, np.float32]:
    """Smallest and largest value; NaN does not count."""
    return np.float32(np.fmin.reduce(array, axis=None)), np.float32(np.fmax.reduce(array, axis=None))


def _clip(array: np.ndarray, bounds: _Range) -> None:
    if bounds is not None:
        np.clip(array, *bounds, out=array)
