"""The layers that every network here is made of, and the check of the constructor arguments that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from umamba.errors import ModelError

_CONVOLUTIONS: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORMS: dict[int, type[nn.Module]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
DEFAULT_EPS = 1e-5
DEFAULT_SLOPE = 0.01

Size = tuple[int, ...]


@dataclass(frozen=True)
class Operators:
    """Convolution with instance normalisation and LeakyReLU, over 2 or 3 axes.

    Attributes:
        axes: 2 or 3.
        bias: Whether convolutions before a normalisation carry a bias.
        eps, affine: Of the normalisation.
        slope: Of LeakyReLU.
    """

    axes: int
    bias: bool
    eps: float
    affine: bool
    slope: float

    def conv(
        self, before: int, after: int, kernel: Size, stride: Size | None = None, bias: bool = True
    ) -> Any:  # noqa: ANN401
        """A convolution that keeps the map's size but for the stride (padding k // 2 per axis)."""
        padding = tuple(size // 2 for size in kernel)
        return _CONVOLUTIONS[self.axes](before, after, kernel, stride or self.ones, padding, bias=bias)

    def transposed(self, before: int, after: int, stride: Size) -> Any:  # noqa: ANN401
        """A transposed convolution whose kernel is its stride, so that no two of its outputs overlap."""
        return _TRANSPOSED[self.axes](before, after, stride, stride, bias=self.bias)

    def norm(self, features: int) -> Any:  # noqa: ANN401
        """Instance normalisation without running statistics."""
        return _NORMS[self.axes](features, eps=self.eps, affine=self.affine)

    @property
    def ones(self) -> Size:
        """The stride, or kernel, of 1 along every axis."""
        return (1,) * self.axes


@dataclass(frozen=True)
class Stages:
    """The shape of a U: one entry a resolution, finest first.

    Attributes:
        features: Channels.
        kernels, strides: One size per axis.
        encoder_blocks: Convolutions or blocks; `decoder_blocks` likewise, deepest first, one entry fewer.
    """

    features: tuple[int, ...]
    kernels: tuple[Size, ...]
    strides: tuple[Size, ...]
    encoder_blocks: tuple[int, ...]
    decoder_blocks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.features)


def parse_operators(
    conv_op: object,
    conv_bias: bool,
    norm_op: object,
    norm_op_kwargs: Mapping[str, Any] | None,
    dropout_op: object,
    nonlin: object,
    nonlin_kwargs: Mapping[str, Any] | None,
) -> Operators:
    """Read nnU-Net's constructor arguments, classes as classes.

    Raises:
        ModelError: An operator other than nnU-Net's own: convolution, instance normalisation, LeakyReLU.
    """
    axes = next((n for n, conv in _CONVOLUTIONS.items() if conv is conv_op), None)
    if axes is None:
        raise ModelError(f"conv_op is {conv_op!r}; torch.nn.Conv2d or torch.nn.Conv3d wanted")
    if norm_op is not _NORMS[axes]:
        raise ModelError(f"norm_op is {norm_op!r}; torch.nn.InstanceNorm{axes}d wanted")
    if dropout_op is not None:
        raise ModelError(f"dropout_op is {dropout_op!r}; networks with dropout are not supported")
    if nonlin is not nn.LeakyReLU:
        raise ModelError(f"nonlin is {nonlin!r}; torch.nn.LeakyReLU wanted")
    norm_options, act_options = norm_op_kwargs or {}, nonlin_kwargs or {}
    return Operators(
        axes,
        bool(conv_bias),
        float(norm_options.get("eps", DEFAULT_EPS)),
        bool(norm_options.get("affine", False)),
        float(act_options.get("negative_slope", DEFAULT_SLOPE)),
    )


def parse_stages(
    axes: int,
    n_stages: int,
    features_per_stage: int | Sequence[int],
    kernel_sizes: int | Sequence[int | Sequence[int]],
    strides: int | Sequence[int | Sequence[int]],
    encoder_blocks: int | Sequence[int],
    decoder_blocks: int | Sequence[int],
) -> Stages:
    """Spread single numbers over stages and axes, and check that every list has one entry a stage.

    Raises:
        ModelError: A list of the wrong length.
    """
    if n_stages < 1:
        raise ModelError(f"n_stages is {n_stages}; at least 1 wanted")
    return Stages(
        _per_stage("features_per_stage", features_per_stage, n_stages),
        _sizes("kernel_sizes", kernel_sizes, n_stages, axes),
        _sizes("strides", strides, n_stages, axes),
        _per_stage("blocks of the encoder", encoder_blocks, n_stages),
        _per_stage("n_conv_per_stage_decoder", decoder_blocks, n_stages - 1),
    )


def _per_stage(name: str, value: int | Sequence[int], length: int) -> tuple[int, ...]:
    entries = (value,) * length if isinstance(value, int) else tuple(int(entry) for entry in value)
    if len(entries) != length:
        raise ModelError(f"{name} has {len(entries)} entries; {length} wanted")
    return entries


def _sizes(name: str, value: int | Sequence[int | Sequence[int]], length: int, axes: int) -> tuple[Size, ...]:
    entries = (value,) * length if isinstance(value, int) else tuple(value)
    if len(entries) != length:
        raise ModelError(f"{name} has {len(entries)} entries; {length} wanted")
    return tuple(_per_stage(name, entry, axes) for entry in entries)


def initialize_convolution(module: nn.Module) -> None:
    """Kaiming normal (LeakyReLU slope 0.01) and zero bias, for 2D and 3D convolutions only."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        with torch.no_grad():
            nn.init.kaiming_normal_(module.weight, a=DEFAULT_SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
