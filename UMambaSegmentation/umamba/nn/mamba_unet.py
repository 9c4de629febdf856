"""Mamba-UNet (Wang, Zheng, Zhang, Cui and Li 2024, arXiv 2402.05079): a U of VSS blocks, flat or in volumes.

Modules are named as in the published checkpoints, over two axes with the published arithmetic. Over three
axes, which the paper leaves as future work, the same code scans along six paths, with strides of their own
for every axis. There is no deep supervision.
"""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from umamba.errors import ModelError
from umamba.nn.cross_scan import piece_rows
from umamba.nn.lean import is_lean
from umamba.nn.mamba import normalize_rows, without_autocast
from umamba.nn.mamba_unet_layers import PatchEmbed, PatchExpand, PatchMerging
from umamba.nn.network import Network
from umamba.nn.vss import EPS, VSSBlock
from umamba.plans.mamba_unet import MambaUNetSizes, parse_sizes

LINEAR_DEVIATION = 0.02


class MambaUNet(Network):
    """Images (B, channels, *S) to logits (B, classes, *S) float32, autocast or not.

    A flat image of one channel is repeated to the three that the embedding takes.
    """

    def __init__(
        self, input_channels: int, num_classes: int, *, deep_supervision: bool = False, **sizes: object
    ) -> None:
        """Build the network from nnU-Net's two numbers and `umamba.plans.mamba_unet`'s keys.

        Raises:
            ModelError: Sizes that cannot be, or deep supervision.
        """
        parsed = parse_sizes(sizes, None, "MambaUNet")
        super().__init__(parsed.total_stride)
        if deep_supervision:
            raise ModelError(_NO_DEEP_SUPERVISION)
        self.embedded = parsed.embedded_channels(input_channels)
        if input_channels not in (1, self.embedded):
            raise ModelError(
                f"MambaUNet: embed_channels is {self.embedded}, the images have {input_channels} channels"
            )
        self.mamba_unet = _VSSUNet(parsed, self.embedded, num_classes)

    @property
    def deep_supervision(self) -> bool:
        """Never."""
        return False

    @deep_supervision.setter
    def deep_supervision(self, value: bool) -> None:
        if value:
            raise ModelError(_NO_DEEP_SUPERVISION)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network.

        Raises:
            InputError: An axis is not divisible by the strides.
        """
        self.check_input(x)
        with without_autocast(x.device):
            x = x.float()
            if x.shape[1] == 1 and self.embedded > 1:
                x = x.expand(-1, self.embedded, *x.shape[2:])
            result: Tensor = self.mamba_unet(x)
            return result

    def initialize(self, module: nn.Module) -> None:
        """Set a linear layer's start values: normal, 0.02. Other modules keep those they are made with."""
        if isinstance(module, nn.Linear) and not module.weight.is_meta:
            nn.init.trunc_normal_(module.weight, std=LINEAR_DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


_NO_DEEP_SUPERVISION = "MambaUNet has one output only: deep supervision must be off for it"


class _Stage(nn.Module):
    """VSS blocks, and the layer after them that changes the resolution, where there is one."""

    def __init__(self, blocks: list[nn.Module], name: str, change: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self._change = name
        if change is not None:
            self.add_module(name, change)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        change = self._modules.get(self._change)
        return x if change is None else change(x)


class _VSSUNet(nn.Module):
    """The published inner module: images (B, embedded channels, *S) to logits."""

    def __init__(self, sizes: MambaUNetSizes, channels: int, classes: int) -> None:
        super().__init__()
        dims, last = sizes.dims, len(sizes.dims) - 1
        rates = _drop_path_rates(sizes)

        def enlarge(stage: int) -> PatchExpand:
            """From a stage to the next finer one."""
            return PatchExpand(dims[stage], dims[stage - 1], sizes.strides[stage - 1])

        self.patch_embed = PatchEmbed(channels, dims[0], sizes.patch_size, sizes.patch_norm)
        self.layers = nn.ModuleList(
            _Stage(
                _blocks(sizes, stage, rates[stage]),
                "downsample",
                PatchMerging(dims[stage], sizes.strides[stage]) if stage < last else None,
            )
            for stage in range(last + 1)
        )
        finer = range(last - 1, -1, -1)
        self.layers_up = nn.ModuleList(
            [
                enlarge(last),
                *(_Stage(_blocks(sizes, s, rates[s]), "upsample", enlarge(s) if s else None) for s in finer),
            ]
        )
        # An Identity has no keys, so that the numbers in the keys are those of the decoder's stages.
        self.concat_back_dim = nn.ModuleList(
            [nn.Identity(), *(nn.Linear(2 * dims[stage], dims[stage]) for stage in finer)]
        )
        self.norm = nn.LayerNorm(dims[-1], eps=EPS)
        self.norm_up = nn.LayerNorm(dims[0], eps=EPS)
        self.up = PatchExpand(dims[0], dims[0], sizes.patch_size)
        self.output = {2: nn.Conv2d, 3: nn.Conv3d}[sizes.axes](dims[0], classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        skips = []
        for stage in self.layers:
            skips.append(x)
            x = stage(x)
        skips.pop()  # the deepest stage's input goes nowhere else
        x = normalize_rows(self.norm, x)
        for index, stage in enumerate(self.layers_up):
            if index:
                x = _join(cast("nn.Linear", self.concat_back_dim[index]), x, skips.pop())
            x = stage(x)
        return self._finish(normalize_rows(self.norm_up, x))

    def _finish(self, x: Tensor) -> Tensor:
        """Tokens (B, *S, C) to logits at full resolution, without gradients some lines at a time."""
        if not is_lean(self):
            return self._head(x).contiguous()
        patch, classes = self.up.stride, self.output.weight.shape[0]
        out = x.new_empty(
            x.shape[0],
            classes,
            *(length * factor for length, factor in zip(x.shape[1:-1], patch, strict=True)),
        )
        # The wide projection, the same in its place, and normalised.
        step = piece_rows(x, 3 * x[:, 0].numel() * math.prod(patch))
        for start in range(0, x.shape[1], step):
            piece = x[:, start : start + step]
            out[:, :, start * patch[0] : (start + piece.shape[1]) * patch[0]] = self._head(piece)
        return out

    def _head(self, x: Tensor) -> Tensor:
        fine = self.up(x)
        weight = self.output.weight.flatten(1)
        return functional.linear(fine, weight).movedim(-1, 1)


def _blocks(sizes: MambaUNetSizes, stage: int, rates: list[float]) -> list[nn.Module]:
    """The blocks of a stage, of the encoder's or of the decoder's."""
    return [
        VSSBlock(
            sizes.dims[stage],
            sizes.axes,
            states=sizes.d_state,
            rank=sizes.dt_ranks[stage],
            expand=sizes.expand,
            kernel=sizes.d_conv,
            drop_path=rate,
        )
        for rate in rates
    ]


def _join(linear: nn.Linear, x: Tensor, skip: Tensor) -> Tensor:
    """The linear layer over [x, skip] on the channel axis, which are never put together."""
    features = x.shape[-1]
    joined = functional.linear(x, linear.weight[:, :features])
    joined += functional.linear(skip, linear.weight[:, features:])
    joined += linear.bias
    return joined


def _drop_path_rates(sizes: MambaUNetSizes) -> list[list[float]]:
    """For each stage those of its blocks: evenly from 0 to the deepest block's rate."""
    count = sum(sizes.depths)
    spread = [sizes.drop_path_rate * index / max(count - 1, 1) for index in range(count)]
    rates = []
    for depth in sizes.depths:
        rates.append(spread[:depth])
        spread = spread[depth:]
    return rates
