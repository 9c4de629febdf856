"""Triton's compiler for the kernels beside this file: compiled at first use, kept in our cache."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import triton
from torch import Tensor

from umamba.ops.caches import house_triton_cache

house_triton_cache()


def kernel(*loose: str) -> Callable[[Callable[..., Any]], Any]:
    """Make the decorated function a Triton kernel, or a part of kernels.

    loose: integer arguments at whose values the compiler does not look. At the others it does: it compiles
    anew wherever one becomes 1 or a multiple of 16, which is worth it for strides and lengths only.
    """
    return lambda function: triton.jit(function, do_not_specialize=list(loose))


def launch(
    compiled: Any,  # noqa: ANN401
    programs: int,
    device: torch.device,
    *arguments: object,
    warps: int = 1,
    **constants: object,
) -> None:
    """Run a kernel's programs on `device`. constants: its arguments that are known when it is compiled."""
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        # Fusing multiply and add is said aloud: Triton's default for it differs from version to version.
        compiled[(programs,)](*arguments, num_warps=warps, enable_fp_fusion=True, **constants)


def power_of_two(number: int) -> int:
    """The least power of two that is not below the number: what a block's sizes must be."""
    return 1 << max(0, number - 1).bit_length()


def tokens_contiguous(tensor: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """A (b, D, L) tensor whose tokens are contiguous, and its other strides; copied if need be."""
    if tensor.stride(2) != 1 and tensor.shape[2] > 1:
        tensor = tensor.contiguous()
    return tensor, (tensor.stride(0), tensor.stride(1))
