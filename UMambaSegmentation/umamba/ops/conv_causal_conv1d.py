"""The causal convolution by the CUDA kernel of the package causal_conv1d, where a user has installed it."""

from __future__ import annotations

from torch import Tensor

from umamba.ops.arguments import ConvInputs


def convolve(inputs: ConvInputs) -> Tensor:
    """Call the package's `causal_conv1d_fn`, weight and bias in x's dtype. Returns (b, D, L)."""
    from causal_conv1d import causal_conv1d_fn

    dtype = inputs.x.dtype
    out: Tensor = causal_conv1d_fn(
        inputs.x,
        inputs.weight.to(dtype),
        None if inputs.bias is None else inputs.bias.to(dtype),
        activation="silu" if inputs.silu else None,
    )
    return out
