"""Gradients for scans that keep a state now and then and recompute the ones between.

What is saved is the arguments and one state for every few hundred tokens, never batch x D x L x N.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from umamba.ops.arguments import ScanInputs


class ScanGradients(NamedTuple):
    """The gradients of ScanInputs' tensors, in their order; float32, None where there is no argument."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None


class ScanEngine(Protocol):
    """What a backend has to offer; neither function needs autograd."""

    def forward(self, inputs: ScanInputs, keep: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Out (b, D, L) in u's dtype, last state (b, D, N), and what `backward` needs if `keep`."""
        ...

    def backward(
        self, inputs: ScanInputs, kept: Tensor, grad_out: Tensor, grad_state: Tensor
    ) -> ScanGradients:
        """The gradients, from those of out (b, D, L) and of the last state (b, D, N) float32."""
        ...


def run(engine: ScanEngine, inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Scan with `engine`, recording for autograd only when a gradient is wanted."""
    tensors = inputs.tensors()
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        out, state = _Scan.apply(engine, inputs.softplus, *tensors)  # type: ignore[no-untyped-call]
        return out, state
    with torch.no_grad():
        out, state, _ = engine.forward(inputs, False)
    return out, state


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, engine: ScanEngine, softplus: bool, *tensors: Tensor | None) -> Any:  # noqa: ANN401
        out, state, kept = engine.forward(ScanInputs.of(tensors, softplus), True)
        ctx.engine, ctx.softplus = engine, softplus
        ctx.save_for_backward(kept, *tensors)
        return out, state

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_out: Tensor, grad_state: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        kept, *tensors = ctx.saved_tensors
        gradients = ctx.engine.backward(ScanInputs.of(tensors, ctx.softplus), kept, grad_out, grad_state)
        cast = (
            None if tensor is None or gradient is None else gradient.to(tensor.dtype)
            for tensor, gradient in zip(tensors, gradients, strict=True)
        )
        return None, None, *cast
