"""The backward kernel of the selective scan for CPUs.

Tiles are taken from the last to the first. For each channel of a tile the states are computed again from the
one kept before the tile; then the adjoint of the state runs backwards through it:

    g_t = C_t dy_t + exp(d_{t+1} A) g_{t+1}

and every gradient is a sum over states, tokens or channels of a product with g_t or s_t. Sums over channels
(for B and C) are made block by block, the blocks being a matter of sizes alone. The loops are kept apart and
simple, each over rows of few arrays: so the compiler can tell that they may run on vectors.
"""

from __future__ import annotations

import numpy as np

from umamba.ops.numba_jit import REASSOCIATE, inlined, kernel
from umamba.ops.numba_math import LN_2, ONE, ZERO, exp2, sigmoid
from umamba.ops.numba_rows import ROWS, Array, Rows, tile_of
from umamba.ops.scan_numba_kernels import (
    MATRIX,
    TILE,
    Matrix,
    Pair,
    make_steps,
    matrix_rows,
)


@inlined(REASSOCIATE)
def _replay(
    step: Array,
    u: Array,
    A2: Array,
    B: Array,
    b: Pair,
    C: Array,
    c: Pair,
    state: Array,
    decays: Array,
    after: Array,
    y: Array,
) -> None:
    """decays[t] = exp(d_t A), after[t] = s_t, y[t] = <C_t, s_t>; `state` (N,) goes through the tile.

    B, C: (rows, N), of which token t reads row b[0] + t * b[1], c[0] + t * c[1].
    """
    for t in range(u.size):
        x = step[t]
        product = x * u[t]
        B_now, C_now, decays_now, after_now = B[b[0] + t * b[1]], C[c[0] + t * c[1]], decays[t], after[t]
        total = ZERO
        for n in range(state.size):
            decay = exp2(x * A2[n])
            s = decay * state[n] + product * B_now[n]
            state[n] = s
            decays_now[n] = decay
            after_now[n] = s
            total += s * C_now[n]
        y[t] = total


@inlined()
def _ungate(
    dout: Array, y: Array, u: Array, skip: np.float32, z: Array, gated: bool, dy: Array, dz: Array
) -> None:
    """The gradient dy of the output before the gate, and dz, for the tokens of `u`."""
    for t in range(u.size):
        dy[t] = dout[t]
        if gated:
            s = sigmoid(z[t])
            dz[t] = dout[t] * (y[t] + skip * u[t]) * s * (ONE + z[t] * (ONE - s))
            dy[t] = dout[t] * z[t] * s


@inlined()
def _adjoint(dy: Array, C: Array, c: Pair, decays: Array, carry: Array, g: Array) -> None:
    """g[t], the gradient of s_t; `carry` (N,) goes from what comes after the tile to what comes before."""
    for i in range(dy.size):
        t = dy.size - 1 - i
        upstream = dy[t]
        C_now, decays_now, g_now = C[c[0] + t * c[1]], decays[t], g[t]
        for n in range(carry.size):
            value = upstream * C_now[n] + carry[n]
            g_now[n] = value
            carry[n] = value * decays_now[n]


@inlined()
def _add_to_c(dy: Array, after: Array, dC: Array, c: Pair) -> None:
    """dC_t += dy_t s_t."""
    for t in range(dy.size):
        upstream = dy[t]
        to, after_now = dC[c[0] + t * c[1]], after[t]
        for n in range(to.size):
            to[n] += upstream * after_now[n]


@inlined(REASSOCIATE)
def _add_to_b(step: Array, u: Array, g: Array, B: Array, b: Pair, dB: Array, db: Pair, by_B: Array) -> None:
    """dB_t += g_t d_t u_t, and by_B[t] = <g_t, B_t>, the gradient of d_t u_t."""
    for t in range(u.size):
        product = step[t] * u[t]
        to, B_now, g_now = dB[db[0] + t * db[1]], B[b[0] + t * b[1]], g[t]
        total = ZERO
        for n in range(to.size):
            to[n] += g_now[n] * product
            total += g_now[n] * B_now[n]
        by_B[t] = total


@inlined(REASSOCIATE)
def _add_to_a(
    step: Array, tokens: int, g: Array, decays: Array, before: Array, A2: Array, dA: Array, by_A: Array
) -> None:
    """With h_t = g_t exp(d_t A) s_{t-1}: dA += h_t d_t, and by_A[t] = <h_t, A>, which goes to d_t."""
    for t in range(tokens):
        x = step[t]
        g_now, decays_now, before_now = g[t], decays[t], before[t]
        total = ZERO
        for n in range(A2.size):
            h = g_now[n] * decays_now[n] * before_now[n]
            dA[n] += h * x
            total += h * A2[n]
        by_A[t] = total * LN_2


@inlined()
def _write_tokens(
    delta: Array,
    bias: np.float32,
    use_softplus: bool,
    skip: np.float32,
    step: Array,
    u: Array,
    dy: Array,
    by_B: Array,
    by_A: Array,
    du: Array,
    ddelta: Array,
) -> None:
    """du and ddelta for the tokens of `u`."""
    for t in range(u.size):
        du[t] = by_B[t] * step[t] + skip * dy[t]
        slope = sigmoid(delta[t] + bias) if use_softplus else ONE
        ddelta[t] = (by_B[t] * u[t] + by_A[t]) * slope


@inlined(REASSOCIATE)
def _dot(left: Array, right: Array) -> np.float32:
    total = ZERO
    for t in range(right.size):
        total += left[t] * right[t]
    return total


@inlined(REASSOCIATE)
def _sum(values: Array) -> np.float32:
    total = ZERO
    for t in range(values.size):
        total += values[t]
    return total


@kernel(
    f"void({ROWS}, {ROWS}, {ROWS}, {ROWS}, f4[:, ::1], {MATRIX}, {MATRIX}, f4[::1], f4[::1], f4[:, :, ::1],"
    f"{ROWS}, {ROWS}, {ROWS}, f4[:, ::1], f4[:, ::1], f4[:, ::1], f8[:, ::1], f8[::1], f8[::1],"
    "b1, b1, i8[:, ::1], i8, i8)"
)
def scan_block_backward(
    u: Rows,
    delta: Rows,
    z: Rows,
    dout: Rows,
    A2: Array,
    B: Matrix,
    C: Matrix,
    bias: Array,
    skip: Array,
    kept: Array,
    du: Rows,
    ddelta: Rows,
    dz: Rows,
    dB: Array,
    dC: Array,
    carry: Array,
    dA: Array,
    dskip: Array,
    dbias: Array,
    use_softplus: bool,
    gated: bool,
    blocks: Array,
    block: int,
    tokens: int,
) -> None:
    """The gradients of a chunk of tokens for one block of channels.

    u to skip: as in the forward kernel.  kept: (b D, tiles, N), the states before the chunk's tiles.
    du, ddelta, dz: written.  dB, dC: (blocks * tokens, N) if B depends on the token, else (b D, N): added to.
    carry: (b D, N), the gradient of the chunk's last state; afterwards of the state before the chunk.
    dA (b D, N), dskip, dbias (b D,): float64, added to.
    blocks: (n, 3): batch entry, first channel, last channel (exclusive).
    """
    batch, first, last = blocks[block]
    channels, states = A2.shape
    step, y, dy = np.empty(TILE, np.float32), np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    by_A, by_B = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    decays, g = np.empty((TILE, states), np.float32), np.empty((TILE, states), np.float32)
    history = np.empty((TILE + 1, states), np.float32)  # the states, with the one before the tile
    state, dA_tile = np.empty(states, np.float32), np.empty(states, np.float32)
    for tile in range(kept.shape[1] - 1, -1, -1):
        start = tile * TILE
        n = min(TILE, tokens - start)
        for channel in range(first, last):
            row = batch * channels + channel
            u_tile = tile_of(u, batch, channel, start, n)
            delta_tile = tile_of(delta, batch, channel, start, n)
            z_tile = tile_of(z, batch, channel, start, n)
            b, c = (
                matrix_rows(B, batch, channel, tokens, start),
                matrix_rows(C, batch, channel, tokens, start),
            )
            db = (block * tokens + start, 1) if b[1] else (row, 0)
            dc = (block * tokens + start, 1) if c[1] else (row, 0)
            history[0], state[:], dA_tile[:] = kept[row, tile], kept[row, tile], ZERO
            make_steps(delta_tile, bias[channel], use_softplus, step)
            _replay(step, u_tile, A2[channel], B[0], b, C[0], c, state, decays, history[1:], y)
            dz_tile = tile_of(dz, batch, channel, start, n)
            _ungate(
                tile_of(dout, batch, channel, start, n), y, u_tile, skip[channel], z_tile, gated, dy, dz_tile
            )
            _adjoint(dy[:n], C[0], c, decays, carry[row], g)
            _add_to_c(dy[:n], history[1:], dC, dc)
            _add_to_b(step, u_tile, g, B[0], b, dB, db, by_B)
            _add_to_a(step, n, g, decays, history, A2[channel], dA_tile, by_A)
            for i in range(states):
                dA[row, i] += dA_tile[i]
            ddelta_tile = tile_of(ddelta, batch, channel, start, n)
            _write_tokens(
                delta_tile,
                bias[channel],
                use_softplus,
                skip[channel],
                step,
                u_tile,
                dy,
                by_B,
                by_A,
                tile_of(du, batch, channel, start, n),
                ddelta_tile,
            )
            dskip[row] += _dot(dy, u_tile)
            dbias[row] += _sum(ddelta_tile)
