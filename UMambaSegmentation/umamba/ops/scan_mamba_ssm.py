"""The selective scan by the CUDA kernel of the package mamba_ssm, where a user has installed it."""

from __future__ import annotations

import torch
from torch import Tensor

from umamba.ops.arguments import ScanInputs


def scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Call the package's `selective_scan_fn`, in the dtypes that its kernel asks for.

    The kernel wants u, delta, z and the per-token B and C in one dtype, everything else in float32, and B
    and C in the same groups.
    Returns out (b, D, L) in u's dtype and the last state (b, D, N) float32.
    """
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    dtype = inputs.u.dtype if inputs.u.dtype in (torch.float16, torch.bfloat16) else torch.float32
    B, C = inputs.B, inputs.C
    if B.dim() == 4 and C.dim() == 4 and B.shape[1] != C.shape[1]:
        channels = inputs.sizes[1]
        B, C = (matrix.repeat_interleave(channels // matrix.shape[1], dim=1) for matrix in (B, C))
    out, state = selective_scan_fn(
        inputs.u.to(dtype),
        inputs.delta.to(dtype),
        inputs.A,
        B if B.dim() == 2 else B.to(dtype),
        C if C.dim() == 2 else C.to(dtype),
        D=inputs.D,
        z=None if inputs.z is None else inputs.z.to(dtype),
        delta_bias=inputs.delta_bias,
        delta_softplus=inputs.softplus,
        return_last_state=True,
    )
    return out.to(inputs.u.dtype), state
