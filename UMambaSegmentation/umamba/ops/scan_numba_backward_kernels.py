"""The backward kernel of the selective scan for CPUs.

Tiles are taken from the last to the first. For each channel of a tile the states are computed again from the
one kept before the tile; then the adjoint of the state runs backwards through it:

    g_t = C_t dy_t + exp(d_{t+1} A) g_{t+1}

and every gradient is a sum over states, tokens or channels of a product with g_t or s_t. Sums over channels
(for B and C) are made block by block, the blocks being a matter of sizes alone. States are taken LANES at a
time, as one value; what concerns tokens alone is a loop over a tile, simple enough to run on vectors.
"""

from __future__ import annotations

import numpy as np

from umamba.ops.numba_jit import REASSOCIATE, inlined, kernel
from umamba.ops.numba_lanes import LANES, Lanes, load, spread, store, total
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


@inlined()
def _replay(
    step: Array,
    u: Array,
    A: Lanes,
    B: Array,
    b: Pair,
    column: int,
    first_state: Lanes,
    exponents: Array,
    decays: Array,
    history: Array,
) -> None:
    """decays[t] = exp(d_t A), history[t] = s_{t-1}, of which one more than there are tokens.

    B: (rows, N), of which token t reads row b[0] + t * b[1]. exponents: the memory of `decays`, flat.
    """
    for t in range(u.size):
        store(decays, t, 0, spread(step[t]) * A)
    for i in range(u.size * LANES):
        exponents[i] = exp2(exponents[i])
    state = first_state
    store(history, 0, 0, state)
    for t in range(u.size):
        product = spread(step[t] * u[t])
        state = load(decays, t, 0) * state + product * load(B, b[0] + t * b[1], column)
        store(history, t + 1, 0, state)


@inlined()
def _add_outputs(C: Array, c: Pair, column: int, history: Array, y: Array) -> None:
    """y_t += <C_t, s_t>."""
    for t in range(y.size):
        y[t] += total(load(C, c[0] + t * c[1], column) * load(history, t + 1, 0))


@inlined()
def _adjoint(
    step: Array,
    u: Array,
    dy: Array,
    A: Lanes,
    B: Array,
    b: Pair,
    C: Array,
    c: Pair,
    column: int,
    decays: Array,
    history: Array,
    last_gradient: Lanes,
    dB: Array,
    db: Pair,
    dC: Array,
    dc: Pair,
    by_B: Array,
    by_A: Array,
) -> tuple[Lanes, Lanes]:
    """The gradients g_t from the last token to the first, and with h_t = g_t exp(d_t A) s_{t-1} the sums

    dB_t += g_t d_t u_t,  dC_t += dy_t s_t,  by_B[t] += <g_t, B_t>,  by_A[t] += <h_t, A>.

    Returns the gradient of the state before the tile, and sum_t h_t d_t, the gradient of A.
    """
    carry, dA = last_gradient, spread(ZERO)
    for i in range(u.size):
        t = u.size - 1 - i
        upstream = spread(dy[t])
        g = upstream * load(C, c[0] + t * c[1], column) + carry
        to_B, to_C = db[0] + t * db[1], dc[0] + t * dc[1]
        store(dB, to_B, column, load(dB, to_B, column) + g * spread(step[t] * u[t]))
        store(dC, to_C, column, load(dC, to_C, column) + upstream * load(history, t + 1, 0))
        by_B[t] += total(g * load(B, b[0] + t * b[1], column))
        carry = g * load(decays, t, 0)
        h = carry * load(history, t, 0)
        dA = dA + h * spread(step[t])
        by_A[t] += total(h * A)
    return carry, dA


@inlined()
def _before_gate(dout: Array, z: Array, gated: bool, dy: Array) -> None:
    """The gradient dy of the output before the gate."""
    for t in range(dy.size):
        dy[t] = dout[t] * z[t] * sigmoid(z[t]) if gated else dout[t]


@inlined()
def _write_gate(dout: Array, y: Array, u: Array, skip: np.float32, z: Array, dz: Array) -> None:
    for t in range(u.size):
        s = sigmoid(z[t])
        dz[t] = dout[t] * (y[t] + skip * u[t]) * s * (ONE + z[t] * (ONE - s))


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
        ddelta[t] = (by_B[t] * u[t] + by_A[t] * LN_2) * slope


@inlined(REASSOCIATE)
def _dot(left: Array, right: Array) -> np.float32:
    result = ZERO
    for t in range(right.size):
        result += left[t] * right[t]
    return result


@inlined(REASSOCIATE)
def _sum(values: Array) -> np.float32:
    result = ZERO
    for t in range(values.size):
        result += values[t]
    return result


@kernel(
    f"void({ROWS}, {ROWS}, {ROWS}, {ROWS}, f4[:, ::1], {MATRIX}, {MATRIX}, f4[::1], f4[::1], f4[:, ::1],"
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

    N is a multiple of LANES here.  u to skip: as in the forward kernel.
    kept: (b D tiles, N), the states before the chunk's tiles.
    du, ddelta, dz: written.  dB, dC: (blocks * tokens, N) if B depends on the token, else (b D, N): added to.
    carry: (b D, N), the gradient of the chunk's last state; afterwards of the state before the chunk.
    dA (b D, N), dskip, dbias (b D,): float64, added to.
    blocks: (n, 3): batch entry, first channel, last channel (exclusive).
    """
    batch, first, last = blocks[block]
    channels, states = A2.shape
    tiles = kept.shape[0] // carry.shape[0]
    step, y, dy = np.empty(TILE, np.float32), np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    by_A, by_B = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    exponents, history = np.empty(TILE * LANES, np.float32), np.empty((TILE + 1, LANES), np.float32)
    decays, dA_tile = exponents.reshape(TILE, LANES), np.empty((1, LANES), np.float32)
    for tile in range(tiles - 1, -1, -1):
        start = tile * TILE
        n = min(TILE, tokens - start)
        for channel in range(first, last):
            row = batch * channels + channel
            u_tile = tile_of(u, batch, channel, start, n)
            delta_tile = tile_of(delta, batch, channel, start, n)
            z_tile = tile_of(z, batch, channel, start, n)
            dout_tile = tile_of(dout, batch, channel, start, n)
            b = matrix_rows(B, batch, channel, tokens, start)
            c = matrix_rows(C, batch, channel, tokens, start)
            db = (block * tokens + start, 1) if b[1] else (row, 0)
            dc = (block * tokens + start, 1) if c[1] else (row, 0)
            make_steps(delta_tile, bias[channel], use_softplus, step)
            _before_gate(dout_tile, z_tile, gated, dy[:n])
            y[:], by_A[:], by_B[:] = ZERO, ZERO, ZERO
            for column in range(0, states, LANES):
                A = load(A2, channel, column)
                before = load(kept, row * tiles + tile, column)
                _replay(step, u_tile, A, B[0], b, column, before, exponents, decays, history)
                if gated:
                    _add_outputs(C[0], c, column, history, y[:n])
                gradient, dA_lanes = _adjoint(
                    step,
                    u_tile,
                    dy,
                    A,
                    B[0],
                    b,
                    C[0],
                    c,
                    column,
                    decays,
                    history,
                    load(carry, row, column),
                    dB,
                    db,
                    dC,
                    dc,
                    by_B,
                    by_A,
                )
                store(carry, row, column, gradient)
                store(dA_tile, 0, 0, dA_lanes)
                for i in range(LANES):
                    dA[row, column + i] += dA_tile[0, i]
            if gated:
                _write_gate(
                    dout_tile, y, u_tile, skip[channel], z_tile, tile_of(dz, batch, channel, start, n)
                )
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
