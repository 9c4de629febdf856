"""U-Mamba (Ma, Li and Wang 2024, arXiv 2401.04722): Mamba at the bottleneck, or along the encoder.

Two generations of published checkpoints exist, of January and of March 2024; their keys and their layers
differ. The constructors take nnU-Net's arguments, so that nnU-Net's trainer can make these networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from umamba.errors import ModelError
from umamba.nn.blocks import ResidualStack, projected_stack
from umamba.nn.decoders import Decoder
from umamba.nn.encoders import current_encoder, residual_encoder
from umamba.nn.mamba import Mamba
from umamba.nn.mamba_layer import MambaLayer, mamba_over_map
from umamba.nn.network import Network
from umamba.nn.operators import Operators, Stages, parse_operators, parse_stages

CURRENT = "current"
LEGACY = "legacy"


class _UMamba(Network):
    """The part that both variants share."""

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        n_stages: int,
        features_per_stage: int | Sequence[int],
        conv_op: type[nn.Module],
        kernel_sizes: int | Sequence[int | Sequence[int]],
        strides: int | Sequence[int | Sequence[int]],
        n_conv_per_stage: int | Sequence[int],
        n_conv_per_stage_decoder: int | Sequence[int],
        conv_bias: bool = True,
        norm_op: type[nn.Module] | None = None,
        norm_op_kwargs: Mapping[str, Any] | None = None,
        dropout_op: type[nn.Module] | None = None,
        dropout_op_kwargs: Mapping[str, Any] | None = None,
        nonlin: type[nn.Module] | None = nn.LeakyReLU,
        nonlin_kwargs: Mapping[str, Any] | None = None,
        deep_supervision: bool = False,
        generation: str = CURRENT,
        patch_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if generation not in (CURRENT, LEGACY):
            raise ModelError(f"generation is {generation!r}; {CURRENT!r} or {LEGACY!r} wanted")
        operators = parse_operators(
            conv_op, conv_bias, norm_op, norm_op_kwargs, dropout_op, nonlin, nonlin_kwargs
        )
        stages = parse_stages(
            operators.axes,
            n_stages,
            features_per_stage,
            kernel_sizes,
            strides,
            n_conv_per_stage,
            n_conv_per_stage_decoder,
        )
        self.generation = generation
        current = generation == CURRENT
        if current:
            stages = reduce_blocks(stages)
        layers = self._encoder_layers(operators, stages, patch_size)
        build_encoder = current_encoder if current else residual_encoder
        self.encoder = build_encoder(operators, stages, input_channels, layers)
        self._build_bottleneck(stages.features[-1])
        self.decoder = Decoder(
            operators,
            stages,
            num_classes,
            projected_stack if current else ResidualStack,
            nearest=current,
            last_skip=not current or operators.axes == 3,  # the current 2D network leaves that skip out
            deep_supervision=deep_supervision,
        )

    def _encoder_layers(
        self, operators: Operators, stages: Stages, patch_size: Sequence[int] | None
    ) -> list[nn.Module | None] | None:
        return None

    def _build_bottleneck(self, features: int) -> None:
        pass


class UMambaBot(_UMamba):
    """One Mamba layer, on the deepest map."""

    def _build_bottleneck(self, features: int) -> None:
        if self.generation == CURRENT:
            self.mamba_layer = MambaLayer(features)
        else:
            self.ln = nn.LayerNorm(features)
            self.mamba = Mamba(features)

    def bottleneck(self, x: Tensor) -> Tensor:
        """Run the Mamba layer."""
        if self.generation == CURRENT:
            result: Tensor = self.mamba_layer(x)
            return result
        return mamba_over_map(self.ln, self.mamba, x)


class UMambaEnc(_UMamba):
    """Mamba layers after the encoder's stages: every one in 3D, every second one in 2D (current generation).

    In the current generation stages with no more voxels than features take channels for tokens, for which
    `patch_size` must be known; the network then takes that patch size only.
    """

    def _encoder_layers(
        self, operators: Operators, stages: Stages, patch_size: Sequence[int] | None
    ) -> list[nn.Module | None] | None:
        if self.generation == LEGACY:
            self.zero_residuals = True
            return [MambaLayer(features) for features in stages.features]
        if patch_size is None or len(patch_size) != operators.axes:
            raise ModelError(f"UMambaEnc needs patch_size, {operators.axes} sizes; found {patch_size!r}")
        layers: list[nn.Module | None] = []
        size = [int(length) for length in patch_size]
        for stage, (features, stride) in enumerate(zip(stages.features, stages.strides, strict=True)):
            size = [length // factor for length, factor in zip(size, stride, strict=True)]
            voxels = math.prod(size)
            if operators.axes == 2 and stage % 2 == len(stages) % 2:
                layers.append(None)
            elif voxels <= features:
                layers.append(MambaLayer(voxels, channel_tokens=True))
            else:
                layers.append(MambaLayer(features))
        return layers


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
