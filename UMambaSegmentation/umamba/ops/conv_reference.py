"""The causal convolution as its formula reads: one tap after the other. The measure of the others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from umamba.ops.arguments import ConvInputs


def convolve(inputs: ConvInputs) -> Tensor:
    """Sum the shifted inputs in float32; gradients are autograd's. Returns (b, D, L) in x's dtype."""
    padded = with_past(inputs)
    tokens, width = inputs.x.shape[2], inputs.weight.shape[1]
    weight = inputs.weight.float()
    out = torch.zeros_like(padded[:, :, :tokens])
    if inputs.bias is not None:
        out = out + inputs.bias.float()[:, None]
    for k in range(width):
        out = out + weight[:, k, None] * padded[:, :, k : k + tokens]
    if inputs.silu:
        out = functional.silu(out)
    return out.to(inputs.x.dtype)


def with_past(inputs: ConvInputs) -> Tensor:
    """The inputs with the W - 1 before them, (b, D, W - 1 + L) float32."""
    x, kept = inputs.x.float(), inputs.weight.shape[1] - 1
    if inputs.initial_states is None:
        return functional.pad(x, (kept, 0))
    return torch.cat([inputs.initial_states.float(), x], dim=2)
