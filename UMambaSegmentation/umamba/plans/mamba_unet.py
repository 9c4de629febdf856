"""What makes up a Mamba-UNet (Wang et al. 2024, arXiv 2402.05079): its sizes, from plans or by default."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from umamba.errors import ModelError
from umamba.plans import fields

PUBLISHED_DIMS = (96, 192, 384, 768)
PUBLISHED_DEPTHS = (2, 2, 2, 2)
PUBLISHED_PATCH = 4
# A flat image of one channel fills the three that a checkpoint of colour photographs has.
COLOUR_CHANNELS = 3
RANK_DIVISOR = 16

MAX_STAGES, MAX_FEATURES, MAX_BLOCKS = 8, 8_192, 100
MAX_PATCH, MAX_STRIDE, MAX_STATES, MAX_EXPANSION, MAX_KERNEL = 16, 4, 256, 8, 31
# With as many resolutions as this the embedding takes two steps of the plans' strides, else one.
_DEEP = 5

_KNOWN = frozenset(
    {
        "dims",
        "depths",
        "patch_size",
        "strides",
        "d_state",
        "expand",
        "d_conv",
        "dt_ranks",
        "embed_channels",
        "drop_path_rate",
        "patch_norm",
        "deep_supervision",
    }
)


@dataclass(frozen=True)
class MambaUNetSizes:
    """The sizes of a Mamba-UNet over 2 or 3 axes.

    Attributes:
        dims: Channels of each stage; each stage has twice those of the one before.
        depths: VSS blocks of each stage; the decoder mirrors them.
        patch_size: Voxels of a token, per axis.
        strides: Per merging of tokens (one fewer than stages) and axis.
        d_state: States of the scan (N).
        expand: Inner width over outer width (D / C).
        d_conv: Kernel of the depthwise convolution, odd.
        dt_ranks: Rank of the time step, per stage.
        embed_channels: What the embedding takes; None: the image's channels, but three for a flat image
            of one channel, which is repeated.
        drop_path_rate: Of the deepest block while training; it grows evenly from 0 in the first.
        patch_norm: Whether the embedding ends in a LayerNorm.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    patch_size: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    dt_ranks: tuple[int, ...]
    d_state: int = 16
    expand: int = 2
    d_conv: int = 3
    embed_channels: int | None = None
    drop_path_rate: float = 0.2
    patch_norm: bool = True

    @property
    def axes(self) -> int:
        """2 or 3."""
        return len(self.patch_size)

    @property
    def total_stride(self) -> tuple[int, ...]:
        """What every axis of the input must be divisible by."""
        return tuple(math.prod(factors) for factors in zip(self.patch_size, *self.strides, strict=True))

    def embedded_channels(self, channels: int) -> int:
        """What the embedding takes for an image of `channels`."""
        if self.embed_channels is not None:
            return self.embed_channels
        return COLOUR_CHANNELS if channels == 1 and self.axes == 2 else channels


def parse_sizes(kwargs: Mapping[str, Any], axes: int | None, where: str) -> MambaUNetSizes:
    """Read the sizes from `arch_kwargs`; everything but `dims`, `depths` and `patch_size` has a default.

    Args:
        kwargs: Keys as the attributes of `MambaUNetSizes`; `strides` are 2 everywhere by default.
        axes: 2 or 3, or None to take what `patch_size` has.
        where: For errors.

    Raises:
        ModelError: A key is missing, unknown or has a wrong value.
    """
    for key, value in kwargs.items():
        if key not in _KNOWN and value is not None and value is not False:
            raise ModelError(f"{where}: the option {str(key)[:80]!r} is not supported")
    patch = _integers(kwargs, "patch_size", where, MAX_PATCH, axes)
    if len(patch) not in (2, 3):
        raise ModelError(f"{where}: patch_size has {len(patch)} entries, 2 or 3 wanted")
    dims = _integers(kwargs, "dims", where, MAX_FEATURES)
    _check_dims(dims, where)
    merges = len(dims) - 1
    raw = fields.sequence(kwargs.get("strides", [[2] * len(patch)] * merges), f"{where}: strides", merges)
    strides = [fields.integers(entry, f"{where}: strides", 1, MAX_STRIDE, len(patch)) for entry in raw]
    ranks = kwargs.get("dt_ranks")
    embed = kwargs.get("embed_channels")
    return MambaUNetSizes(
        dims=dims,
        depths=_integers(kwargs, "depths", where, MAX_BLOCKS, len(dims)),
        patch_size=patch,
        strides=tuple(strides),
        dt_ranks=usual_ranks(dims)
        if ranks is None
        else fields.integers(ranks, f"{where}: dt_ranks", 1, MAX_FEATURES, len(dims)),
        d_state=fields.integer(kwargs.get("d_state", 16), f"{where}: d_state", 1, MAX_STATES),
        expand=fields.integer(kwargs.get("expand", 2), f"{where}: expand", 1, MAX_EXPANSION),
        d_conv=_kernel(kwargs.get("d_conv", 3), where),
        embed_channels=None
        if embed is None
        else fields.integer(embed, f"{where}: embed_channels", 1, MAX_FEATURES),
        drop_path_rate=_rate(kwargs.get("drop_path_rate", 0.2), where),
        patch_norm=fields.flag(kwargs.get("patch_norm", True), f"{where}: patch_norm"),
    )


def default_sizes(strides: Sequence[Sequence[int]]) -> MambaUNetSizes:
    """The sizes for plans of another network, from its strides per stage.

    Over two axes the published ones. Over three axes the embedding takes the first one or two steps of the
    strides, so that a token covers about as much along every axis as its spacing asks for, and the rest of
    the steps are merges; a stage has two blocks, and half of the published channels.
    """
    if len(strides[0]) == 2:
        return parse_sizes(
            {"dims": PUBLISHED_DIMS, "depths": PUBLISHED_DEPTHS, "patch_size": [PUBLISHED_PATCH] * 2},
            2,
            "MambaUNet",
        )
    steps = [list(stride) for stride in strides if max(stride) > 1]
    embedded = 2 if len(steps) + 1 >= _DEEP else 1
    patch = [math.prod(factors) for factors in zip([1, 1, 1], *steps[:embedded], strict=True)]
    merges = steps[embedded : embedded + MAX_STAGES - 1]
    if not merges:
        raise ModelError(
            "the plans have too few resolutions for a MambaUNet; two steps of strides are wanted"
        )
    dims = [PUBLISHED_DIMS[0] // 2 * 2**stage for stage in range(len(merges) + 1)]
    return parse_sizes(
        {"dims": dims, "depths": [2] * len(dims), "patch_size": patch, "strides": merges}, 3, "MambaUNet"
    )


def arguments_of(sizes: MambaUNetSizes) -> dict[str, Any]:
    """The sizes as `arch_kwargs` of plans.json."""
    return {
        key: [list(entry) if isinstance(entry, tuple) else entry for entry in value]
        if isinstance(value, tuple)
        else value
        for key, value in vars(sizes).items()
    }


def usual_ranks(dims: Sequence[int]) -> tuple[int, ...]:
    """The published rank of the time step: the channels' sixteenth, rounded up."""
    return tuple(math.ceil(width / RANK_DIVISOR) for width in dims)


def _integers(
    kwargs: Mapping[str, Any], key: str, where: str, most: int, length: int | None = None
) -> tuple[int, ...]:
    return fields.integers(fields.required(kwargs, key, where), f"{where}: {key}", 1, most, length)


def _check_dims(dims: tuple[int, ...], where: str) -> None:
    if not 2 <= len(dims) <= MAX_STAGES:
        raise ModelError(f"{where}: dims has {len(dims)} stages, 2 to {MAX_STAGES} wanted")
    if any(wide != 2 * narrow for narrow, wide in pairwise(dims)):
        raise ModelError(f"{where}: dims {list(dims)} found, each must be twice the one before")


def _kernel(value: object, where: str) -> int:
    size = fields.integer(value, f"{where}: d_conv", 1, MAX_KERNEL)
    if size % 2 == 0:
        raise ModelError(f"{where}: d_conv {size} found, an odd size wanted")
    return size


def _rate(value: object, where: str) -> float:
    rate = fields.number(value, f"{where}: drop_path_rate")
    if not 0 <= rate < 1:
        raise ModelError(f"{where}: drop_path_rate {rate:g} found, at least 0 and below 1 wanted")
    return rate
