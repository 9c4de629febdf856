"""The contracting halves: lists of feature maps, finest first."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from umamba.nn.blocks import ConvStack, ResidualStack, projected_stack
from umamba.nn.lean import channels_last, has_fast_path, is_lean
from umamba.nn.operators import Operators, Stages

Blocks = ConvStack | ResidualStack | nn.Sequential


class Encoder(nn.Module):
    """Stem, stages and the Mamba layers after them, each where there is one.

    Modules are named as in the published checkpoints: `stem`, `stages`, `mamba_layers`.
    """

    def __init__(
        self, stem: Blocks | None, stages: list[Blocks], layers: list[nn.Module | None] | None
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        # An Identity has no keys, so the numbers in the keys stay those of the stages.
        self.mamba_layers = None
        if layers is not None:
            self.mamba_layers = nn.ModuleList(nn.Identity() if layer is None else layer for layer in layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Run (B, C, *S) to one map a stage, finest first. The caller may empty the list as it goes."""
        if is_lean(self) and has_fast_path(x):
            x = channels_last(x)
        for block in self.stem or ():
            x = block(x)
        maps: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            for block in cast("Blocks", stage):
                x = block(x)
            if self.mamba_layers is not None:
                x = self.mamba_layers[index](x)
            maps.append(x)
        return maps


def current_encoder(
    operators: Operators, stages: Stages, channels: int, layers: list[nn.Module | None] | None = None
) -> Encoder:
    """U-Mamba's own encoder (the current generation)."""
    first = stages.features[0]
    before = (first, *stages.features)
    blocks = stages.encoder_blocks
    stem = projected_stack(operators, blocks[0], channels, first, stages.kernels[0])
    body: list[Blocks] = [
        projected_stack(
            operators, blocks[s], before[s], stages.features[s], stages.kernels[s], stages.strides[s]
        )
        for s in range(len(stages))
    ]
    return Encoder(stem, body, layers)


def residual_encoder(
    operators: Operators, stages: Stages, channels: int, layers: list[nn.Module | None] | None = None
) -> Encoder:
    """nnU-Net's residual encoder, with Mamba layers that of U-Mamba's legacy generation."""
    first = stages.features[0]
    before = (first, *stages.features)
    stem = ConvStack(operators, 1, channels, first, stages.kernels[0])
    body: list[Blocks] = [
        ResidualStack(
            operators,
            stages.encoder_blocks[s],
            before[s],
            stages.features[s],
            stages.kernels[s],
            stages.strides[s],
        )
        for s in range(len(stages))
    ]
    return Encoder(stem, body, layers)


def plain_encoder(operators: Operators, stages: Stages, channels: int) -> Encoder:
    """nnU-Net's plain encoder."""
    before = (channels, *stages.features)
    body: list[Blocks] = [
        nn.Sequential(
            ConvStack(
                operators,
                stages.encoder_blocks[s],
                before[s],
                stages.features[s],
                stages.kernels[s],
                stages.strides[s],
            )
        )
        for s in range(len(stages))
    ]
    return Encoder(None, body, None)
