"""The expanding half: upsampling, concatenation with the skip, blocks, and a head at every resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from umamba.nn import lean
from umamba.nn.operators import Conv, Operators, Size, Stages, TransposedConv

StageBuilder = Callable[[Operators, int, int, int, Size], nn.Module]


class NearestUpsampling(nn.Module):
    """Nearest-neighbour enlargement by the stride and a 1 x 1 convolution.

    A 1 x 1 convolution sees one voxel at a time, so that it can as well go first, on the small map.
    """

    def __init__(self, operators: Operators, before: int, after: int, stride: Size) -> None:
        super().__init__()
        self.conv = operators.conv(before, after, operators.ones)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Run (B, C, *S) to (B, C', *(S * stride))."""
        size = [length * factor for length, factor in zip(x.shape[2:], self.stride, strict=True)]
        return functional.interpolate(self.conv(x), size=size, mode="nearest")

    def write(self, x: Tensor, out: Tensor) -> None:
        """The same into `out`."""
        lean.enlarge_nearest(lean.convolve(self.conv, x), self.stride, out)


class Decoder(nn.Module):
    """Stages from the deepest to the finest.

    Modules are named as in the published checkpoints: `stages`, `upsample_layers` or `transpconvs`,
    `seg_layers`.

    Attributes:
        deep_supervision: Whether every stage's head answers, or the finest alone. It may be switched at
            any time; all heads exist either way.
        last_skip: Whether the finest stage sees the encoder's finest map.
    """

    def __init__(
        self,
        operators: Operators,
        stages: Stages,
        heads: int,
        build_stage: StageBuilder,
        *,
        nearest: bool = False,
        last_skip: bool = True,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        built, ups, outputs = [], [], []
        for index, blocks in enumerate(stages.decoder_blocks):
            fine = len(stages) - 2 - index
            before, after = stages.features[fine + 1], stages.features[fine]
            stride = stages.strides[fine + 1]
            skip = after if last_skip or fine > 0 else 0
            built.append(build_stage(operators, blocks, after + skip, after, stages.kernels[fine]))
            ups.append(
                NearestUpsampling(operators, before, after, stride)
                if nearest
                else operators.transposed(before, after, stride)
            )
            outputs.append(operators.conv(after, heads, operators.ones))
        self.stages = nn.ModuleList(built)
        self._ups = "upsample_layers" if nearest else "transpconvs"
        self.add_module(self._ups, nn.ModuleList(ups))
        self.seg_layers = nn.ModuleList(outputs)
        self.last_skip = last_skip
        self.deep_supervision = deep_supervision

    def forward(self, maps: list[Tensor]) -> Tensor | list[Tensor]:
        """Run the encoder's maps (finest first; the list is emptied) to logits.

        Returns:
            (B, heads, *S); under deep supervision a list of them, full resolution first.
        """
        last = len(self.stages) - 1
        x = maps.pop()
        outputs = []
        for index, (stage, head) in enumerate(zip(self.stages, self.seg_layers, strict=True)):
            x = self._join(index, x, maps)
            for block in cast("Iterable[nn.Module]", stage):
                x = block(x)
            if self.deep_supervision or index == last:
                outputs.append(lean.head(cast("Conv", head), x))
        return outputs[::-1] if self.deep_supervision else outputs[0]

    def _join(self, index: int, x: Tensor, maps: list[Tensor]) -> Tensor:
        """Enlarge `x` to the size of the next skip, which is taken off `maps`, and put that behind it."""
        up = cast("nn.ModuleList", getattr(self, self._ups))[index]
        with_skip = index < len(self.stages) - 1 or self.last_skip
        if not lean.is_lean(self):
            skip = maps.pop()
            x = up(x)
            return torch.cat((x, skip), 1) if with_skip else x
        batch, features, *size = maps[-1].shape
        skips = features if with_skip else 0
        out = lean.empty_map(x, (batch, features + skips, *size))
        out[:, features:] = maps.pop()[:, :skips]
        if isinstance(up, NearestUpsampling):
            up.write(x, out[:, :features])
        else:
            lean.enlarge_transposed(cast("TransposedConv", up), x, out[:, :features])
        return out
