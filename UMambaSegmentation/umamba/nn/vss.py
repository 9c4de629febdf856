"""The VSS block of VMamba's first generation (Liu et al. 2024, arXiv 2401.10166), over 2 or 3 axes.

Maps lie channels last, (B, *S, C), as in the published code; names of parameters are those of its
checkpoints. All is computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from umamba.nn.cross_scan import ScanWeights, cross_scan, cross_scan_streamed, paths, piece_rows
from umamba.nn.lean import is_lean
from umamba.nn.mamba import DT_FLOOR, DT_MAX, DT_MIN, normalize_rows, project

# LayerNorm's epsilon in every published network; the block's own default there is another and never used.
EPS = 1e-5


class CrossScan(nn.Module):
    """Gated cross-scan: projection, depthwise convolution, SiLU, scan, norm, gate, projection.

    Letters: C = `features`, D = `expand` C, N states, R = `rank`, K paths (4 over two axes, 6 over three).
    """

    def __init__(
        self, features: int, axes: int, *, states: int, rank: int, expand: int = 2, kernel: int = 3
    ) -> None:
        super().__init__()
        inner, count = expand * features, paths(axes)
        self.axes, self.inner = axes, inner
        self.x_proj_weight = nn.Parameter(torch.empty(count, rank + 2 * states, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(count, inner, rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(count, inner))
        self.A_logs = nn.Parameter(torch.empty(count * inner, states))
        self.Ds = nn.Parameter(torch.ones(count * inner))
        self.in_proj = nn.Linear(features, 2 * inner, bias=False)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
        self._convolution = f"conv{axes}d"
        self.add_module(
            self._convolution, convolution(inner, inner, kernel, padding=kernel // 2, groups=inner)
        )
        self.out_norm = nn.LayerNorm(inner, eps=EPS)
        self.out_proj = nn.Linear(inner, features, bias=False)
        if not self.A_logs.is_meta:
            self._initialize()

    @torch.no_grad()
    def _initialize(self) -> None:
        """Decay: 1 to N. Time steps spread evenly in their logarithm; the bias is their inverse softplus."""
        states, rank = self.A_logs.shape[1], self.dt_projs_weight.shape[2]
        nn.init.uniform_(self.x_proj_weight, -(self.inner**-0.5), self.inner**-0.5)
        nn.init.uniform_(self.dt_projs_weight, -(rank**-0.5), rank**-0.5)
        spread = torch.rand(self.dt_projs_bias.shape) * math.log(DT_MAX / DT_MIN) + math.log(DT_MIN)
        step = torch.exp(spread).clamp(min=DT_FLOOR)
        self.dt_projs_bias.copy_(step + torch.log(-torch.expm1(-step)))
        self.A_logs.copy_(torch.log(torch.arange(1, states + 1, dtype=torch.float32)).expand_as(self.A_logs))

    def forward(self, x: Tensor) -> Tensor:
        """Run (B, *S, C) to (B, *S, C), gradients recorded."""
        tokens = project(self.in_proj.weight, x.flatten(1, -2).transpose(1, 2))
        u, z = tokens.chunk(2, dim=1)
        scanned = cross_scan(self._convolve(u.reshape(*u.shape[:2], *x.shape[1:-1])), self._weights())
        rows = normalize_rows(self.out_norm, scanned.transpose(1, 2))
        out: Tensor = self.out_proj(rows * functional.silu(z.transpose(1, 2)))
        return out.view(x.shape)

    def stream(self, x: Tensor, normalized: Tensor) -> None:
        """Write x + forward(normalized) over `normalized`, both (B, *S, C) float32; no gradients.

        Beside these two there are the convolved map and the sum of the scans, (B, D, L) each, and pieces.
        """
        size = x.shape[1:-1]
        rows, inner = x.flatten(1, -2), normalized.flatten(1, -2)
        batch, length, _ = rows.shape
        u = x.new_empty(batch, self.inner, *size)
        step = piece_rows(x, 2 * batch * length)  # projected and convolved
        for start in range(0, self.inner, step):
            part = slice(start, min(start + step, self.inner))
            tokens = project(self.in_proj.weight[part], inner.transpose(1, 2))
            u[:, part] = self._convolve(tokens.view(*tokens.shape[:2], *size), part)
        del tokens
        scanned = cross_scan_streamed(u, self._weights())
        del u
        step = piece_rows(x, 4 * batch * self.inner)  # normalised, gate, their copies
        for start in range(0, length, step):
            piece = slice(start, start + step)
            y = normalize_rows(self.out_norm, scanned[:, :, piece].transpose(1, 2))
            z = functional.linear(inner[:, piece], self.in_proj.weight[self.inner :])
            y *= functional.silu(z, inplace=True)
            # In place throughout: on the meta device a plain sum would load PyTorch's compiler.
            out = self.out_proj(y)
            out += rows[:, piece]
            inner[:, piece] = out

    def _convolve(self, u: Tensor, part: slice = slice(None)) -> Tensor:
        """Depthwise convolution of some channels of (B, D, *S), and SiLU."""
        conv = cast("nn.Conv2d | nn.Conv3d", self.get_submodule(self._convolution))
        run: Callable[..., Tensor] = {2: functional.conv2d, 3: functional.conv3d}[self.axes]
        weight, bias = conv.weight[part], None if conv.bias is None else conv.bias[part]
        out = run(u, weight, bias, padding=conv.padding, groups=weight.shape[0])
        return functional.silu(out, inplace=is_lean(self))

    def _weights(self) -> ScanWeights:
        count = self.dt_projs_bias.shape[0]
        logs = self.A_logs if self.A_logs.is_meta else -torch.exp(self.A_logs.float())
        return ScanWeights(
            self.x_proj_weight.float(),
            self.dt_projs_weight.float(),
            self.dt_projs_bias.float(),
            logs.view(count, self.inner, -1),
            self.Ds.float().view(count, self.inner),
        )


class DropPath(nn.Module):
    """Leave out a residual branch for some samples while training, as timm does (Huang et al. 2016).

    Each sample keeps its branch with probability 1 - rate and then carries it divided by that.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Run (B, ...)."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        kept = torch.empty(x.shape[0], *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device)
        return x * kept.bernoulli_(keep).div_(keep)


class VSSBlock(nn.Module):
    """LayerNorm and cross-scan beside a skip, on maps (B, *S, C)."""

    def __init__(
        self,
        features: int,
        axes: int,
        *,
        states: int,
        rank: int,
        expand: int = 2,
        kernel: int = 3,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(features, eps=EPS)
        self.self_attention = CrossScan(
            features, axes, states=states, rank=rank, expand=expand, kernel=kernel
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        normalized = normalize_rows(self.ln_1, x)
        if is_lean(self):
            self.self_attention.stream(x, normalized)
            return normalized
        result: Tensor = x + self.drop_path(self.self_attention(normalized))
        return result
