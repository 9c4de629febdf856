"""What all U-shaped networks here share: encoder, decoder, the switch, the start values."""

from __future__ import annotations

from torch import Tensor, nn

from umamba.errors import InputError
from umamba.nn.blocks import ResidualBlock
from umamba.nn.decoders import Decoder
from umamba.nn.encoders import Encoder
from umamba.nn.operators import Size, initialize_convolution


class Network(nn.Module):
    """A segmentation network: images (B, C, *S) to logits (B, heads, *S).

    Attributes:
        total_stride: What every axis of the input must be divisible by.
        zero_residuals: Whether `initialize` closes every residual block (last normalisation zero).
    """

    encoder: Encoder
    decoder: Decoder
    zero_residuals = False

    def __init__(self, total_stride: Size) -> None:
        super().__init__()
        self.total_stride = total_stride

    @property
    def deep_supervision(self) -> bool:
        """Whether every decoder stage's head answers: a list then, full resolution first."""
        return self.decoder.deep_supervision

    @deep_supervision.setter
    def deep_supervision(self, value: bool) -> None:
        self.decoder.deep_supervision = value

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network.

        Raises:
            InputError: An axis is not divisible by the strides.
            ModelError: A channel-token layer meets another size than that of its plans.
        """
        self.check_input(x)
        maps = self.encoder(x)
        maps.append(self.bottleneck(maps.pop()))
        result: Tensor | list[Tensor] = self.decoder(maps)
        return result

    def check_input(self, x: Tensor) -> None:
        """Raise InputError unless `x` is (B, C, *S) with sizes that the strides divide."""
        if x.dim() != len(self.total_stride) + 2 or any(
            length % stride for length, stride in zip(x.shape[2:], self.total_stride, strict=True)
        ):
            wanted = " x ".join(f"n*{stride}" for stride in self.total_stride)
            raise InputError(f"the network takes (batch, channels, {wanted}); found {tuple(x.shape)}")

    def bottleneck(self, x: Tensor) -> Tensor:
        """What happens to the deepest map before the decoder takes it."""
        return x

    def initialize(self, module: nn.Module) -> None:
        """Set one module's start values, to be used as `network.apply(network.initialize)`.

        Convolutions over 2 or 3 axes only: linear layers and Mamba's parameters keep their own.
        """
        initialize_convolution(module)
        if self.zero_residuals and isinstance(module, ResidualBlock):
            for parameter in module.conv2.norm.parameters():
                nn.init.zeros_(parameter)
