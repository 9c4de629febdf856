"""U-Mamba (Ma, Li and Wang 2024, arXiv 2401.04722): Mamba at the bottleneck, or along the encoder.

Two generations of published checkpoints exist, of January and of March 2024; their keys and their layers
differ. The constructors take nnU-Net's arguments, so that nnU-Net's trainer can make these networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from torch import Tensor, nn

from umamba.errors import ModelError
from umamba.nn.blocks import ResidualStack, projected_stack
from umamba.nn.decoders import Decoder
from umamba.nn.encoders import current_encoder, residual_encoder
from umamba.nn.mamba import Mamba
from umamba.nn.mamba_layer import MambaLayer, mamba_over_map
from umamba.nn.network import Network
from umamba.nn.operators import Arguments, Operators, Stages, parse_arguments

CURRENT = "current"
LEGACY = "legacy"
GENERATIONS = (CURRENT, LEGACY)


class UMambaBot(Network):
    """One Mamba layer, on the deepest map."""

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        deep_supervision: bool = False,
        generation: str = CURRENT,
        **arguments: Unpack[Arguments],
    ) -> None:
        operators, stages = _parse(generation, arguments)
        super().__init__(stages.total_stride)
        self.generation = generation
        build_encoder = current_encoder if generation == CURRENT else residual_encoder
        self.encoder = build_encoder(operators, stages, input_channels)
        features = stages.features[-1]
        if generation == CURRENT:
            self.mamba_layer = MambaLayer(features)
        else:
            self.ln = nn.LayerNorm(features)
            self.mamba = Mamba(features)
        self.decoder = _decoder(operators, stages, num_classes, generation, deep_supervision)

    def bottleneck(self, x: Tensor) -> Tensor:
        """Run the Mamba layer."""
        if self.generation == CURRENT:
            result: Tensor = self.mamba_layer(x)
            return result
        return mamba_over_map(self.ln, self.mamba, x)


class UMambaEnc(Network):
    """Mamba layers after the encoder's stages: every one, but in the current 2D network every second one.

    In the current generation stages with no more voxels than features take channels for tokens, for which
    `patch_size` must be known; the network then takes that patch size only.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        patch_size: Sequence[int] | None = None,
        deep_supervision: bool = False,
        generation: str = CURRENT,
        **arguments: Unpack[Arguments],
    ) -> None:
        operators, stages = _parse(generation, arguments)
        super().__init__(stages.total_stride)
        self.generation = generation
        if generation == CURRENT:
            layers = _current_layers(stages, _checked_patch(patch_size, operators.axes))
            self.encoder = current_encoder(operators, stages, input_channels, layers)
        else:
            self.zero_residuals = True
            layers = [MambaLayer(features) for features in stages.features]
            self.encoder = residual_encoder(operators, stages, input_channels, layers)
        self.decoder = _decoder(operators, stages, num_classes, generation, deep_supervision)


def _parse(generation: str, arguments: Arguments) -> tuple[Operators, Stages]:
    if generation not in GENERATIONS:
        raise ModelError(f"generation is {str(generation)[:80]!r}; {CURRENT!r} or {LEGACY!r} wanted")
    operators, stages = parse_arguments(arguments)
    return operators, reduce_blocks(stages) if generation == CURRENT else stages


def reduce_blocks(stages: Stages) -> Stages:
    """The current generation's block counts: the deep half of the stages has one block each."""
    count = len(stages)
    encoder_from = math.ceil(count / 2)
    decoder_from = math.ceil((count - 1) / 2 + 0.5)
    return replace(
        stages,
        encoder_blocks=tuple(1 if s >= encoder_from else n for s, n in enumerate(stages.encoder_blocks)),
        decoder_blocks=tuple(1 if s >= decoder_from else n for s, n in enumerate(stages.decoder_blocks)),
    )


def _decoder(
    operators: Operators, stages: Stages, heads: int, generation: str, deep_supervision: bool
) -> Decoder:
    current = generation == CURRENT
    return Decoder(
        operators,
        stages,
        heads,
        projected_stack if current else ResidualStack,
        nearest=current,
        last_skip=not current or operators.axes == 3,  # the current 2D network leaves that skip out
        deep_supervision=deep_supervision,
    )


def _checked_patch(patch_size: Sequence[int] | None, axes: int) -> list[int]:
    if patch_size is None or len(patch_size) != axes:
        raise ModelError(f"UMambaEnc needs patch_size, {axes} sizes; found {patch_size!r}")
    return [int(length) for length in patch_size]


def _current_layers(stages: Stages, patch_size: list[int]) -> list[nn.Module | None]:
    """The Mamba layers of the current generation, None for a stage without."""
    layers: list[nn.Module | None] = []
    size = patch_size
    for stage, (features, stride) in enumerate(zip(stages.features, stages.strides, strict=True)):
        size = [length // factor for length, factor in zip(size, stride, strict=True)]
        voxels = math.prod(size)
        if len(size) == 2 and stage % 2 == len(stages) % 2:  # so that the deepest stage always has one
            layers.append(None)
        elif voxels <= features:
            layers.append(MambaLayer(voxels, channel_tokens=True))
        else:
            layers.append(MambaLayer(features))
    return layers
