"""Resampling along one axis as a small banded matrix, and its product with an array.

Interpolation with separable kernels is linear along each axis, so that a whole resampling is one such matrix
an axis, built once for each pair of sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from umamba.imaging import axis_kernels as kernels
from umamba.ops import threads as pool

# All that is cut from a row of weights is below this: what a float32 sum cannot see.
_CUT_WEIGHT = 1e-8
# Largest pole of the filter that turns samples into spline coefficients, by order (Unser 1993): the influence
# of a sample falls by this factor from voxel to voxel.
_POLE = {2: 0.172, 3: 0.268, 4: 0.362, 5: 0.431}
# Values that one part of the work holds at once, so that it stays in cache (1 MB of float32).
_PART_VALUES = 2**18


@dataclass(frozen=True, eq=False)
class AxisOperator:
    """out[j] = sum over t of weights[j, t] * in[start[j] + t]; every start + k lies within the input.

    Attributes:
        start: (m,) int32.
        weights: (m, k) float32; k = 1 means that samples are only picked, each weight being 1.
        n: Length of the input.
    """

    start: np.ndarray
    weights: np.ndarray
    n: int

    @property
    def m(self) -> int:
        """Length of the output."""
        return int(self.weights.shape[0])

    @property
    def taps(self) -> int:
        """Input samples that one output sample needs (k)."""
        return int(self.weights.shape[1])

    @property
    def picks(self) -> bool:
        """Whether every output is a copy of one input."""
        return self.taps == 1

    @property
    def is_identity(self) -> bool:
        """Whether the output equals the input."""
        return self.picks and self.n == self.m and bool(np.all(self.start == np.arange(self.n)))


@lru_cache(maxsize=256)
def axis_operator(n: int, m: int, order: int) -> AxisOperator:
    """Spline interpolation of `n` samples at `m` points, as nnU-Net's default resampling does it.

    The points are (j + 0.5) n / m - 0.5, values beyond the ends those of the ends: scipy.ndimage.zoom with
    grid_mode and mode "nearest", prefilter included, hence skimage's resize with mode "edge" without
    anti-aliasing; for order 0 also scipy's map_coordinates, by which nnU-Net resamples a separate axis.

    Args:
        n, m: Samples before and after, at least 1.
        order: Spline order, 0 to 5.
    """
    if n == m:
        return _frozen(np.arange(n), np.ones((n, 1)), n)
    if order == 0:
        return _frozen(linear_taps(n, m).nearest, np.ones((m, 1)), n)
    if order == 1:
        return _two_taps(np.clip(_points(n, m), 0, n - 1), n)
    return _spline(n, m, order)


@lru_cache(maxsize=256)
def torch_axis_operator(n: int, m: int, mode: str) -> AxisOperator:
    """Interpolation as torch.nn.functional.interpolate does it (align_corners false), in its float32.

    Args:
        n, m: Samples before and after, at least 1.
        mode: "linear", "nearest" (the sample that the point's lower edge falls into) or "nearest-exact".
    """
    scale = np.float32(n) / np.float32(m)
    index = np.arange(m, dtype=np.float32)
    half = np.float32(0.5)
    if mode == "linear":
        return _two_taps(np.maximum(scale * (index + half) - half, np.float32(0)), n)
    lower = {"nearest": index * scale, "nearest-exact": (index + half) * scale}[mode]
    return _frozen(np.minimum(np.floor(lower), n - 1), np.ones((m, 1)), n)


@dataclass(frozen=True, eq=False)
class LinearTaps:
    """Linear interpolation in float64, for decisions that must fall as they fall in scipy.

    Attributes:
        index: (m, 2) int32, the samples before and after each point.
        weights: (m, 2) float64.
        nearest: (m,) int32, the sample that order 0 takes.
    """

    index: np.ndarray
    weights: np.ndarray
    nearest: np.ndarray


def linear_taps(n: int, m: int) -> LinearTaps:
    """The two neighbours of each of `m` points among `n` samples (points as in `axis_operator`)."""
    points = _points(n, m)
    lower = np.floor(points)
    # Beyond an end both neighbours are the end's sample, each with its share of the weight, as in scipy.
    index = np.clip(np.stack([lower, lower + 1], axis=1), 0, n - 1).astype(np.int32)
    upper = points - lower
    nearest = np.clip(np.floor(points + 0.5), 0, n - 1).astype(np.int32)
    return LinearTaps(index, np.stack([1 - upper, upper], axis=1), nearest)


def apply_axis(
    array: np.ndarray,
    operator: AxisOperator,
    axis: int,
    out: np.ndarray | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """Multiply an operator with one axis of an array.

    The result does not depend on the number of threads. Beside the result it takes a few MB a thread.

    Args:
        array: (Z, Y, X), any number type, any strides.
        operator: Its `n` is the length of that axis.
        axis: 0, 1 or 2.
        out: float32 of the result's shape to write to; None makes it.
        threads: None: as many as PyTorch uses.

    Returns:
        float32, `operator.m` long along `axis`.

    Raises:
        ValueError: Lengths that do not fit.
    """
    shape = list(array.shape)
    if array.ndim != 3 or shape[axis] != operator.n:
        raise ValueError(f"an operator for {operator.n} samples cannot act on axis {axis} of {array.shape}")
    shape[axis] = operator.m
    if out is None:
        out = np.empty(shape, dtype=np.float32)
    elif out.shape != tuple(shape) or out.dtype != np.float32:
        raise ValueError(f"out is {out.dtype} {out.shape}, wanted is float32 {tuple(shape)}")
    shared = 1 if axis == 0 else 0  # the axis that is cut into parts
    values = max(array.size, out.size) // max(array.shape[shared], 1)
    step = max(_PART_VALUES // max(values, 1), 1)
    starts = range(0, array.shape[shared], step)

    def part(index: int) -> None:
        rows = slice(starts[index], starts[index] + step)
        slab = (slice(None), rows) if shared else (rows,)
        block = np.ascontiguousarray(array[slab], dtype=np.float32)
        target = out[slab]
        if target.flags.c_contiguous:
            combine_block(block, operator, axis, target)
        else:
            target[...] = combine_block(block, operator, axis)

    pool.run(part, len(starts), threads)
    return out


def combine_block(
    block: np.ndarray, operator: AxisOperator, axis: int, target: np.ndarray | None = None
) -> np.ndarray:
    """`apply_axis` on the calling thread, for contiguous float32 arrays (Z, Y, X) that fit in cache."""
    if operator.is_identity and target is None:
        return block
    depth, rows, columns = block.shape
    shape = (*block.shape[:axis], operator.m, *block.shape[axis + 1 :])
    if target is None:
        target = np.empty(shape, dtype=np.float32)
    start, weights = operator.start, operator.weights
    if axis == 0:
        kernels.combine_rows(
            block.reshape(depth, rows * columns), start, weights, target.reshape(operator.m, rows * columns)
        )
    elif axis == 1:
        for source, result in zip(block, target, strict=True):
            kernels.combine_rows(source, start, weights, result)
    else:
        kernels.combine_columns(
            block.reshape(depth * rows, columns), start, weights, target.reshape(depth * rows, operator.m)
        )
    return target


def _points(n: int, m: int) -> np.ndarray:
    """Where the m output samples lie in the input, in samples; half a voxel beyond the ends at most."""
    points: np.ndarray = (np.arange(m) + 0.5) * (n / m) - 0.5
    return points


def _two_taps(points: np.ndarray, n: int) -> AxisOperator:
    """Linear interpolation at `points` (their own precision), all within 0 to n - 1."""
    if n == 1:
        return _frozen(np.zeros(len(points)), np.ones((len(points), 1)), n)
    lower = np.minimum(np.floor(points), n - 2)
    upper_weight = np.minimum(points - lower, 1)
    return _frozen(lower, np.stack([1 - upper_weight, upper_weight], axis=1), n)


def _spline(n: int, m: int, order: int) -> AxisOperator:
    """Rows of the operator from its columns: the interpolation of one impulse after the other."""
    from scipy.ndimage import zoom

    reach = math.ceil(math.log(_CUT_WEIGHT) / math.log(_POLE[order]))
    taps = min(2 * reach + 1, n)
    start = np.clip(np.floor(_points(n, m)).astype(np.int64) - reach, 0, n - taps)
    weights = np.zeros((m, taps))
    impulse, response = np.zeros(n), np.empty(m)
    for sample in range(n):
        impulse[sample] = 1
        zoom(impulse, m / n, output=response, order=order, mode="nearest", grid_mode=True)
        impulse[sample] = 0
        # The outputs whose band holds this sample stand together, since starts never fall.
        low = int(np.searchsorted(start, sample - taps + 1))
        high = int(np.searchsorted(start, sample, side="right"))
        weights[np.arange(low, high), sample - start[low:high]] = response[low:high]
    return _frozen(start, weights, n)


def _frozen(start: np.ndarray, weights: np.ndarray, n: int) -> AxisOperator:
    """The operator with read-only arrays, safe to share."""
    operator = AxisOperator(start.astype(np.int32), np.ascontiguousarray(weights, dtype=np.float32), n)
    operator.start.flags.writeable = False
    operator.weights.flags.writeable = False
    return operator
