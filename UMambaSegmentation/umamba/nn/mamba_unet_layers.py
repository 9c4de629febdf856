"""What stands between the blocks of a Mamba-UNet: embedding, merging and enlarging of tokens.

Maps lie channels last, (B, *S, C). Over two axes these are the published layers; strides and token sizes
may differ from axis to axis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from torch import Tensor, nn

from umamba.nn.mamba import normalize_rows
from umamba.nn.operators import Size
from umamba.nn.vss import EPS


class PatchEmbed(nn.Module):
    """(B, C, *S) to tokens (B, *(S // patch), C'); rows that fill no token are cut."""

    def __init__(self, channels: int, features: int, patch: Size, normalize: bool = True) -> None:
        super().__init__()
        convolution: Callable[..., nn.Module] = {2: nn.Conv2d, 3: nn.Conv3d}[len(patch)]
        self.proj = convolution(channels, features, patch, patch)
        self.norm = nn.LayerNorm(features, eps=EPS) if normalize else None

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        tokens: Tensor = self.proj(x).movedim(1, -1).contiguous()
        return tokens if self.norm is None else normalize_rows(self.norm, tokens)


class PatchMerging(nn.Module):
    """(B, *S, C) to (B, *(S // stride), 2 C): the tokens of a stride side by side, LayerNorm, projection.

    Within the stride the first axis runs fastest. What fills no stride is cut.
    """

    def __init__(self, features: int, stride: Size) -> None:
        super().__init__()
        self.stride = stride
        wide = math.prod(stride) * features
        self.reduction = nn.Linear(wide, 2 * features, bias=False)
        self.norm = nn.LayerNorm(wide, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        features = x.shape[-1]
        sizes = [length // factor for length, factor in zip(x.shape[1:-1], self.stride, strict=True)]
        wide = x.new_empty(x.shape[0], *sizes, self.reduction.in_features)
        firsts = itertools.product(*(range(factor) for factor in reversed(self.stride)))
        for index, reverse in enumerate(firsts):
            places = [
                slice(first, first + size * factor, factor)
                for first, size, factor in zip(reversed(reverse), sizes, self.stride, strict=True)
            ]
            part = x[(slice(None), *places)]  # type: ignore[index]
            wide[..., index * features : (index + 1) * features] = part
        merged: Tensor = self.reduction(normalize_rows(self.norm, wide))
        return merged


class PatchExpand(nn.Module):
    """(B, *S, C) to (B, *(S * stride), C'): projection, whose outputs become neighbours, and LayerNorm.

    The last axis of the stride runs fastest among them.
    """

    def __init__(self, features: int, after: int, stride: Size) -> None:
        super().__init__()
        self.stride = stride
        self.expand = nn.Linear(features, math.prod(stride) * after, bias=False)
        self.norm = nn.LayerNorm(after, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        return normalize_rows(self.norm, self._enlarge(self.expand(x)))

    def _enlarge(self, x: Tensor) -> Tensor:
        """(B, *S, prod(stride) C') to (B, *(S * stride), C')."""
        batch, *size, _ = x.shape
        axes = len(size)
        parts = x.view(batch, *size, *self.stride, -1)
        order = [
            axis
            for pair in zip(range(1, axes + 1), range(axes + 1, 2 * axes + 1), strict=True)
            for axis in pair
        ]
        larger = [length * factor for length, factor in zip(size, self.stride, strict=True)]
        return parts.permute(0, *order, 2 * axes + 1).reshape(batch, *larger, -1)
