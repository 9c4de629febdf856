"""The forward kernel of the selective scan for CPUs.

For every tile of tokens and channel: softplus over the tile (vector over tokens), the recurrence (vector over
states, one token after the other), skip and gate over the tile (vector over tokens). An exponential is
computed as a power of two, log2(e) being multiplied into A beforehand.
"""

from __future__ import annotations

import numpy as np

from umamba.ops.numba_jit import REASSOCIATE, inlined, kernel
from umamba.ops.numba_math import ZERO, exp2, sigmoid, softplus
from umamba.ops.numba_rows import ROWS, Array, Rows, tile_of

Pair = tuple[int, int]
# B or C: values (rows, N), a row for each token of each group; groups in a batch entry (0: all entries
# share), channels in a group, and whether rows depend on the token (1) or not (0).
Matrix = tuple[Array, int, int, int]
MATRIX = "Tuple((f4[:, ::1], i8, i8, i8))"

# Tokens in a tile: B and C of 16 states are 32 KB then. A backward pass keeps one state for each tile.
TILE = 256
# The number of states in every published U-Mamba: its loop is compiled with this length known.
USUAL_STATES = 16
# How a gate is given.
NO_GATE, RAW_GATE, APPLIED_GATE = 0, 1, 2


@inlined()
def make_steps(delta: Array, bias: np.float32, use_softplus: bool, step: Array) -> None:
    """step[t] = softplus(delta[t] + bias), or without softplus, for the tokens of `delta`."""
    for t in range(delta.size):
        x = delta[t] + bias
        step[t] = softplus(x) if use_softplus else x


@inlined()
def matrix_rows(matrix: Matrix, batch: int, channel: int, tokens: int, start: int) -> Pair:
    """Row of the first token of a tile in B or C, and rows from one token to the next (0: constant)."""
    group = batch * matrix[1] + channel // matrix[2]
    if matrix[3] == 0:
        return group, 0
    return group * tokens + start, 1


@inlined(REASSOCIATE)
def _recur(
    step: Array, u: Array, A2: Array, B: Array, b: Pair, C: Array, c: Pair, state: Array, y: Array
) -> None:
    """y_t = <C_t, s_t> for the tokens of `u`; `state` (N,) goes from before to after the tile.

    B, C: (rows, N), of which token t reads row b[0] + t * b[1], c[0] + t * c[1].
    """
    for t in range(u.size):
        x = step[t]
        product = x * u[t]
        B_now, C_now = B[b[0] + t * b[1]], C[c[0] + t * c[1]]
        total = ZERO
        if state.size == USUAL_STATES:
            for n in range(USUAL_STATES):
                s = exp2(x * A2[n]) * state[n] + product * B_now[n]
                state[n] = s
                total += s * C_now[n]
        else:
            for n in range(state.size):
                s = exp2(x * A2[n]) * state[n] + product * B_now[n]
                state[n] = s
                total += s * C_now[n]
        y[t] = total


@inlined()
def _finish(y: Array, u: Array, has_skip: bool, skip: np.float32, z: Array, gate: int, out: Array) -> None:
    """out = (y + skip u) gate(z) for the tokens of `u`."""
    for t in range(u.size):
        value = y[t]
        if has_skip:
            value += skip * u[t]
        if gate == RAW_GATE:
            value *= z[t] * sigmoid(z[t])
        elif gate == APPLIED_GATE:
            value *= z[t]
        out[t] = value


@kernel(
    f"void({ROWS}, {ROWS}, {ROWS}, {ROWS}, f4[:, ::1], {MATRIX}, {MATRIX}, f4[::1], f4[::1],"
    "f4[:, ::1], f4[:, :, ::1], b1, b1, i8, i8, i8, i8)"
)
def scan_rows(
    u: Rows,
    delta: Rows,
    z: Rows,
    out: Rows,
    A2: Array,
    B: Matrix,
    C: Matrix,
    bias: Array,
    skip: Array,
    state: Array,
    kept: Array,
    use_softplus: bool,
    has_skip: bool,
    gate: int,
    tokens: int,
    first: int,
    last: int,
) -> None:
    """Scan `tokens` tokens of the rows [first, last); row r is channel r % D of batch entry r // D.

    u, delta, z, out: (b, D, tokens).  A2: (D, N), A times log2(e).  bias, skip: (D,).
    state: (b D, N), overwritten.  kept: (b D, tiles, N), the state before each tile; not written if empty.
    """
    channels = A2.shape[0]
    step, y = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    for start in range(0, tokens, TILE):
        n = min(TILE, tokens - start)
        for row in range(first, last):
            batch, channel = row // channels, row % channels
            u_tile = tile_of(u, batch, channel, start, n)
            make_steps(tile_of(delta, batch, channel, start, n), bias[channel], use_softplus, step)
            if kept.size > 0:
                kept[row, start // TILE] = state[row]
            b, c = (
                matrix_rows(B, batch, channel, tokens, start),
                matrix_rows(C, batch, channel, tokens, start),
            )
            _recur(step, u_tile, A2[channel], B[0], b, C[0], c, state[row], y)
            z_tile, out_tile = tile_of(z, batch, channel, start, n), tile_of(out, batch, channel, start, n)
            _finish(y, u_tile, has_skip, skip[channel], z_tile, gate, out_tile)
