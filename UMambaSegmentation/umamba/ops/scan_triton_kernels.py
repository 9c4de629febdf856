"""The forward kernels of the selective scan for GPUs, and what the backward kernel shares with them.

The tokens are cut into tiles, all of which run at the same time. What a tile makes of the state is the map
s -> exp(A sum d) s + v, with v its last state when it begins with zero: `sum_up_tiles` computes v and the sum
of the steps d, `hand_on` runs the maps one after the other, and `scan_tiles` computes the outputs, now
knowing the state before each tile.

A program works on BLOCK_D channels of one batch entry and of one group of B and of C, through one tile, in
blocks of BLOCK_T tokens: one warp, in whose lanes lie both axes of a block. For one state after the other it
scans the block along its tokens. Arrays of states are (b, tiles, N, D), so that lanes that are neighbours
read neighbours; so are A and what else is (D, N) outside, (N, D) here. Powers are powers of two, log2(e)
being multiplied into A.

Arguments: tensors of tokens are (b, D, L) with the tokens contiguous, each with its strides `_b` and `_d`.
B and C are (b, G, N, L) with the tokens contiguous, strides `_b`, `_g` and `_n`, and `_span` channels in a
group; or, where B_TOKENS or C_TOKENS is false, (N, D) with the stride `_n` alone.
"""

from __future__ import annotations

import triton.language as tl

from umamba.ops.triton_jit import kernel
from umamba.ops.triton_math import LOG2_E, silu_as_given, softplus

# Stands for an infinite A, which must not be NaN times a step of zero (of tokens beyond the last).
_LARGE = tl.constexpr(1e38)

# Sizes of whose values the compiler gains nothing.
LOOSE = ("channels", "tiles", "N", "span", "B_span", "C_span", "tile_blocks", "wide_blocks")


@kernel()
def then(decay: tl.tensor, value: tl.tensor, next_decay: tl.tensor, next_value: tl.tensor) -> tl.tensor:
    """The map s -> decay s + value, and the next one after it, as one map."""
    return decay * next_decay, next_decay * value + next_value


@kernel()
def sum_and_later(total: tl.tensor, later: tl.tensor, more: tl.tensor, none: tl.tensor) -> tl.tensor:
    """Sums from the end, with and without the token itself; a token alone: its value, and zero."""
    return total + more, total + none


@kernel()
def states_along(decay: tl.tensor, value: tl.tensor) -> tl.tensor:
    """s_t = decay_t s_{t-1} + value_t along a block, beginning with zero."""
    _through, state = tl.associative_scan((decay, value), 0, then)
    return state


@kernel()
def steps_after(step: tl.tensor) -> tl.tensor:
    """The sum of the steps after each token of a block."""
    _with, after = tl.associative_scan((step, tl.zeros_like(step)), 0, sum_and_later, reverse=True)
    return after


@kernel()
def place(tiles: int, channels: int, span: int, width: int, program: tl.tensor) -> tl.tensor:
    """Batch entry and tile, both int64, and first channel and limit of the channels of a program.

    Programs that follow each other differ in their channels, so that they read the same B and C.
    """
    parts_of_span = tl.cdiv(span, width)
    parts = channels // span * parts_of_span
    part = program % parts
    tile = program // parts
    first = part // parts_of_span * span + part % parts_of_span * width
    limit = (part // parts_of_span + 1) * span
    return (tile // tiles).to(tl.int64), (tile % tiles).to(tl.int64), first, limit


@kernel()
def at_tokens(
    entry: tl.tensor, channel: tl.tensor, token: tl.tensor, stride_b: int, stride_d: int
) -> tl.tensor:
    """The places of a block in a tensor of tokens, (BLOCK_T, BLOCK_D)."""
    return (entry * stride_b + channel.to(tl.int64) * stride_d)[None, :] + token[:, None]


@kernel()
def of_channels(vector: tl.tensor, channel: tl.tensor, here: tl.tensor) -> tl.tensor:
    """A vector over channels (or None for zeros), (1, BLOCK_D) float32."""
    if vector is None:
        values = tl.zeros_like(channel).to(tl.float32)
    else:
        values = tl.load(vector + channel, mask=here, other=0.0)
    return values[None, :]


@kernel()
def rates_of(A: tl.tensor, n: tl.tensor, channels: int, channel: tl.tensor, here: tl.tensor) -> tl.tensor:
    """log2(e) A for one state, (BLOCK_D,), finite or NaN."""
    rate = tl.load(A + n * channels + channel, mask=here, other=0.0) * LOG2_E
    rate = tl.where(rate < -_LARGE, -_LARGE, rate)
    return tl.where(rate > _LARGE, _LARGE, rate)


@kernel()
def matrix_start(
    entry: tl.tensor, first: tl.tensor, span: int, stride_b: int, stride_g: int, PER_TOKEN: tl.constexpr
) -> tl.tensor:
    """Where B or C begins for a program's channels."""
    start = entry * 0
    if PER_TOKEN:
        start = entry * stride_b + (first // span).to(tl.int64) * stride_g
    return start


@kernel()
def matrix_of(
    matrix: tl.tensor,
    start: tl.tensor,
    token: tl.tensor,
    inside: tl.tensor,
    channel: tl.tensor,
    here: tl.tensor,
    PER_TOKEN: tl.constexpr,
) -> tl.tensor:
    """B or C for one state, (BLOCK_T, 1) or (1, BLOCK_D) float32."""
    if PER_TOKEN:
        values = tl.load(matrix + start + token, mask=inside, other=0.0).to(tl.float32)[:, None]
    else:
        values = tl.load(matrix + start + channel, mask=here, other=0.0)[None, :]
    return values


@kernel()
def steps_of(raw: tl.tensor, block: tl.tensor, SOFTPLUS: tl.constexpr) -> tl.tensor:
    """The steps d, zero where there is no token: the state stays as it is."""
    if SOFTPLUS:
        raw = softplus(raw)
    return tl.where(block, raw, 0.0)


@kernel()
def carry_over(
    old_states: tl.tensor,
    new_states: tl.tensor,
    known: tl.tensor,
    stride_n: int,
    exponent: tl.tensor,
    weight: tl.tensor,
    total: tl.tensor,
    A: tl.tensor,
    N: int,
    channels: int,
    channel: tl.tensor,
    here: tl.tensor,
    matrix: tl.tensor,
    start: tl.tensor,
    matrix_n: tl.tensor,
    token: tl.tensor,
    inside: tl.tensor,
    PER_TOKEN: tl.constexpr,
) -> None:
    """Take states through a block: new = exp(A total) old + sum_t exp(A exponent_t) weight_t matrix_t.

    old_states, new_states: pointers (BLOCK_D,) of the first state. known: false where old states are zeros.
    exponent, weight: (BLOCK_T, BLOCK_D).  total: (BLOCK_D,).
    """
    for n in range(N):
        rate = rates_of(A, n, channels, channel, here)
        values = matrix_of(matrix, start + n * matrix_n, token, inside, channel, here, PER_TOKEN)
        old = tl.load(old_states + n * stride_n, mask=known, other=0.0)
        new = tl.sum(tl.exp2(rate[None, :] * exponent) * (weight * values), 0)
        tl.store(new_states + n * stride_n, tl.exp2(rate * total) * old + new, mask=here)


@kernel(*LOOSE)
def sum_up_tiles(
    u: tl.tensor,
    delta: tl.tensor,
    bias: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    values: tl.tensor,
    totals: tl.tensor,
    u_b: int,
    u_d: int,
    delta_b: int,
    delta_d: int,
    B_b: int,
    B_g: int,
    B_n: int,
    B_span: int,
    channels: int,
    length: int,
    tiles: int,
    N: int,
    span: int,
    tile_blocks: int,
    SOFTPLUS: tl.constexpr,
    B_TOKENS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """What each tile makes of a state of zero, `values` (b, tiles, N, D), and its `totals` (b, tiles, D)."""
    entry, tile, first, limit = place(tiles, channels, span, BLOCK_D, tl.program_id(0))
    channel = first + tl.arange(0, BLOCK_D)
    here = channel < limit
    skew = of_channels(bias, channel, here)
    state = values + (entry * tiles + tile) * N * channels + channel
    start = matrix_start(entry, first, B_span, B_b, B_g, B_TOKENS)
    sum_of_tile = tl.zeros((BLOCK_D,), tl.float32)
    for block in range(tile_blocks):
        tl.debug_barrier()  # what one lane wrote in the block before, another may read
        token = (tile * tile_blocks + block) * BLOCK_T + tl.arange(0, BLOCK_T)
        inside = token < length
        mask = inside[:, None] & here[None, :]
        raw = tl.load(delta + at_tokens(entry, channel, token, delta_b, delta_d), mask=mask, other=0.0)
        step = steps_of(raw.to(tl.float32) + skew, mask, SOFTPLUS)
        x = tl.load(u + at_tokens(entry, channel, token, u_b, u_d), mask=mask, other=0.0).to(tl.float32)
        total = tl.sum(step, 0)
        carry_over(
            state,
            state,
            here & (block > 0),
            channels,
            steps_after(step),
            step * x,
            total,
            A,
            N,
            channels,
            channel,
            here,
            B,
            start,
            tl.cast(B_n, tl.int64),
            token,
            inside,
            B_TOKENS,
        )
        sum_of_tile += total
    tl.store(totals + (entry * tiles + tile) * channels + channel, sum_of_tile, mask=here)


@kernel("channels", "tiles", "lines")
def hand_on(
    first: tl.tensor,
    values: tl.tensor,
    totals: tl.tensor,
    A: tl.tensor,
    states: tl.tensor,
    channels: int,
    tiles: int,
    lines: int,
    BACKWARDS: tl.constexpr,
    BLOCK_TILES: tl.constexpr,
    BLOCK_LINES: tl.constexpr,
) -> None:
    """The state before each tile; BACKWARDS: what comes from behind each tile.

    first: (b, N, D), where it begins.  values (b, tiles, N, D), totals (b, tiles, D): the tiles' maps.
    states: (b, tiles, N, D), written.  lines: N D, the recurrences of a batch entry.
    """
    line_blocks = tl.cdiv(lines, BLOCK_LINES)
    entry = (tl.program_id(0) // line_blocks).to(tl.int64)
    line = tl.program_id(0) % line_blocks * BLOCK_LINES + tl.arange(0, BLOCK_LINES)
    here = line < lines
    rate = rates_of(A, 0, 0, line, here)
    carry = tl.load(first + entry * lines + line, mask=here, other=0.0)
    for begin in range(0, tiles, BLOCK_TILES):
        order = begin + tl.arange(0, BLOCK_TILES)
        to, source = order, order - 1
        if BACKWARDS:
            to, source = tiles - 1 - order, tiles - order
        mask = (order < tiles)[:, None] & here[None, :]
        after_one = mask & (order > 0)[:, None]
        row = (entry * tiles + source)[:, None]
        total = tl.load(totals + row * channels + (line % channels)[None, :], mask=after_one, other=0.0)
        value = tl.load(values + row * lines + line[None, :], mask=after_one, other=0.0)
        through, own = tl.associative_scan((tl.exp2(rate[None, :] * total), value), 0, then)
        state = own + through * carry[None, :]
        tl.store(states + (entry * tiles + to)[:, None] * lines + line[None, :], state, mask=mask)
        carry = tl.sum(tl.where(order[:, None] == begin + BLOCK_TILES - 1, state, 0.0), 0)


@kernel(*LOOSE)
def scan_tiles(
    u: tl.tensor,
    delta: tl.tensor,
    z: tl.tensor,
    out: tl.tensor,
    D: tl.tensor,
    bias: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    states: tl.tensor,
    u_b: int,
    u_d: int,
    delta_b: int,
    delta_d: int,
    z_b: int,
    z_d: int,
    out_b: int,
    out_d: int,
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
    SOFTPLUS: tl.constexpr,
    B_TOKENS: tl.constexpr,
    C_TOKENS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """The outputs. states: (b, tiles, N, D), before each tile; overwritten by those after it."""
    entry, tile, first, limit = place(tiles, channels, span, BLOCK_D, tl.program_id(0))
    channel = first + tl.arange(0, BLOCK_D)
    here = channel < limit
    skew, skip = of_channels(bias, channel, here), of_channels(D, channel, here)
    state = states + (entry * tiles + tile) * N * channels + channel
    B_start = matrix_start(entry, first, B_span, B_b, B_g, B_TOKENS)
    C_start = matrix_start(entry, first, C_span, C_b, C_g, C_TOKENS)
    B_step, C_step = tl.cast(B_n, tl.int64), tl.cast(C_n, tl.int64)
    place_in_block = tl.arange(0, BLOCK_T)[:, None]
    for block in range(tile_blocks):
        tl.debug_barrier()  # what one lane wrote in the block before, another may read
        token = (tile * tile_blocks + block) * BLOCK_T + tl.arange(0, BLOCK_T)
        inside = token < length
        mask = inside[:, None] & here[None, :]
        raw = tl.load(delta + at_tokens(entry, channel, token, delta_b, delta_d), mask=mask, other=0.0)
        step = steps_of(raw.to(tl.float32) + skew, mask, SOFTPLUS)
        x = tl.load(u + at_tokens(entry, channel, token, u_b, u_d), mask=mask, other=0.0).to(tl.float32)
        product = step * x
        y = skip * x
        for n in range(N):
            rate = rates_of(A, n, channels, channel, here)
            B_now = matrix_of(B, B_start + n * B_step, token, inside, channel, here, B_TOKENS)
            C_now = matrix_of(C, C_start + n * C_step, token, inside, channel, here, C_TOKENS)
            before = tl.load(state + n * channels, mask=here, other=0.0)
            decay = tl.exp2(rate[None, :] * step)
            value = product * B_now
            value = tl.where(place_in_block == 0, decay * before[None, :] + value, value)
            s = states_along(decay, value)
            y += s * C_now
            after = tl.sum(tl.where(place_in_block == BLOCK_T - 1, s, 0.0), 0)
            tl.store(state + n * channels, after, mask=here)
        if z is not None:
            y *= silu_as_given(tl.load(z + at_tokens(entry, channel, token, z_b, z_d), mask=mask, other=0.0))
        tl.store(out + at_tokens(entry, channel, token, out_b, out_d), y, mask=mask)
