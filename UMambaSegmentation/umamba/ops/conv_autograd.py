"""One autograd function for every backend of the convolution that has a backward of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from umamba.ops.arguments import ConvInputs

# Out (b, D, L) in x's dtype; needs no autograd.
Forward = Callable[[ConvInputs], Tensor]
# The gradients of x, weight, bias and initial states from that of out; those that are not wanted may be None.
Backward = Callable[[ConvInputs, Tensor], tuple[Tensor | None, ...]]


def run(forward: Forward, backward: Backward, inputs: ConvInputs) -> Tensor:
    """Convolve, recording for autograd only when a gradient is wanted."""
    tensors = inputs.tensors()
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        out: Tensor = _Convolution.apply(forward, backward, inputs.silu, *tensors)  # type: ignore[no-untyped-call]
        return out
    with torch.no_grad():
        return forward(inputs)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        forward: Forward,
        backward: Backward,
        silu: bool,
        *tensors: Tensor | None,
    ) -> Tensor:
        ctx.run_backward, ctx.silu = backward, silu
        ctx.save_for_backward(*tensors)
        return forward(ConvInputs.of(tensors, silu))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        tensors = ctx.saved_tensors
        gradients = ctx.run_backward(ConvInputs.of(tensors, ctx.silu), grad_out)
        cast = (
            None if tensor is None or gradient is None else gradient.to(tensor.dtype)
            for tensor, gradient in zip(tensors, gradients, strict=True)
        )
        return None, None, None, *cast
