"""What all U-shaped networks here share: encoder, decoder, the switch, the start values."""

from __future__ import annotations

from torch import Tensor, nn

from umamba.nn.blocks import ResidualBlock
from umamba.nn.decoders import Decoder
from umamba.nn.encoders import Encoder
from umamba.nn.operators import initialize_convolution


class Network(nn.Module):
    """A segmentation network: images (B, C, *S) to logits (B, heads, *S).

    Attributes:
        zero_residuals: Whether `initialize` closes every residual block (last normalisation zero).
    """

    encoder: Encoder
    decoder: Decoder
    zero_residuals = False

    @property
    def deep_supervision(self) -> bool:
        """Whether every decoder stage's head answers: a list then, full resolution first."""
        return self.decoder.deep_supervision

    @deep_supervision.setter
    def deep_supervision(self, value: bool) -> None:
        self.decoder.deep_supervision = value

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network."""
        maps = self.encoder(x)
        maps[-1] = self.bottleneck(maps[-1])
        result: Tensor | list[Tensor] = self.decoder(maps)
        return result

    def bottleneck(self, x: Tensor) -> Tensor:
        """What happens to the deepest map before the decoder takes it."""
        return x

    def initialize(self, module: nn.Module) -> None:
        """Set one module's start values, to be used as `network.apply(network.initialize)`.

        Convolutions over 2 or 3 axes only: linear layers and Mamba's parameters keep their own.
        """
        initialize_convolution(module)
        if self.zero_residuals and isinstance(module, ResidualBlock) and module.conv2.norm.affine:
            nn.init.zeros_(module.conv2.norm.weight)
            nn.init.zeros_(module.conv2.norm.bias)
