"""The causal convolution on the CPU by compiled kernels, on PyTorch's number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from umamba.ops import threads
from umamba.ops.arguments import ConvInputs
from umamba.ops.conv_numba_kernels import convolve_rows
from umamba.ops.numba_rows import channel_vector, flat_rows

# Tokens at a time: bounds the copies of arguments that are not float32 or lie in another order.
CHUNK = 2**16


def convolve(inputs: ConvInputs) -> Tensor:
    """Convolve in float32. Returns (b, D, L) in x's dtype."""
    tensors = inputs.tensors()
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        out: Tensor = _Convolution.apply(inputs.silu, *tensors)  # type: ignore[no-untyped-call]
        return out
    return _forward(inputs)


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


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, silu: bool, *tensors: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.silu = silu
        ctx.save_for_backward(*tensors)
        return _forward(ConvInputs.of(tensors, silu))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs = ConvInputs.of(ctx.saved_tensors, ctx.silu)
        gradients = _backward(inputs, grad_out)
        cast = (
            None if tensor is None else gradient.to(tensor.dtype)
            for tensor, gradient in zip(inputs.tensors(), gradients, strict=True)
        )
        return None, *cast


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
