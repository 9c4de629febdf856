"""The causal convolution on the CPU."""

from umamba.ops.conv_torch import convolve

__all__ = ["convolve"]
