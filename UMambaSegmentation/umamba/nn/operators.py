"""The layers that every network here is made of, and what nnU-Net's constructor arguments say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from torch import nn

from umamba.errors import ModelError

Conv = nn.Conv2d | nn.Conv3d
TransposedConv = nn.ConvTranspose2d | nn.ConvTranspose3d
Norm = nn.InstanceNorm2d | nn.InstanceNorm3d

_CONVOLUTIONS: dict[int, Callable[..., Conv]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Callable[..., TransposedConv]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORMS: dict[int, Callable[..., Norm]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
DEFAULT_EPS = 1e-5
DEFAULT_SLOPE = 0.01
MIN_STAGES = 2

Size = tuple[int, ...]


class Arguments(TypedDict, total=False):
    """`arch_kwargs` of nnU-Net's plans, the classes as classes. Single numbers stand for every stage or axis.

    `n_conv_per_stage` and `n_blocks_per_stage` are two names of one thing.
    """

    n_stages: int
    features_per_stage: int | Sequence[int]
    conv_op: type[nn.Module]
    kernel_sizes: int | Sequence[int | Sequence[int]]
    strides: int | Sequence[int | Sequence[int]]
    n_conv_per_stage: int | Sequence[int]
    n_blocks_per_stage: int | Sequence[int]
    n_conv_per_stage_decoder: int | Sequence[int]
    conv_bias: bool
    norm_op: type[nn.Module] | None
    norm_op_kwargs: Mapping[str, Any] | None
    dropout_op: type[nn.Module] | None
    dropout_op_kwargs: Mapping[str, Any] | None
    nonlin: type[nn.Module] | None
    nonlin_kwargs: Mapping[str, Any] | None


_BLOCK_KEYS = ("n_conv_per_stage", "n_blocks_per_stage")
_REQUIRED = (
    "n_stages",
    "features_per_stage",
    "conv_op",
    "kernel_sizes",
    "strides",
    "n_conv_per_stage_decoder",
)


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
    ) -> Conv:
        """A convolution that keeps the map's size but for the stride (padding k // 2 per axis)."""
        padding = tuple(size // 2 for size in kernel)
        return _CONVOLUTIONS[self.axes](before, after, kernel, stride or self.ones, padding, bias=bias)

    def transposed(self, before: int, after: int, stride: Size) -> TransposedConv:
        """A transposed convolution whose kernel is its stride, so that no two of its outputs overlap."""
        return _TRANSPOSED[self.axes](before, after, stride, stride, bias=self.bias)

    def norm(self, features: int) -> Norm:
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

    @property
    def total_stride(self) -> Size:
        """The factor by which each axis shrinks down to the deepest stage."""
        total = self.strides[0]
        for stride in self.strides[1:]:
            total = tuple(t * s for t, s in zip(total, stride, strict=True))
        return total


def parse_arguments(arguments: Arguments) -> tuple[Operators, Stages]:
    """Read a network's constructor arguments.

    Raises:
        ModelError: A key that is unknown or missing, a list of the wrong length, or an operator other than
            nnU-Net's own: convolution, instance normalisation, LeakyReLU, no dropout.
    """
    unknown = sorted(set(arguments) - set(Arguments.__annotations__))
    if unknown:
        raise ModelError(f"the network has no argument {unknown[0][:80]!r}; take it out of the plans")
    blocks = [key for key in _BLOCK_KEYS if key in arguments]
    missing = [key for key in _REQUIRED if key not in arguments] + ([] if blocks else [_BLOCK_KEYS[0]])
    if missing:
        raise ModelError(f"the network needs the argument {missing[0]!r}")
    operators = _parse_operators(arguments)
    count = arguments["n_stages"]
    if count < MIN_STAGES:
        raise ModelError(f"n_stages is {count}; at least {MIN_STAGES} wanted")
    stages = Stages(
        _per_stage("features_per_stage", arguments["features_per_stage"], count),
        _sizes("kernel_sizes", arguments["kernel_sizes"], count, operators.axes),
        _sizes("strides", arguments["strides"], count, operators.axes),
        _per_stage(blocks[0], arguments[blocks[0]], count),  # type: ignore[literal-required]
        _per_stage("n_conv_per_stage_decoder", arguments["n_conv_per_stage_decoder"], count - 1),
    )
    _check_stages(stages)
    return operators, stages


def _parse_operators(arguments: Arguments) -> Operators:
    conv_op = arguments["conv_op"]
    axes = next((n for n, conv in _CONVOLUTIONS.items() if conv is conv_op), None)
    if axes is None:
        raise ModelError(f"conv_op is {conv_op!r}; torch.nn.Conv2d or torch.nn.Conv3d wanted")
    if arguments.get("norm_op") is not _NORMS[axes]:
        raise ModelError(f"norm_op is {arguments.get('norm_op')!r}; torch.nn.InstanceNorm{axes}d wanted")
    if arguments.get("dropout_op") is not None:
        raise ModelError(
            f"dropout_op is {arguments['dropout_op']!r}; networks with dropout are not supported"
        )
    if arguments.get("nonlin") is not nn.LeakyReLU:
        raise ModelError(f"nonlin is {arguments.get('nonlin')!r}; torch.nn.LeakyReLU wanted")
    norm = arguments.get("norm_op_kwargs") or {}
    return Operators(
        axes,
        bool(arguments.get("conv_bias", False)),
        float(norm.get("eps", DEFAULT_EPS)),
        bool(norm.get("affine", False)),
        float((arguments.get("nonlin_kwargs") or {}).get("negative_slope", DEFAULT_SLOPE)),
    )


def _check_stages(stages: Stages) -> None:
    even = [kernel for kernel in stages.kernels if any(size % 2 == 0 for size in kernel)]
    if even:
        raise ModelError(f"kernel_sizes has {list(even[0])}; odd sizes wanted, even ones would shift the map")
    if set(stages.strides[0]) != {1}:
        raise ModelError(f"strides begins with {list(stages.strides[0])}; the first stage must keep the size")


def _per_stage(name: str, value: int | Sequence[int], length: int) -> tuple[int, ...]:
    entries = (value,) * length if isinstance(value, int) else tuple(int(entry) for entry in value)
    if len(entries) != length:
        raise ModelError(f"{name} has {len(entries)} entries; {length} wanted")
    if min(entries, default=1) < 1:
        raise ModelError(f"{name} has {min(entries)}; at least 1 wanted")
    return entries


def _sizes(name: str, value: int | Sequence[int | Sequence[int]], length: int, axes: int) -> tuple[Size, ...]:
    entries = (value,) * length if isinstance(value, int) else tuple(value)
    if len(entries) != length:
        raise ModelError(f"{name} has {len(entries)} entries; {length} wanted")
    return tuple(_per_stage(name, entry, axes) for entry in entries)


def initialize_convolution(module: nn.Module) -> None:
    """Kaiming normal (LeakyReLU slope 0.01) and zero bias, for 2D and 3D convolutions only.

    On the meta device there is nothing to set, and asking for normal numbers there would make PyTorch load
    its compiler: seconds, 100 MB, and a folder that it leaves among the temporary files.
    """
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        if module.weight.is_meta:
            return
        nn.init.kaiming_normal_(module.weight, a=DEFAULT_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
