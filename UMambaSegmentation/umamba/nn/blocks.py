"""The convolutional blocks: nnU-Net's plain and residual ones, and U-Mamba's own residual block.

Names of modules are those of the published checkpoints. A stack of blocks can be iterated over, so that who
runs it may drop each block's input as soon as it has been used.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from umamba.nn.lean import convolve, normalize
from umamba.nn.operators import Operators, Size


class ConvNormAct(nn.Module):
    """Convolution, instance normalisation and, unless switched off, LeakyReLU. (B, C, *S) to (B, C', *S')."""

    def __init__(
        self,
        operators: Operators,
        before: int,
        after: int,
        kernel: Size,
        stride: Size | None = None,
        bias: bool | None = None,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv = operators.conv(before, after, kernel, stride, operators.bias if bias is None else bias)
        self.norm = operators.norm(after)
        self.slope = operators.slope if activate else None

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        return normalize(self.norm, convolve(self.conv, x), self.slope)


class ConvStack(nn.Module):
    """`count` times ConvNormAct, the first with the stride."""

    def __init__(
        self,
        operators: Operators,
        count: int,
        before: int,
        after: int,
        kernel: Size,
        stride: Size | None = None,
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            ConvNormAct(operators, before, after, kernel, stride),
            *(ConvNormAct(operators, after, after, kernel) for _ in range(count - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Run the stack."""
        for block in self:
            x = block(x)
        return x

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.convs)


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip: identity, average pooling, projection, or pooling and projection.

    The block that dynamic_network_architectures calls BasicBlockD (ResNet-D).
    """

    def __init__(
        self, operators: Operators, before: int, after: int, kernel: Size, stride: Size | None = None
    ) -> None:
        super().__init__()
        stride = stride or operators.ones
        self.conv1 = ConvNormAct(operators, before, after, kernel, stride)
        self.conv2 = ConvNormAct(operators, after, after, kernel, activate=False)
        self.slope = operators.slope
        skip: list[nn.Module] = []
        if stride != operators.ones:
            skip.append(_average_pooling(operators.axes, stride))
        if before != after:
            skip.append(ConvNormAct(operators, before, after, operators.ones, bias=False, activate=False))
        self.skip = nn.Sequential(*skip) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        y = convolve(self.conv2.conv, self.conv1(x))
        return normalize(self.conv2.norm, y, self.slope, x if self.skip is None else self.skip(x))


class ResidualStack(nn.Module):
    """`count` residual blocks, the first with the stride."""

    def __init__(
        self,
        operators: Operators,
        count: int,
        before: int,
        after: int,
        kernel: Size,
        stride: Size | None = None,
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            ResidualBlock(operators, before, after, kernel, stride),
            *(ResidualBlock(operators, after, after, kernel) for _ in range(count - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Run the stack."""
        for block in self:
            x = block(x)
        return x

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.blocks)


class ProjectedBlock(nn.Module):
    """U-Mamba's own residual block: the skip is always a 1 x 1 convolution, with bias, without norm."""

    def __init__(
        self, operators: Operators, before: int, after: int, kernel: Size, stride: Size | None = None
    ) -> None:
        super().__init__()
        self.conv1 = operators.conv(before, after, kernel, stride)
        self.norm1 = operators.norm(after)
        self.conv2 = operators.conv(after, after, kernel)
        self.norm2 = operators.norm(after)
        self.conv3 = operators.conv(before, after, operators.ones, stride)
        self.slope = operators.slope

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        y = normalize(self.norm1, convolve(self.conv1, x), self.slope)
        y = convolve(self.conv2, y)
        return normalize(self.norm2, y, self.slope, convolve(self.conv3, x))


def projected_stack(
    operators: Operators, count: int, before: int, after: int, kernel: Size, stride: Size | None = None
) -> nn.Sequential:
    """A stage of the current U-Mamba: a ProjectedBlock with the stride, then `count - 1` ResidualBlocks."""
    return nn.Sequential(
        ProjectedBlock(operators, before, after, kernel, stride),
        *(ResidualBlock(operators, after, after, kernel) for _ in range(count - 1)),
    )


def _average_pooling(axes: int, stride: Size) -> nn.Module:
    pooling: dict[int, type[nn.Module]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
    return pooling[axes](stride, stride)
