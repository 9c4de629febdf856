"""The forward kernel of the causal depthwise convolution for CPUs, a channel and a tile at a time.

Each tile is copied into a window with the W - 1 inputs before it; every tap is then one vector pass over it.
"""

from __future__ import annotations

import numpy as np

from umamba.ops.numba_jit import inlined, kernel
from umamba.ops.numba_math import sigmoid
from umamba.ops.numba_rows import ROWS, Array, Rows, tile_of

# Tokens in a tile: what a tile needs is some 16 KB.
TILE = 1024


@inlined()
def fill_window(x: Rows, batch: int, channel: int, start: int, n: int, past: Array, window: Array) -> None:
    """window[i] = the input i - (W - 1) tokens after `start`, for n + W - 1 inputs."""
    for i in range(past.size):
        t = start - past.size + i
        window[i] = x[0][batch * x[1] + channel * x[2] + t] if t >= 0 else past[past.size + t]
    window[past.size : past.size + n] = tile_of(x, batch, channel, start, n)


@inlined()
def filter_window(window: Array, weight: Array, bias: np.float32, out: Array) -> None:
    """out[t] = bias + sum_k weight[k] window[t + k]."""
    out[:] = bias
    for k in range(weight.size):
        tap = weight[k]
        for t in range(out.size):
            out[t] += tap * window[t + k]


@kernel(f"void({ROWS}, f4[:, ::1], f4[:, ::1], f4[::1], {ROWS}, b1, i8, i8, i8)")
def convolve_rows(
    x: Rows,
    past: Array,
    weight: Array,
    bias: Array,
    out: Rows,
    silu: bool,
    tokens: int,
    first: int,
    last: int,
) -> None:
    """Convolve the rows [first, last); row r is channel r % D of batch entry r // D.

    x, out: (b, D, tokens).  past: (b D, W - 1), the inputs before.  weight: (D, W).  bias: (D,).
    """
    channels, width = weight.shape
    window = np.empty(TILE + width - 1, np.float32)
    for row in range(first, last):
        batch, channel = row // channels, row % channels
        for start in range(0, tokens, TILE):
            n = min(TILE, tokens - start)
            fill_window(x, batch, channel, start, n, past[row], window)
            result = tile_of(out, batch, channel, start, n)
            filter_window(window, weight[channel], bias[channel], result)
            if silu:
                for t in range(n):
                    result[t] *= sigmoid(result[t])
