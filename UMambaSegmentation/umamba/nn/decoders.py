"""The expanding half: upsampling, concatenation with the skip, blocks, and a head at every resolution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from umamba.nn.operators import Operators, Size, Stages

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
        self.nearest = nearest
        if nearest:
            self.upsample_layers = nn.ModuleList(ups)
        else:
            self.transpconvs = nn.ModuleList(ups)
        self.seg_layers = nn.ModuleList(outputs)
        self.last_skip = last_skip
        self.deep_supervision = deep_supervision

    def forward(self, maps: list[Tensor]) -> Tensor | list[Tensor]:
        """Run the encoder's maps (finest first; the list is emptied) to logits.

        Returns:
            (B, heads, *S); under deep supervision a list of them, full resolution first.
        """
        ups = self.upsample_layers if self.nearest else self.transpconvs
        last = len(self.stages) - 1
        x = maps.pop()
        outputs = []
        for index, (up, stage, head) in enumerate(zip(ups, self.stages, self.seg_layers, strict=True)):
            x = up(x)
            skip = maps.pop()
            if index < last or self.last_skip:
                x = torch.cat((x, skip), 1)
            del skip
            x = stage(x)
            if self.deep_supervision or index == last:
                outputs.append(head(x))
        return outputs[::-1] if self.deep_supervision else outputs[0]
