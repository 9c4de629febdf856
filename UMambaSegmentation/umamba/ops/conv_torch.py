"""The causal convolution by PyTorch's own grouped convolution: any device, gradients by autograd."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from umamba.ops.arguments import ConvInputs
from umamba.ops.conv_reference import with_past


def convolve(inputs: ConvInputs) -> Tensor:
    """Convolve in float32, autocast or not. Returns (b, D, L) in x's dtype."""
    with torch.autocast(inputs.x.device.type, enabled=False):
        out = functional.conv1d(
            with_past(inputs),
            inputs.weight.float().unsqueeze(1),
            None if inputs.bias is None else inputs.bias.float(),
            groups=inputs.x.shape[1],
        )
        if inputs.silu:
            out = functional.silu(out)
        return out.to(inputs.x.dtype)
