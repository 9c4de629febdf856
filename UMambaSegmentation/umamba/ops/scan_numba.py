"""The selective scan on the CPU by compiled kernels, on all of PyTorch's threads.

The tokens are worked through in chunks, for which B and C are laid out (L, N) and half-precision arguments
are widened; everything else is read where it lies. The results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from umamba.ops import scan_autograd, threads
from umamba.ops.arguments import ScanInputs
from umamba.ops.numba_rows import channel_vector, flat_rows
from umamba.ops.scan_autograd import ScanGradients
from umamba.ops.scan_numba_kernels import APPLIED_GATE, NO_GATE, RAW_GATE, TILE, Matrix, scan_rows

# Numbers in a chunk of B or of C, laid out anew: 2 MB.
CHUNK_NUMBERS = 2**19


def scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Run the recurrence. Returns out (b, D, L) in u's dtype and the last state (b, D, N) float32."""
    return scan_autograd.run(_ENGINE, inputs)


def lay_out(matrix: Tensor, channels: int, start: int, stop: int) -> Matrix:
    """The tokens [start, stop) of B or C with the states side by side."""
    matrix = matrix.detach()
    if matrix.dim() == 2:
        return matrix.contiguous().numpy(), 0, 1, 0
    batch, groups, states, _ = matrix.shape
    tokens_first = torch.empty(batch, groups, stop - start, states, dtype=torch.float32)
    tokens_first.copy_(matrix[..., start:stop].transpose(2, 3))
    return tokens_first.view(-1, states).numpy(), groups, channels // groups, 1


def chunk_tokens(inputs: ScanInputs) -> int:
    """Tokens in a chunk: whole tiles, a matter of sizes alone."""
    batch, _, _, states = inputs.sizes
    groups = max(1 if m.dim() == 2 else m.shape[1] for m in (inputs.B, inputs.C))
    return max(1, CHUNK_NUMBERS // (batch * groups * states * TILE)) * TILE


class _NumbaEngine:
    def forward(self, inputs: ScanInputs, keep: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        batch, channels, tokens, states = inputs.sizes
        state = inputs.first_state()
        out = torch.empty(inputs.u.shape, dtype=inputs.u.dtype)
        kept = torch.empty(batch * channels, -(-tokens // TILE) if keep else 0, states)
        size = chunk_tokens(inputs)
        for start in range(0, tokens, size):
            stop = min(start + size, tokens)
            tiles = kept[:, start // TILE : -(-stop // TILE)].contiguous()
            _forward_chunk(inputs, start, stop, state, out, tiles)
            kept[:, start // TILE : -(-stop // TILE)] = tiles
        return out, state, kept if keep else None

    def backward(
        self, inputs: ScanInputs, kept: Tensor, grad_out: Tensor, grad_state: Tensor
    ) -> ScanGradients:
        from umamba.ops.scan_numba_backward import backward  # compiled when first needed

        return backward(inputs, kept, grad_out, grad_state)


_ENGINE = _NumbaEngine()


def _forward_chunk(
    inputs: ScanInputs, start: int, stop: int, state: Tensor, out: Tensor, kept: Tensor
) -> None:
    batch, channels, _, states = inputs.sizes
    piece = out[:, :, start:stop]
    direct = piece.dtype == torch.float32
    wide_out = piece if direct else torch.empty(piece.shape, dtype=torch.float32)
    gate_mode, gate = NO_GATE, wide_out
    if inputs.z is not None:
        gate_mode, gate = RAW_GATE, inputs.z[:, :, start:stop]
        if gate.dtype != torch.float32:  # rounded as the published code rounds it
            gate_mode, gate = APPLIED_GATE, functional.silu(gate)
    B, C = (lay_out(matrix, channels, start, stop) for matrix in (inputs.B, inputs.C))
    A2 = times_log2_e(inputs.A)
    arguments = (
        flat_rows(inputs.u[:, :, start:stop]),
        flat_rows(inputs.delta[:, :, start:stop]),
        flat_rows(gate),
        flat_rows(wide_out),
        A2,
        B,
        C,
        channel_vector(inputs.delta_bias, channels),
        channel_vector(inputs.D, channels),
        state.view(-1, states).numpy(),
        kept.numpy(),
        inputs.softplus,
        inputs.D is not None,
        gate_mode,
        stop - start,
    )
    threads.run_rows(scan_rows, arguments, batch * channels)
    if not direct:
        piece.copy_(wide_out)


def times_log2_e(A: Tensor) -> Any:  # noqa: ANN401
    """A for exponentials to base 2, (D, N) float32 as numpy."""
    return (A.detach().double() * np.log2(np.e)).float().contiguous().numpy()
