"""The backward kernel of the causal depthwise convolution for CPUs, a channel and a tile at a time.

The sum before the activation is computed again; each tap's gradient is one vector pass, and what belongs to
the W - 1 inputs before a tile is added to theirs.
"""

from __future__ import annotations

import numpy as np

from umamba.ops.conv_numba_kernels import TILE, fill_window, filter_window
from umamba.ops.numba_jit import REASSOCIATE, inlined, kernel
from umamba.ops.numba_math import ONE, ZERO, sigmoid
from umamba.ops.numba_rows import ROWS, Array, Rows, tile_of


@inlined(REASSOCIATE)
def _dot(left: Array, right: Array) -> np.float32:
    total = ZERO
    for t in range(left.size):
        total += left[t] * right[t]
    return total


@kernel(
    f"void({ROWS}, f4[:, ::1], f4[:, ::1], f4[::1], {ROWS}, {ROWS}, f4[:, ::1], f8[:, ::1], f8[::1],"
    "b1, i8, i8, i8)"
)
def convolve_rows_backward(
    x: Rows,
    past: Array,
    weight: Array,
    bias: Array,
    dout: Rows,
    dx: Rows,
    dpast: Array,
    dweight: Array,
    dbias: Array,
    silu: bool,
    tokens: int,
    first: int,
    last: int,
) -> None:
    """The gradients for the rows [first, last), added to the arrays given.

    dout, dx: (b, D, tokens).  dpast: (b D, W - 1).  dweight: (b D, W), dbias: (b D,), both float64.
    """
    channels, width = weight.shape
    kept = width - 1
    window, spread = np.empty(TILE + kept, np.float32), np.empty(TILE + kept, np.float32)
    before, ones = np.empty(TILE, np.float32), np.ones(TILE, np.float32)
    for row in range(first, last):
        batch, channel = row // channels, row % channels
        for start in range(0, tokens, TILE):
            n = min(TILE, tokens - start)
            fill_window(x, batch, channel, start, n, past[row], window)
            upstream = tile_of(dout, batch, channel, start, n)
            gradient = before[:n]  # of the sum before the activation, whose value it holds first
            filter_window(window, weight[channel], bias[channel], gradient)
            for t in range(n):
                s = sigmoid(gradient[t])
                slope = s * (ONE + gradient[t] * (ONE - s)) if silu else ONE
                gradient[t] = upstream[t] * slope
            dbias[row] += _dot(gradient, ones)
            spread[:] = ZERO
            for k in range(width):
                tap = weight[channel, k]
                for t in range(n):
                    spread[t + k] += tap * gradient[t]
                dweight[row, k] += _dot(gradient, window[k:])
            for i in range(kept):
                t = start - kept + i
                if t >= 0:
                    dx[0][batch * dx[1] + channel * dx[2] + t] += spread[i]
                else:
                    dpast[row, kept + t] += spread[i]
            own = tile_of(dx, batch, channel, start, n)
            for t in range(n):
                own[t] += spread[kept + t]
