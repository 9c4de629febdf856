"""How tensors are shown to numba kernels: without copies wherever the last axis is contiguous."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from umamba.ops.numba_jit import inlined

Array = Any  # a numpy array: dtype and dimensions stand in the kernels' signatures
# A (b, D, tokens) tensor: flat values, and where (entry, channel) begins: entry * [1] + channel * [2].
Rows = tuple[Array, int, int]
ROWS = "Tuple((f4[::1], i8, i8))"


def flat_rows(tensor: Tensor) -> Rows:
    """A (b, D, T) tensor for kernels: a view if it is float32 and its last axis contiguous, else a copy."""
    tensor = tensor.detach()
    if tensor.dtype != torch.float32 or (tensor.stride(2) != 1 and tensor.shape[2] > 1):
        tensor = tensor.to(torch.float32).contiguous()
    batch, channels, tokens = tensor.shape
    strides = (tensor.stride(0), tensor.stride(1))
    extent = (batch - 1) * strides[0] + (channels - 1) * strides[1] + tokens
    return tensor.as_strided((extent,), (1,)).numpy(), *strides


@inlined()
def tile_of(rows: Rows, batch: int, channel: int, start: int, tokens: int) -> Array:
    """The tokens [start, start + tokens) of one channel."""
    at = batch * rows[1] + channel * rows[2] + start
    return rows[0][at : at + tokens]


def channel_vector(vector: Tensor | None, channels: int) -> Array:
    """A vector over channels as float32, (D,); zeros when None."""
    if vector is None:
        return np.zeros(channels, np.float32)
    return vector.detach().float().contiguous().numpy()
