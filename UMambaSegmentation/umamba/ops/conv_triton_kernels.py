"""The kernels of the causal depthwise convolution for GPUs.

A program works on a block of BLOCK_ROWS rows (a row is a channel of a batch entry) and BLOCK_T tokens, which
are contiguous. Taps are read anew for each token, from the first cache: what counts is the main memory.
"""

from __future__ import annotations

import triton.language as tl

from umamba.ops.triton_jit import kernel
from umamba.ops.triton_math import sigmoid, silu_slope

LOOSE = ("rows", "channels", "tiles")


@kernel()
def row_starts(row: tl.tensor, channels: int, stride_b: int, stride_d: int) -> tl.tensor:
    """Where rows begin, (BLOCK_ROWS, 1)."""
    return (row // channels * stride_b + row % channels * stride_d)[:, None]


@kernel()
def inputs_at(
    x: tl.tensor,
    past: tl.tensor,
    x_rows: tl.tensor,
    row: tl.tensor,
    place: tl.tensor,
    mask: tl.tensor,
    length: int,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The inputs at places that may lie before the first token, where the past is (zeros if None)."""
    inside = mask & (place >= 0)[None, :] & (place < length)[None, :]
    values = tl.load(x + x_rows + place[None, :], mask=inside, other=0.0).to(tl.float32)
    if past is not None:
        kept = row[:, None] * (WIDTH - 1) + place[None, :] + (WIDTH - 1)
        before = mask & (place < 0)[None, :]
        values += tl.load(past + kept, mask=before, other=0.0).to(tl.float32)
    return values


@kernel()
def sums_at(
    x: tl.tensor,
    past: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    x_rows: tl.tensor,
    row: tl.tensor,
    place: tl.tensor,
    mask: tl.tensor,
    channels: int,
    length: int,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The weighted sums before the activation."""
    here = mask & (place < length)[None, :]
    total = tl.zeros(mask.shape, tl.float32)
    if bias is not None:
        total += tl.load(bias + row % channels)[:, None]
    for k in tl.static_range(WIDTH):
        tap = tl.load(weight + row % channels * WIDTH + k)[:, None]
        total += tap * inputs_at(x, past, x_rows, row, place + k - (WIDTH - 1), here, length, WIDTH)
    return total


@kernel(*LOOSE)
def convolve_blocks(
    x: tl.tensor,
    past: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    x_b: int,
    x_d: int,
    rows: int,
    channels: int,
    length: int,
    tiles: int,
    SILU: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_T: tl.constexpr,
) -> None:
    """x: (b, D, L) with the strides given.  past: (b, D, WIDTH - 1) or None.  out: (b, D, L), contiguous."""
    tile = tl.program_id(0) % tiles
    row = (tl.program_id(0) // tiles).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    place = tile * BLOCK_T + tl.arange(0, BLOCK_T)
    mask = (row < rows)[:, None] & (place < length)[None, :]
    row = tl.where(row < rows, row, 0)
    x_rows = row_starts(row, channels, x_b, x_d)
    total = sums_at(x, past, weight, bias, x_rows, row, place, mask, channels, length, WIDTH)
    if SILU:
        total *= sigmoid(total)
    tl.store(out + row[:, None] * length + place[None, :], total, mask=mask)


@kernel()
def gradients_of_sums(
    dout: tl.tensor,
    x: tl.tensor,
    past: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    dout_rows: tl.tensor,
    x_rows: tl.tensor,
    row: tl.tensor,
    place: tl.tensor,
    mask: tl.tensor,
    channels: int,
    length: int,
    SILU: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The gradients of the sums before the activation; zero where there is no token."""
    inside = mask & (place >= 0)[None, :] & (place < length)[None, :]
    gradient = tl.load(dout + dout_rows + place[None, :], mask=inside, other=0.0).to(tl.float32)
    if SILU:
        total = sums_at(x, past, weight, bias, x_rows, row, place, inside, channels, length, WIDTH)
        gradient *= silu_slope(total)
    return gradient


@kernel()
def gradients_of_inputs(
    dout: tl.tensor,
    x: tl.tensor,
    past: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    dout_rows: tl.tensor,
    x_rows: tl.tensor,
    row: tl.tensor,
    place: tl.tensor,
    mask: tl.tensor,
    channels: int,
    length: int,
    SILU: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The gradients of the inputs at places, which may lie before the first token."""
    total = tl.zeros(mask.shape, tl.float32)
    for k in tl.static_range(WIDTH):
        tap = tl.load(weight + row % channels * WIDTH + (WIDTH - 1 - k))[:, None]
        total += tap * gradients_of_sums(
            dout,
            x,
            past,
            weight,
            bias,
            dout_rows,
            x_rows,
            row,
            place + k,
            mask,
            channels,
            length,
            SILU,
            WIDTH,
        )
    return total


@kernel(*LOOSE)
def convolve_blocks_backward(
    dout: tl.tensor,
    x: tl.tensor,
    past: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    dx: tl.tensor,
    dpast: tl.tensor,
    dweight: tl.tensor,
    dbias: tl.tensor,
    dout_b: int,
    dout_d: int,
    x_b: int,
    x_d: int,
    rows: int,
    channels: int,
    length: int,
    tiles: int,
    SILU: tl.constexpr,
    WIDTH: tl.constexpr,
    PAST: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_T: tl.constexpr,
) -> None:
    """dx, dpast: like x and past, contiguous.  dweight: (tiles, b D, WIDTH), dbias: (tiles, b D), or None.

    PAST: a power of two that is not below WIDTH - 1.
    """
    tile = tl.program_id(0) % tiles
    row = (tl.program_id(0) // tiles).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    place = tile * BLOCK_T + tl.arange(0, BLOCK_T)
    here = row < rows
    mask = here[:, None] & (place < length)[None, :]
    row = tl.where(here, row, 0)
    x_rows = row_starts(row, channels, x_b, x_d)
    dout_rows = row_starts(row, channels, dout_b, dout_d)
    values = gradients_of_inputs(
        dout, x, past, weight, bias, dout_rows, x_rows, row, place, mask, channels, length, SILU, WIDTH
    )
    tl.store(dx + row[:, None] * length + place[None, :], values, mask=mask)
    if dpast is not None:  # noqa: SIM102 - known when compiled, the other only when run
        if tile == 0:
            index = tl.arange(0, PAST)
            kept = here[:, None] & (index < WIDTH - 1)[None, :]
            before = gradients_of_inputs(
                dout,
                x,
                past,
                weight,
                bias,
                dout_rows,
                x_rows,
                row,
                index - (WIDTH - 1),
                kept,
                channels,
                length,
                SILU,
                WIDTH,
            )
            tl.store(dpast + row[:, None] * (WIDTH - 1) + index[None, :], before, mask=kept)
    gradient = gradients_of_sums(
        dout, x, past, weight, bias, dout_rows, x_rows, row, place, mask, channels, length, SILU, WIDTH
    )
    sums = tile.to(tl.int64) * rows + row
    for k in tl.static_range(WIDTH):
        shifted = inputs_at(x, past, x_rows, row, place + k - (WIDTH - 1), mask, length, WIDTH)
        tl.store(dweight + sums * WIDTH + k, tl.sum(gradient * shifted, 1), mask=here)
    if dbias is not None:
        tl.store(dbias + sums, tl.sum(gradient, 1), mask=here)
