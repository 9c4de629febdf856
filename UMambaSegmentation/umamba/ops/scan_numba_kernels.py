"""The forward kernel of the selective scan for CPUs.

For every tile of tokens and channel: softplus over the tile (vector over tokens), the recurrence (vector over
states, one token after the other), skip and gate over the tile (vector over tokens). An exponential is
computed as a power of two, log2(e) being multiplied into A beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from umamba.ops.numba_jit import REASSOCIATE, inlined, kernel
from umamba.ops.numba_math import ZERO, exp2, sigmoid, softplus

Array = Any  # a numpy array: dtype and dimensions stand in the kernels' signatures
Pair = tuple[int, int]
Triple = tuple[int, int, int]

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
def matrix_rows(where: Triple, batch: int, channel: int, tokens: int, start: int) -> Pair:
    """Row of the first token of a tile in B or C, and rows from one token to the next (0: constant).

    where: (groups of a batch entry or 0, channels of a group, 1 or 0 rows a token).
    """
    group = batch * where[0] + channel // where[1]
    if where[2] == 0:
        return group, 0
    return group * tokens + start, 1


@inlined(REASSOCIATE)
def _recur(
    step: Array, u: Array, A2: Array, B: Array, b_rows: Pair, C: Array, c_rows: Pair, state: Array, y: Array
) -> None:
    """y_t = <C_t, s_t> for the tokens of `u`; `state` (N,) goes from the first to the last.

    B, C: (rows, N), of which token t reads row rows[0] + t * rows[1].
    """
    for t in range(u.size):
        x = step[t]
        product = x * u[t]
        b, c = b_rows[0] + t * b_rows[1], c_rows[0] + t * c_rows[1]
        total = ZERO
        if state.size == USUAL_STATES:
            for n in range(USUAL_STATES):
                s = exp2(x * A2[n]) * state[n] + product * B[b, n]
                state[n] = s
                total += s * C[c, n]
        else:
            for n in range(state.size):
                s = exp2(x * A2[n]) * state[n] + product * B[b, n]
                state[n] = s
                total += s * C[c, n]
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
    "void(f4[::1], UniTuple(i8, 2), f4[::1], UniTuple(i8, 2), f4[::1], UniTuple(i8, 2), f4[::1], UniTuple(i8, 2),"
    "f4[:, ::1], f4[:, ::1], UniTuple(i8, 3), f4[:, ::1], UniTuple(i8, 3), f4[::1], f4[::1],"
    "f4[:, ::1], f4[:, :, ::1], b1, b1, i8, i8, i8, i8)"
)
def scan_rows(
    u: Array,
    u_strides: Pair,
    delta: Array,
    delta_strides: Pair,
    z: Array,
    z_strides: Pair,
    out: Array,
    out_strides: Pair,
    A2: Array,
    B: Array,
    b_map: Triple,
    C: Array,
    c_map: Triple,
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

    u, delta, z, out: flat; token t of channel d and entry b stands at b * strides[0] + d * strides[1] + t.
    A2: (D, N), A times log2(e).  bias, skip: (D,).
    B, C: (rows, N), a row for every token of every group; b_map, c_map: as for `matrix_rows`.
    state: (b D, N), overwritten.  kept: (b D, tiles, N), the state before each tile; not written if empty.
    """
    channels, states = A2.shape
    step, y = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    for start in range(0, tokens, TILE):
        n = min(TILE, tokens - start)
        for row in range(first, last):
            batch, channel = row // channels, row % channels
            at = batch * u_strides[0] + channel * u_strides[1] + start
            u_tile = u[at : at + n]
            at = batch * delta_strides[0] + channel * delta_strides[1] + start
            make_steps(delta[at : at + n], bias[channel], use_softplus, step)
            if kept.size > 0:
                kept[row, start // TILE] = state[row]
            b_rows = matrix_rows(b_map, batch, channel, tokens, start)
            c_rows = matrix_rows(c_map, batch, channel, tokens, start)
            _recur(step, u_tile, A2[channel], B, b_rows, C, c_rows, state[row], y)
            z_at = batch * z_strides[0] + channel * z_strides[1] + start if gate != NO_GATE else 0
            at = batch * out_strides[0] + channel * out_strides[1] + start
            _finish(y, u_tile, has_skip, skip[channel], z[z_at : z_at + n], gate, out[at : at + n])
