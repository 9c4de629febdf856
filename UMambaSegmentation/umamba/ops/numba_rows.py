"""How tensors are shown to numba kernels: without copies wherever the last axis is contiguous."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def flat_rows(tensor: Tensor) -> tuple[Any, tuple[int, int]]:
    """A (b, D, T) tensor as a flat float32 numpy array and the strides of its first two axes.

    Element (b, d, t) stands at b * strides[0] + d * strides[1] + t. A view if the tensor is float32 and its
    last axis contiguous, else a copy.
    """
    tensor = tensor.detach()
    if tensor.dtype != torch.float32 or (tensor.stride(2) != 1 and tensor.shape[2] > 1):
        tensor = tensor.to(torch.float32, memory_format=torch.contiguous_format)
        if tensor.stride(2) != 1:
            tensor = tensor.contiguous()
    batch, channels, tokens = tensor.shape
    strides = (tensor.stride(0), tensor.stride(1))
    extent = (batch - 1) * strides[0] + (channels - 1) * strides[1] + tokens
    return tensor.as_strided((extent,), (1,)).numpy(), strides
