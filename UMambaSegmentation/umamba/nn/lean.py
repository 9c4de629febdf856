"""The layers' arithmetic where no gradient is wanted: the same numbers in less memory and time.

Everywhere: normalisation works in place, and the decoder's two inputs are written straight into their
concatenation. On a CPU besides: maps lie channels last, which oneDNN's convolutions take and give without
copies, and convolutions go to oneDNN always (PyTorch's own choice is often a far slower one in 3D).
"""

from __future__ import annotations

import itertools
from functools import cache
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from umamba.nn.operators import Conv, Norm, TransposedConv

# Maps up to this size are normalised in one go; larger ones some channels at a time, to save the second map.
WHOLE_MAP_BYTES = 16 * 2**20
# What a piece of a map may take while it is on its way to its place.
PIECE_BYTES = 2 * 2**20
_FLOAT_BYTES = 4
_NO_ACTIVATION = 1.0


def is_lean(module: nn.Module) -> bool:
    """Whether `module` runs for its result alone: evaluation mode, and no gradients recorded."""
    return not (module.training or torch.is_grad_enabled())


def has_fast_path(x: Tensor) -> bool:
    """Whether the CPU's own path applies: float32 proper, and oneDNN is there."""
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and bool(torch.backends.mkldnn.enabled)
        and _has_onednn()
    )


def empty_map(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An empty map for convolutions that follow on `x`: its device, the dtype and layout that they want."""
    kind = x.device.type
    # Under autocast a convolution would round a float32 map anyway.
    mixed = kind != "meta" and torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if mixed else x.dtype
    layout = _layout(x) if has_fast_path(x) else torch.contiguous_format
    return torch.empty(shape, dtype=dtype, device=x.device, memory_format=layout)


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dim() == 4 else torch.channels_last_3d


def channels_last(x: Tensor) -> Tensor:
    """Lay (B, C, *S) out with channels innermost; the same tensor where it is so already."""
    x = x.contiguous(memory_format=_layout(x))
    if x.shape[1] == 1:  # either layout is the same memory: only the stride of the channels tells them apart
        x = x.as_strided(x.shape, (x.stride(0), 1, *x.stride()[2:]))
    return x


@cache
def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def convolve(conv: Conv, x: Tensor) -> Tensor:
    """Run a convolution module on (B, C, *S)."""
    if not (is_lean(conv) and has_fast_path(x)):
        result: Tensor = conv(x)
        return result
    padding = [size // 2 for size in conv.kernel_size]
    out = torch.mkldnn_convolution(
        x, conv.weight, conv.bias, padding, conv.stride, conv.dilation, conv.groups
    )
    return channels_last(out)


def normalize(norm: Norm, x: Tensor, slope: float | None, residual: Tensor | None = None) -> Tensor:
    """Instance normalisation, addition and LeakyReLU of a convolution's result, which may be overwritten.

    Args:
        norm: nn.InstanceNorm2d or 3d.
        x: (B, C, *S), of no further use to the caller.
        slope: Of the activation, None for no activation.
        residual: Same shape; added before the activation.
    """
    if is_lean(norm) and x.is_meta:  # it would be done in place, and only shapes are wanted
        return x
    if is_lean(norm):
        rows = _rows(x)
        kernels = _kernels()
        if kernels is not None and rows is not None:
            _normalize_rows(kernels, norm, rows, slope, residual)
            return x
        y = _normalize_by_channels(norm, x)
    else:
        y = norm(x)
    if residual is not None:
        y += residual
    return y if slope is None else functional.leaky_relu_(y, slope)


def _rows(x: Tensor) -> Tensor | None:
    """(B, C, *S) seen as (B, L, C), or None where the fast path does not apply or the layout is another."""
    last = x.movedim(1, -1)
    if not has_fast_path(x) or not last.is_contiguous():
        return None
    return last.view(x.shape[0], -1, x.shape[1])


def _normalize_rows(
    kernels: ModuleType, norm: Norm, rows: Tensor, slope: float | None, residual: Tensor | None
) -> None:
    weight = None if norm.weight is None else norm.weight.detach().numpy()
    bias = None if norm.bias is None else norm.bias.detach().numpy()
    added = None if residual is None else residual.movedim(1, -1).reshape(rows.shape).contiguous().numpy()
    for index, sample in enumerate(rows.numpy()):
        kernels.normalize_rows(
            sample,
            weight,
            bias,
            norm.eps,
            _NO_ACTIVATION if slope is None else slope,
            None if added is None else added[index],
        )


@cache
def _kernels() -> ModuleType | None:
    try:
        from umamba.nn import norm_kernels
    except ImportError:  # a computer without numba: PyTorch's own normalisation does it
        return None
    return norm_kernels


def _normalize_by_channels(norm: Norm, x: Tensor) -> Tensor:
    """Normalise some channels of some sample at a time, each back into its place."""
    if x.numel() * x.element_size() <= WHOLE_MAP_BYTES:
        whole: Tensor = norm(x)
        return whole
    step = max(1, WHOLE_MAP_BYTES * x.shape[1] // (x[0].numel() * x.element_size()))
    for index in range(x.shape[0]):
        sample = x[index : index + 1]
        for start in range(0, x.shape[1], step):
            part = slice(start, start + step)
            sample[:, part] = functional.instance_norm(
                sample[:, part],
                weight=None if norm.weight is None else norm.weight[part],
                bias=None if norm.bias is None else norm.bias[part],
                eps=norm.eps,
            )
    return x


def enlarge_transposed(up: TransposedConv, x: Tensor, out: Tensor) -> None:
    """Write a transposed convolution whose kernel is its stride into `out` (B, C', *(S * stride)).

    No two outputs overlap, so each kernel position is one matrix product over the voxels. It is done for
    some planes at a time, and for the last axis' positions together, whose outputs are neighbours.
    """
    if not has_fast_path(x):
        out.copy_(up(x))
        return
    before, after = up.weight.shape[:2]
    *strides, last = up.stride
    weight = up.weight.movedim(1, -1)  # (C, *kernel, C')
    bias = up.weight.new_zeros(after) if up.bias is None else up.bias
    plane_bytes = _FLOAT_BYTES * last * after * x[0, 0, 0].numel()
    step = max(1, PIECE_BYTES // plane_bytes)
    for sample, start in itertools.product(range(x.shape[0]), range(0, x.shape[2], step)):
        part = x[sample, :, start : start + step].movedim(0, -1)  # (planes, ..., C)
        tokens = part.reshape(-1, before)
        shape = (*part.shape[:-2], part.shape[-2] * last, after)
        for position in itertools.product(*map(range, strides)):
            taps: Tensor = weight[(slice(None), *position)]  # type: ignore[index]
            product = torch.addmm(bias.repeat(last), tokens, taps.reshape(before, -1))
            begins = (start * strides[0] + position[0], *position[1:])
            ends = ((start + step) * strides[0], *out.shape[3:-1])
            places = [slice(*bounds) for bounds in zip(begins, ends, strides, strict=True)]
            place: Tensor = out[(sample, slice(None), *places)]  # type: ignore[index]
            place.copy_(product.view(shape).movedim(-1, 0))


def enlarge_nearest(x: Tensor, stride: tuple[int, ...], out: Tensor) -> None:
    """Write `x` (B, C, *S), every voxel repeated by the stride, into `out` (B, C, *(S * stride))."""
    for axis, factor in reversed(list(enumerate(stride, start=2))):
        x = x.unsqueeze(axis + 1)
        out = out.view(*out.shape[:axis], -1, factor, *out.shape[axis + 1 :])
    out.copy_(x)


def head(conv: Conv, x: Tensor) -> Tensor:
    """Run a 1 x 1 convolution on (B, C, *S); the result lies in the order of its axes."""
    if not (is_lean(conv) and has_fast_path(x)):
        result: Tensor = conv(x)
        return result
    heads = conv.weight.shape[0]
    bias = conv.weight.new_zeros(heads, 1) if conv.bias is None else conv.bias[:, None]
    out = x.new_empty((x.shape[0], heads, *x.shape[2:]))
    for sample, logits in zip(x, out, strict=True):
        torch.addmm(bias, conv.weight.flatten(1), sample.flatten(1), out=logits.view(heads, -1))
    return out
