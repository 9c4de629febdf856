"""The backward kernels of the selective scan for GPUs; layouts and names as in `scan_triton_kernels`.

The gradient g of the state runs from the last token to the first,

    g_t = C_t dy_t + exp(d_{t+1} A) g_{t+1},

and what a tile hands to the one before it is a map again: `sum_up_tiles_backward` computes it, and `hand_on`
runs the maps. `scan_tiles_backward` then goes through the blocks of its tile twice: forwards to compute the
state before each of them again, from the one kept before the tile, and backwards for the gradients, each of
which is a sum over states, tokens or channels of a product with g_t or s_t.

Sums over channels (for B and C) are made by one program for all its channels, block after block of them, and
those over programs outside, always in the same order: no atomic additions, the same bits each time.
"""

from __future__ import annotations

import triton.language as tl

from umamba.ops.scan_triton_kernels import (
    LOOSE,
    at_tokens,
    carry_over,
    matrix_of,
    matrix_start,
    of_channels,
    place,
    rates_of,
    states_along,
    steps_after,
    steps_of,
)
from umamba.ops.triton_jit import kernel
from umamba.ops.triton_math import sigmoid, silu_as_given, silu_slope

_LN_2 = tl.constexpr(0.6931471805599453)


@kernel()
def before_that(
    decay: tl.tensor,
    through: tl.tensor,
    gradient: tl.tensor,
    earlier_decay: tl.tensor,
    earlier_through: tl.tensor,
    earlier_gradient: tl.tensor,
) -> tl.tensor:
    """The gradient of a run of tokens' first state, from that of the state after it, put behind another run.

    A run is the map g -> through g + gradient, and its first token's decay, by which its first state's
    gradient goes to the state before. A token alone: its decay, one, C_t dy_t.
    """
    joined = earlier_through * decay
    return earlier_decay, joined * through, joined * gradient + earlier_gradient


@kernel()
def gradients_along(decay: tl.tensor, wanted: tl.tensor) -> tl.tensor:
    """g_t = wanted_t + decay_{t+1} g_{t+1} along a block, beginning with zero behind it."""
    ones = tl.full(decay.shape, 1.0, tl.float32)
    _decay, _through, gradient = tl.associative_scan((decay, ones, wanted), 0, before_that, reverse=True)
    return gradient


@kernel()
def gradient_before_gate(
    dout: tl.tensor, z: tl.tensor, dout_at: tl.tensor, z_at: tl.tensor, mask: tl.tensor
) -> tl.tensor:
    """The gradient of the output before the gate, (BLOCK_T, BLOCK_D) float32."""
    dy = tl.load(dout + dout_at, mask=mask, other=0.0).to(tl.float32)
    if z is not None:
        dy *= silu_as_given(tl.load(z + z_at, mask=mask, other=0.0))
    return dy


@kernel(*LOOSE)
def sum_up_tiles_backward(
    dout: tl.tensor,
    z: tl.tensor,
    delta: tl.tensor,
    bias: tl.tensor,
    A: tl.tensor,
    C: tl.tensor,
    values: tl.tensor,
    totals: tl.tensor,
    dout_b: int,
    dout_d: int,
    z_b: int,
    z_d: int,
    delta_b: int,
    delta_d: int,
    C_b: int,
    C_g: int,
    C_n: int,
    C_span: int,
    channels: int,
    length: int,
    tiles: int,
    N: int,
    span: int,
    tile_blocks: int,
    SOFTPLUS: tl.constexpr,
    C_TOKENS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """The gradient of the state before each tile when none comes from behind, and the tiles' totals of d."""
    entry, tile, first, limit = place(tiles, channels, span, BLOCK_D, tl.program_id(0))
    channel = first + tl.arange(0, BLOCK_D)
    here = channel < limit
    skew = of_channels(bias, channel, here)
    gradient = values + (entry * tiles + tile) * N * channels + channel
    start = matrix_start(entry, first, C_span, C_b, C_g, C_TOKENS)
    sum_of_tile = tl.zeros((BLOCK_D,), tl.float32)
    for done in range(tile_blocks):
        tl.debug_barrier()  # what one lane wrote in the block before, another may read
        block = tile_blocks - 1 - done
        token = (tile * tile_blocks + block) * BLOCK_T + tl.arange(0, BLOCK_T)
        inside = token < length
        mask = inside[:, None] & here[None, :]
        raw = tl.load(delta + at_tokens(entry, channel, token, delta_b, delta_d), mask=mask, other=0.0)
        step = steps_of(raw.to(tl.float32) + skew, mask, SOFTPLUS)
        dy = gradient_before_gate(
            dout,
            z,
            at_tokens(entry, channel, token, dout_b, dout_d),
            at_tokens(entry, channel, token, z_b, z_d),
            mask,
        )
        total = tl.sum(step, 0)
        carry_over(
            gradient,
            gradient,
            here & (done > 0),
            channels,
            tl.cumsum(step, 0),
            dy,
            total,
            A,
            N,
            channels,
            channel,
            here,
            C,
            start,
            tl.cast(C_n, tl.int64),
            token,
            inside,
            C_TOKENS,
        )
        sum_of_tile += total
    tl.store(totals + (entry * tiles + tile) * channels + channel, sum_of_tile, mask=here)


@kernel()
def states_before_blocks(
    u: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    before_tile: tl.tensor,
    scratch: tl.tensor,
    u_b: int,
    u_d: int,
    delta_b: int,
    delta_d: int,
    B_start: tl.tensor,
    B_step: tl.tensor,
    entry: tl.tensor,
    first_token: tl.tensor,
    channel: tl.tensor,
    here: tl.tensor,
    skew: tl.tensor,
    channels: int,
    length: int,
    N: int,
    tile_blocks: int,
    SOFTPLUS: tl.constexpr,
    B_TOKENS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Fill scratch, (tile_blocks, N, BLOCK_D), with the state before each block of a tile."""
    for n in range(N):
        kept = tl.load(before_tile + n * channels, mask=here, other=0.0)
        tl.store(scratch + n * BLOCK_D, kept, mask=here)
    for block in range(tile_blocks - 1):
        tl.debug_barrier()
        token = first_token + block * BLOCK_T + tl.arange(0, BLOCK_T)
        inside = token < length
        mask = inside[:, None] & here[None, :]
        raw = tl.load(delta + at_tokens(entry, channel, token, delta_b, delta_d), mask=mask, other=0.0)
        step = steps_of(raw.to(tl.float32) + skew, mask, SOFTPLUS)
        x = tl.load(u + at_tokens(entry, channel, token, u_b, u_d), mask=mask, other=0.0).to(tl.float32)
        at = scratch + block * N * BLOCK_D
        carry_over(
            at,
            at + N * BLOCK_D,
            here,
            BLOCK_D,
            steps_after(step),
            step * x,
            tl.sum(step, 0),
            A,
            N,
            channels,
            channel,
            here,
            B,
            B_start,
            B_step,
            token,
            inside,
            B_TOKENS,
        )


@kernel()
def add_to(sums: tl.tensor, at: tl.tensor, values: tl.tensor, mask: tl.tensor, begun: tl.tensor) -> None:
    """Add values to sums that are this program's alone; begun: false where nothing has been written yet."""
    tl.store(sums + at, values + tl.load(sums + at, mask=mask & begun, other=0.0), mask=mask)


@kernel(*LOOSE, "first_program")
def scan_tiles_backward(
    dout: tl.tensor,
    u: tl.tensor,
    delta: tl.tensor,
    z: tl.tensor,
    D: tl.tensor,
    bias: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    states: tl.tensor,
    behind: tl.tensor,
    scratch: tl.tensor,
    du: tl.tensor,
    ddelta: tl.tensor,
    dz: tl.tensor,
    dD: tl.tensor,
    dbias: tl.tensor,
    dA: tl.tensor,
    dB: tl.tensor,
    dC: tl.tensor,
    dout_b: int,
    dout_d: int,
    u_b: int,
    u_d: int,
    delta_b: int,
    delta_d: int,
    z_b: int,
    z_d: int,
    to_b: int,
    to_d: int,
    B_b: int,
    B_g: int,
    B_n: int,
    B_span: int,
    C_b: int,
    C_g: int,
    C_n: int,
    C_span: int,
    channels: int,
    length: int,
    tiles: int,
    N: int,
    span: int,
    tile_blocks: int,
    wide_blocks: int,
    first_program: int,
    SOFTPLUS: tl.constexpr,
    B_TOKENS: tl.constexpr,
    C_TOKENS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """The gradients, for `wide_blocks` blocks of channels one after the other.

    states: (b, tiles, N, D), before each tile.  behind: likewise, the gradient that comes from behind each
    tile; overwritten by that of the state before it.  scratch: (programs, tile_blocks, N, BLOCK_D).
    du, ddelta, dz: (b, D, L), strides `to_b`, `to_d`.  dA, and dB, dC of constants: (b, tiles, N, D).
    dB, dC that depend on the token: (b, parts, N, L), a part being a program's channels.
    dD, dbias: (b, tiles, D), or None; so is dz.
    """
    program = first_program + tl.program_id(0)
    entry, tile, first, limit = place(tiles, channels, span, BLOCK_D * wide_blocks, program)
    parts = channels // span * tl.cdiv(span, BLOCK_D * wide_blocks)
    part = program % parts
    B_start = matrix_start(entry, first, B_span, B_b, B_g, B_TOKENS)
    C_start = matrix_start(entry, first, C_span, C_b, C_g, C_TOKENS)
    B_step, C_step = tl.cast(B_n, tl.int64), tl.cast(C_n, tl.int64)
    first_token = tile * tile_blocks * BLOCK_T
    place_in_block = tl.arange(0, BLOCK_T)[:, None]
    own = scratch + tl.program_id(0).to(tl.int64) * tile_blocks * N * BLOCK_D + tl.arange(0, BLOCK_D)
    for wide in range(wide_blocks):
        tl.debug_barrier()  # the scratch is used again
        channel = first + wide * BLOCK_D + tl.arange(0, BLOCK_D)
        here = channel < limit
        skew, skip = of_channels(bias, channel, here), of_channels(D, channel, here)
        line = (entry * tiles + tile) * channels + channel
        at_state = (entry * tiles + tile) * N * channels + channel
        states_before_blocks(
            u,
            delta,
            A,
            B,
            states + at_state,
            own,
            u_b,
            u_d,
            delta_b,
            delta_d,
            B_start,
            B_step,
            entry,
            first_token,
            channel,
            here,
            skew,
            channels,
            length,
            N,
            tile_blocks,
            SOFTPLUS,
            B_TOKENS,
            BLOCK_T,
            BLOCK_D,
        )
        sum_D = tl.zeros((BLOCK_D,), tl.float32)
        sum_bias = tl.zeros((BLOCK_D,), tl.float32)
        for done in range(tile_blocks):
            tl.debug_barrier()
            block = tile_blocks - 1 - done
            token = first_token + block * BLOCK_T + tl.arange(0, BLOCK_T)
            inside = token < length
            mask = inside[:, None] & here[None, :]
            dout_at = at_tokens(entry, channel, token, dout_b, dout_d)
            z_at = at_tokens(entry, channel, token, z_b, z_d)
            raw = tl.load(delta + at_tokens(entry, channel, token, delta_b, delta_d), mask=mask, other=0.0)
            raw = raw.to(tl.float32) + skew
            step = steps_of(raw, mask, SOFTPLUS)
            x = tl.load(u + at_tokens(entry, channel, token, u_b, u_d), mask=mask, other=0.0).to(tl.float32)
            dy = gradient_before_gate(dout, z, dout_at, z_at, mask)
            product = step * x
            y = skip * x
            by_A = tl.zeros((BLOCK_T, BLOCK_D), tl.float32)
            by_B = tl.zeros((BLOCK_T, BLOCK_D), tl.float32)
            for n in range(N):
                rate = rates_of(A, n, channels, channel, here)
                B_now = matrix_of(B, B_start + n * B_step, token, inside, channel, here, B_TOKENS)
                C_now = matrix_of(C, C_start + n * C_step, token, inside, channel, here, C_TOKENS)
                before = tl.load(own + (block * N + n) * BLOCK_D, mask=here, other=0.0)
                coming = tl.load(behind + at_state + n * channels, mask=here, other=0.0)
                decay = tl.exp2(rate[None, :] * step)
                value = product * B_now
                begun = tl.where(place_in_block == 0, decay * before[None, :] + value, value)
                s = states_along(decay, begun)
                y += s * C_now
                wanted = dy * C_now
                wanted = tl.where(place_in_block == BLOCK_T - 1, wanted + coming[None, :], wanted)
                g = gradients_along(decay, wanted)
                going = tl.sum(tl.where(place_in_block == 0, decay * g, 0.0), 0)
                tl.store(behind + at_state + n * channels, going, mask=here)
                if B_TOKENS:
                    at = ((entry * parts + part) * N + n) * length + token
                    add_to(dB, at, tl.sum(g * product, 1), inside, wide > 0)
                else:
                    add_to(dB, at_state + n * channels, tl.sum(g * product, 0), here, done > 0)
                if C_TOKENS:
                    at = ((entry * parts + part) * N + n) * length + token
                    add_to(dC, at, tl.sum(dy * s, 1), inside, wide > 0)
                else:
                    add_to(dC, at_state + n * channels, tl.sum(dy * s, 0), here, done > 0)
                by_B += g * B_now
                through = g * (s - value)  # g_t exp(d_t A) s_{t-1}
                by_A += through * rate[None, :]
                add_to(dA, at_state + n * channels, tl.sum(through * step, 0), here, done > 0)
            gradient = by_B * x + by_A * _LN_2
            if SOFTPLUS:
                gradient *= sigmoid(raw)
            to = at_tokens(entry, channel, token, to_b, to_d)
            tl.store(du + to, by_B * step + skip * dy, mask=mask)
            tl.store(ddelta + to, gradient, mask=mask)
            if dz is not None:
                dout_here = tl.load(dout + dout_at, mask=mask, other=0.0).to(tl.float32)
                gate = tl.load(z + z_at, mask=mask, other=0.0).to(tl.float32)
                tl.store(dz + to, dout_here * y * silu_slope(gate), mask=mask)
            sum_D += tl.sum(dy * x, 0)
            sum_bias += tl.sum(tl.where(mask, gradient, 0.0), 0)
        if dD is not None:
            tl.store(dD + line, sum_D, mask=here)
        if dbias is not None:
            tl.store(dbias + line, sum_bias, mask=here)
