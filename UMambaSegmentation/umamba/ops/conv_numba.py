"""The causal convolution on the CPU by compiled kernels, on PyTorch's number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from umamba.ops import conv_autograd, threads
from umamba.ops.arguments import ConvInputs
from umamba.ops.conv_numba_kernels import convolve_rows
from umamba.ops.numba_rows import channel_vector, flat_rows

# Tokens at a time: bounds the copies of arguments that are not float32 or lie in another order.
CHUNK = 2**16


def convolve(inputs: ConvInputs) -> Tensor:
    """Convolve in float32. Returns (b, D, L) in x's dtype."""
    return conv_autograd.run(_forward, _backward, inputs)


def _past(inputs: ConvInputs) -> Tensor:
    """The inputs before the first token, (b D, W - 1) float32."""
    batch, channels, _ = inputs.x.shape
    kept = inputs.weight.shape[1] - 1
    if inputs.initial_states is None:
        return torch.zeros(batch * channels, kept)
    return inputs.initial_states.detach().float().reshape(batch * channels, kept).contiguous()


def _chunks(tokens: int, kept: int) -> Iterator[tuple[int, int]]:
    """Chunks of tokens, each but the last at least as long as the past that the next one needs."""
    size = max(CHUNK, kept)
    return ((start, min(start + size, tokens)) for start in range(0, tokens, size))


def _forward(inputs: ConvInputs) -> Tensor:
    x, weight = inputs.x.detach(), inputs.weight.detach().float().contiguous()
    batch, channels, tokens = x.shape
    kept = weight.shape[1] - 1
    bias = channel_vector(inputs.bias, channels)
    out = torch.empty(x.shape, dtype=x.dtype)
    past = _past(inputs)
    for start, stop in _chunks(tokens, kept):
        piece = out[:, :, start:stop]
        result = piece if out.dtype == torch.float32 else torch.empty(piece.shape)
        threads.run_rows(
            convolve_rows,
            (
                flat_rows(x[:, :, start:stop]),
                past.numpy(),
                weight.numpy(),
                bias,
                flat_rows(result),
                inputs.silu,
                stop - start,
            ),
            batch * channels,
        )
        if result is not piece:
            piece.copy_(result)
        if stop < tokens:
            past = x[:, :, stop - kept : stop].float().reshape(batch * channels, kept).contiguous()
    return out


def _backward(inputs: ConvInputs, grad_out: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, weight, bias and initial states."""
    from umamba.ops.conv_numba_backward_kernels import convolve_rows_backward  # compiled when first needed

    batch, channels, tokens = inputs.x.shape
    width = inputs.weight.shape[1]
    rows = batch * channels
    grad_x, grad_past = torch.zeros(inputs.x.shape), torch.zeros(rows, width - 1)
    grad_weight, grad_bias = np.zeros((rows, width)), np.zeros(rows)
    threads.run_rows(
        convolve_rows_backward,
        (
            flat_rows(inputs.x),
            _past(inputs).numpy(),
            inputs.weight.detach().float().contiguous().numpy(),
            channel_vector(inputs.bias, channels),
            flat_rows(grad_out),
            flat_rows(grad_x),
            grad_past.numpy(),
            grad_weight,
            grad_bias,
            inputs.silu,
            tokens,
        ),
        rows,
    )
    return (
        grad_x,
        torch.from_numpy(grad_weight.reshape(batch, channels, width).sum(0)),
        torch.from_numpy(grad_bias.reshape(batch, channels).sum(0)),
        grad_past.view(batch, channels, width - 1),
    )
