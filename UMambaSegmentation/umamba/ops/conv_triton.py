"""The causal convolution on NVIDIA GPUs by Triton kernels, which are compiled when first used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from umamba.ops import conv_autograd
from umamba.ops import conv_triton_kernels as kernels
from umamba.ops.arguments import ConvInputs
from umamba.ops.triton_jit import launch, power_of_two, tokens_contiguous

# Numbers in a block, and the warps that work on it: four for each lane, what one load brings of float32.
BLOCK_NUMBERS, WARPS = 512, 4
# Short sequences share a block, but not too many: taps of each row are in the registers.
MOST_ROWS = 16


def convolve(inputs: ConvInputs) -> Tensor:
    """Convolve in float32. Returns (b, D, L) in x's dtype."""
    return conv_autograd.run(_forward, _backward, inputs)


class _Arguments:
    """The inputs of a convolution as kernels take them, and how the work is cut: by its sizes alone."""

    def __init__(self, inputs: ConvInputs) -> None:
        self.x, self.x_strides = tokens_contiguous(inputs.x)
        self.past = None if inputs.initial_states is None else inputs.initial_states.contiguous()
        self.weight = inputs.weight.float().contiguous()
        self.bias = None if inputs.bias is None else inputs.bias.float().contiguous()
        batch, channels, tokens = inputs.x.shape
        block_tokens = min(power_of_two(tokens), BLOCK_NUMBERS)
        block_rows = min(BLOCK_NUMBERS // block_tokens, MOST_ROWS)
        self.rows, self.tiles = batch * channels, -(-tokens // block_tokens)
        self.programs = -(-self.rows // block_rows) * self.tiles
        self.sizes: dict[str, Any] = {
            "rows": self.rows,
            "channels": channels,
            "length": tokens,
            "tiles": self.tiles,
            "SILU": inputs.silu,
            "WIDTH": inputs.weight.shape[1],
            "BLOCK_ROWS": block_rows,
            "BLOCK_T": block_tokens,
        }


def _forward(inputs: ConvInputs) -> Tensor:
    given = _Arguments(inputs)
    out = torch.empty(inputs.x.shape, dtype=inputs.x.dtype, device=inputs.x.device)
    launch(
        kernels.convolve_blocks,
        given.programs,
        out.device,
        *(given.x, given.past, given.weight, given.bias, out, *given.x_strides),
        warps=WARPS,
        **given.sizes,
    )
    return out


def _backward(inputs: ConvInputs, grad_out: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of x, weight, bias and initial states."""
    given = _Arguments(inputs)
    dout, dout_strides = tokens_contiguous(grad_out)
    batch, channels, _ = inputs.x.shape
    width = inputs.weight.shape[1]
    dx = torch.empty(inputs.x.shape, dtype=inputs.x.dtype, device=inputs.x.device)
    dpast = None if given.past is None or width == 1 else torch.empty_like(given.past)
    dweight = dx.new_empty((given.tiles, given.rows, width), dtype=torch.float32)
    dbias = None if given.bias is None else dx.new_empty((given.tiles, given.rows), dtype=torch.float32)
    launch(
        kernels.convolve_blocks_backward,
        given.programs,
        dx.device,
        *(dout, given.x, given.past, given.weight, given.bias, dx, dpast, dweight, dbias),
        *(*dout_strides, *given.x_strides),
        warps=WARPS,
        PAST=power_of_two(width - 1),
        **given.sizes,
    )
    per_channel = (given.tiles, batch, channels)
    return (
        dx,
        dweight.view(*per_channel, width).sum((0, 1), dtype=torch.float64),
        None if dbias is None else dbias.view(per_channel).sum((0, 1), dtype=torch.float64),
        torch.zeros_like(inputs.initial_states)
        if inputs.initial_states is not None and dpast is None
        else dpast,
    )
