"""The Mamba block (Gu and Dao 2023, figure 3), run along the last axis, whole or piece by piece."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from umamba.ops import causal_conv1d, selective_scan

STATE_SIZE = 16
CONV_WIDTH = 4
EXPANSION = 2
RANK_DIVISOR = 16

# Range of the time step at the start, and the least one (the published initialisation).
DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 1e-1, 1e-4


@dataclass
class MambaState:
    """What one piece of a sequence hands on to the next.

    conv: (B, E, W - 1), the convolution's last inputs.   ssm: (B, E, N) float32, the scan's state.
    """

    conv: Tensor
    ssm: Tensor


class Mamba(nn.Module):
    """Gated selective state space: projection, short causal convolution, selective scan, gate, projection.

    Letters: d = `features`, E = 2 d, N = 16 states, W = 4 taps, R = ceil(d / 16), the rank of the time step.
    All is computed in float32, autocast or not; parameters of another dtype are widened.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        inner = EXPANSION * features
        self.features, self.inner = features, inner
        self.rank = math.ceil(features / RANK_DIVISOR)
        self.A_log = nn.Parameter(torch.empty(inner, STATE_SIZE))
        self.D = nn.Parameter(torch.ones(inner))
        self.in_proj = nn.Linear(features, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, CONV_WIDTH, groups=inner, padding=CONV_WIDTH - 1)
        self.x_proj = nn.Linear(inner, self.rank + 2 * STATE_SIZE, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.out_proj = nn.Linear(inner, features, bias=False)
        # On the meta device there is nothing to set; arithmetic there would load PyTorch's compiler.
        if not self.A_log.is_meta:
            self._initialize()

    @torch.no_grad()
    def _initialize(self) -> None:
        """Decay: 1 to N. Time steps spread evenly in their logarithm; the bias is their inverse softplus."""
        self.A_log.copy_(
            torch.log(torch.arange(1, STATE_SIZE + 1, dtype=torch.float32)).expand_as(self.A_log)
        )
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        spread = torch.rand(self.inner) * (math.log(DT_MAX) - math.log(DT_MIN)) + math.log(DT_MIN)
        step = torch.exp(spread).clamp(min=DT_FLOOR)
        self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Run whole sequences, (B, L, d) to (B, L, d) float32."""
        with without_autocast(tokens.device):
            out, _ = self.advance(tokens.float().transpose(1, 2))
        return out.transpose(1, 2)

    def advance(self, tokens: Tensor, state: MambaState | None = None) -> tuple[Tensor, MambaState | None]:
        """Run a piece of the sequences, channels first: (B, d, l) float32 to (B, d, l) float32.

        Args:
            tokens: The piece.
            state: What the piece before left, or None at the start; zeros are a start too. It is only
                returned where one was given, so that a whole sequence costs no states.
        """
        x, z = project(self.in_proj.weight, tokens).chunk(2, dim=1)
        x, conv_state = self._convolve(x, state)
        steps = project(self.x_proj.weight, x)
        delta = project(self.dt_proj.weight, steps[:, : self.rank])
        B, C = steps[:, self.rank :].chunk(2, dim=1)
        y, ssm_state = self._scan(x, delta, B, C, z, state)
        out = project(self.out_proj.weight, y)
        if conv_state is None or ssm_state is None:
            return out, None
        return out, MambaState(conv_state, ssm_state)

    def first_state(self, batch: int, device: torch.device) -> MambaState:
        """The state before the first token."""
        return MambaState(
            torch.zeros(batch, self.inner, CONV_WIDTH - 1, device=device),
            torch.zeros(batch, self.inner, STATE_SIZE, device=device),
        )

    def _convolve(self, x: Tensor, state: MambaState | None) -> tuple[Tensor, Tensor | None]:
        if x.is_meta:  # the operators' backends are no dispatcher operators; only the shape is wanted
            return torch.empty_like(x), None if state is None else state.conv
        weight, bias = self.conv1d.weight.squeeze(1).float(), self.conv1d.bias
        bias = None if bias is None else bias.float()
        if state is None:
            out = causal_conv1d(x, weight, bias, activation="silu")
            return out, None  # type: ignore[return-value]  # one tensor unless states are asked for
        out, last = causal_conv1d(
            x, weight, bias, initial_states=state.conv, return_final_states=True, activation="silu"
        )
        return out, last

    def _scan(
        self, x: Tensor, delta: Tensor, B: Tensor, C: Tensor, z: Tensor, state: MambaState | None
    ) -> tuple[Tensor, Tensor | None]:
        if x.is_meta:
            return torch.empty_like(x), None if state is None else state.ssm
        out, last = selective_scan(
            x,
            delta,
            -torch.exp(self.A_log.float()),
            B,
            C,
            self.D.float(),
            z=z,
            delta_bias=self.dt_proj.bias.float(),
            delta_softplus=True,
            return_last_state=True,
            initial_state=None if state is None else state.ssm,
        )
        return out, None if state is None else last


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Switch mixed precision off; the meta device, where only shapes are computed, has none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def project(weight: Tensor, x: Tensor) -> Tensor:
    """Multiply (rows, D) by (B, D, l) to a contiguous (B, rows, l)."""
    weight = weight.float()
    if x.shape[0] == 1:
        return torch.mm(weight, x[0]).unsqueeze(0)
    return torch.bmm(weight.expand(x.shape[0], -1, -1), x)


def normalize_tokens(norm: nn.LayerNorm, tokens: Tensor) -> Tensor:
    """LayerNorm over the features of (B, d, l), in float32; the result is a view with tokens outermost."""
    return normalize_rows(norm, tokens.transpose(1, 2)).transpose(1, 2)


def normalize_rows(norm: nn.LayerNorm, rows: Tensor) -> Tensor:
    """LayerNorm over the last axis of (..., d), in float32."""
    rows = rows.float()
    if rows.is_meta:  # where layer_norm would load PyTorch's compiler, and only the shape is wanted
        return torch.empty_like(rows)
    weight, bias = norm.weight.float(), norm.bias.float()
    return functional.layer_norm(rows, norm.normalized_shape, weight, bias, norm.eps)
