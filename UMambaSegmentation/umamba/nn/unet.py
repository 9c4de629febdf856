"""nnU-Net's own networks (nnunetv2 2.8.1, Isensee et al. 2021 and 2024), under its checkpoints' names."""

from __future__ import annotations

from typing import Unpack

from umamba.nn.blocks import ConvStack
from umamba.nn.decoders import Decoder
from umamba.nn.encoders import plain_encoder, residual_encoder
from umamba.nn.network import Network
from umamba.nn.operators import Arguments, parse_arguments


class PlainConvUNet(Network):
    """Convolution, normalisation, activation, over and over; transposed convolutions upwards."""

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        deep_supervision: bool = False,
        **arguments: Unpack[Arguments],
    ) -> None:
        operators, stages = parse_arguments(arguments)
        super().__init__(stages.total_stride)
        self.encoder = plain_encoder(operators, stages, input_channels)
        self.decoder = Decoder(operators, stages, num_classes, ConvStack, deep_supervision=deep_supervision)


class ResidualEncoderUNet(Network):
    """Residual blocks down, plain convolutions up."""

    zero_residuals = True

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        deep_supervision: bool = False,
        **arguments: Unpack[Arguments],
    ) -> None:
        operators, stages = parse_arguments(arguments)
        super().__init__(stages.total_stride)
        self.encoder = residual_encoder(operators, stages, input_channels)
        self.decoder = Decoder(operators, stages, num_classes, ConvStack, deep_supervision=deep_supervision)
