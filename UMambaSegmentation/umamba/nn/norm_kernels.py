"""Instance normalisation in place on a CPU: rows of channels, statistics in float32 blocks summed in float64.

The rows are split by sizes alone, so that the number of threads changes no bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from umamba.ops.numba_jit import REASSOCIATE, kernel
from umamba.ops.threads import run

Rows = npt.NDArray[np.float32]

# Rows of one part: about as many as a core's cache holds while they are read twice.
_PART_FLOATS = 2**17
# Rows over which float32 sums run before they are added up in float64.
_BLOCK_ROWS = 256
# Columns that fill a processor's vectors; maps of fewer channels are worked on several rows side by side.
_COLUMNS = 32


@kernel("void(float32[:, ::1], float64[::1], float64[::1], int64)", fastmath=REASSOCIATE)
def _moments(rows: Any, mean: Any, squares: Any, block: int) -> None:  # noqa: ANN401
    """Mean and sum of squared deviations of each column, blocks combined as Chan et al. (1979) do."""
    count, channels = rows.shape
    block_mean = np.empty(channels, np.float32)
    block_squares = np.empty(channels, np.float32)
    mean[:] = 0.0
    squares[:] = 0.0
    for start in range(0, count, block):
        stop = min(count, start + block)
        size = stop - start
        block_mean[:] = 0.0
        for i in range(start, stop):
            for c in range(channels):
                block_mean[c] += rows[i, c]
        for c in range(channels):
            block_mean[c] /= np.float32(size)
        block_squares[:] = 0.0
        for i in range(start, stop):
            for c in range(channels):
                deviation = rows[i, c] - block_mean[c]
                block_squares[c] += deviation * deviation
        for c in range(channels):
            step = block_mean[c] - mean[c]
            mean[c] += step * (size / stop)
            squares[c] += block_squares[c] + step * step * (size * (start / stop))


@kernel("void(float32[:, ::1], float32[::1], float32[::1], float32[::1], float32)")
def _apply(rows: Any, center: Any, scale: Any, shift: Any, slope: Any) -> None:  # noqa: ANN401
    count, channels = rows.shape
    for i in range(count):
        for c in range(channels):
            value = (rows[i, c] - center[c]) * scale[c] + shift[c]
            rows[i, c] = value if value > 0 else value * slope


@kernel("void(float32[:, ::1], float32[::1], float32[::1], float32[::1], float32, float32[:, ::1])")
def _apply_residual(
    rows: Any,  # noqa: ANN401
    center: Any,  # noqa: ANN401
    scale: Any,  # noqa: ANN401
    shift: Any,  # noqa: ANN401
    slope: Any,  # noqa: ANN401
    residual: Any,  # noqa: ANN401
) -> None:
    count, channels = rows.shape
    for i in range(count):
        for c in range(channels):
            value = (rows[i, c] - center[c]) * scale[c] + shift[c] + residual[i, c]
            rows[i, c] = value if value > 0 else value * slope


def normalize_rows(
    rows: Rows,
    weight: Rows | None,
    bias: Rows | None,
    eps: float,
    slope: float,
    residual: Rows | None = None,
) -> None:
    """Replace `rows` by leaky_relu((rows - mean) / sqrt(var + eps) * weight + bias + residual).

    Args:
        rows: (L, C), one sample's voxels; changed in place.
        weight, bias: (C,), or None for 1 and 0.
        eps: Added to the population variance.
        slope: Of the activation; 1 for none.
        residual: (L, C) to be added before the activation.
    """
    voxels, channels = rows.shape
    beside = _side_by_side(voxels, channels)
    rows = rows.reshape(voxels // beside, beside * channels)
    if residual is not None:
        residual = residual.reshape(rows.shape)
    count, columns = rows.shape
    part = max(1, _PART_FLOATS // columns)
    starts = range(0, count, part)
    means, squares = np.empty((len(starts), columns)), np.empty((len(starts), columns))
    run(
        lambda i: _moments(rows[starts[i] : starts[i] + part], means[i], squares[i], _BLOCK_ROWS), len(starts)
    )
    sizes = np.repeat(np.minimum(part, count - np.arange(0, count, part)), beside)[:, None]
    means, squares = means.reshape(-1, channels), squares.reshape(-1, channels)
    mean = (means * sizes).sum(axis=0) / voxels
    variance = (squares + sizes * (means - mean) ** 2).sum(axis=0) / voxels
    scale64 = (1.0 if weight is None else weight) / np.sqrt(variance + eps)
    # Subtracting first keeps a constant channel exact; what rounding takes off the mean is put back.
    center = mean.astype(np.float32)
    shift64 = (0.0 if bias is None else bias) - (mean - center) * scale64
    center, scale, shift = (
        np.tile(values.astype(np.float32), beside) for values in (center, scale64, shift64)
    )

    def finish(index: int) -> None:
        piece = slice(starts[index], starts[index] + part)
        if residual is None:
            _apply(rows[piece], center, scale, shift, np.float32(slope))
        else:
            _apply_residual(rows[piece], center, scale, shift, np.float32(slope), residual[piece])

    run(finish, len(starts))


def _side_by_side(voxels: int, channels: int) -> int:
    """How many rows stand side by side in one: a power of two that divides their number."""
    beside = 1
    while 2 * beside * channels <= _COLUMNS and voxels % (2 * beside) == 0:
        beside *= 2
    return beside
