"""The selective scan as its formula reads: one token after the other. Slow; the measure of the others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from umamba.ops.arguments import ScanInputs


def scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Run the recurrence; gradients are autograd's.

    Returns:
        out (b, D, L) in u's dtype and the last state (b, D, N) float32.
    """
    batch, channels, tokens, states = inputs.sizes
    u, delta = inputs.u.float(), inputs.delta.float()
    if inputs.delta_bias is not None:
        delta = delta + inputs.delta_bias[:, None]
    if inputs.softplus:
        delta = functional.softplus(delta)
    B, C = (_of_channels(matrix, batch, channels, tokens) for matrix in (inputs.B, inputs.C))
    state = inputs.initial_state
    if state is None:
        state = torch.zeros(batch, channels, states, dtype=torch.float32, device=u.device)
    outputs = []
    for d, x, B_now, C_now in zip(delta.unbind(2), u.unbind(2), B.unbind(3), C.unbind(3), strict=True):
        state = torch.exp(d[..., None] * inputs.A) * state + (d * x)[..., None] * B_now
        outputs.append((state * C_now).sum(-1))
    y = torch.stack(outputs, dim=-1)
    if inputs.D is not None:
        y = y + inputs.D[:, None] * u
    if inputs.z is not None:
        y = y * functional.silu(inputs.z)
    return y.to(inputs.u.dtype), state


def _of_channels(matrix: Tensor, batch: int, channels: int, tokens: int) -> Tensor:
    """B or C for every channel, (b, D, N, L) float32."""
    if matrix.dim() == 2:
        return matrix[None, :, :, None].expand(batch, -1, -1, tokens)
    return matrix.float().repeat_interleave(channels // matrix.shape[1], dim=1)
