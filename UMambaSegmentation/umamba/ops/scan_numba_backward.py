"""Gradients of the selective scan on the CPU: from the last chunk to the first, blocks of channels.

States are brought to a multiple of LANES with zeros. Where that adds some, an infinite step or input makes
NaN of more gradients of its own token than the formula does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from umamba.ops import threads
from umamba.ops.arguments import ScanInputs
from umamba.ops.numba_lanes import LANES
from umamba.ops.numba_rows import channel_vector, flat_rows
from umamba.ops.scan_autograd import ScanGradients
from umamba.ops.scan_numba import lay_out, times_log2_e
from umamba.ops.scan_numba_backward_kernels import scan_block_backward
from umamba.ops.scan_numba_kernels import TILE, Matrix

# Channels in a block, whose sums for B and C are made in one go.
BLOCK_CHANNELS = 8
# Numbers in the blocks' sums for a chunk: 16 MB each for B and C.
CHUNK_NUMBERS = 2**22


class _Block(NamedTuple):
    """Channels [first, last) of a batch entry: of one group of B and one of C."""

    batch: int
    first: int
    last: int


def backward(inputs: ScanInputs, kept: Tensor, grad_out: Tensor, grad_state: Tensor) -> ScanGradients:
    """The gradients of all arguments. kept: (b D, tiles, N), the state before each tile."""
    _, _, tokens, states = inputs.sizes
    blocks = _blocks(inputs)
    sums = _Sums(inputs, grad_state)
    size = max(1, CHUNK_NUMBERS // (len(blocks) * states * TILE)) * TILE
    for start in reversed(range(0, tokens, size)):
        sums.add_chunk(inputs, blocks, kept, grad_out, start, min(start + size, tokens))
    return sums.gradients(inputs)


def _blocks(inputs: ScanInputs) -> list[_Block]:
    batch, channels, _, _ = inputs.sizes
    spans = [channels // m.shape[1] for m in (inputs.B, inputs.C) if m.dim() == 4]
    borders = sorted({0, channels, *(first for span in spans for first in range(0, channels, span))})
    cuts = [
        (first, min(first + BLOCK_CHANNELS, stop))
        for begin, stop in pairwise(borders)
        for first in range(begin, stop, BLOCK_CHANNELS)
    ]
    return [_Block(entry, *cut) for entry in range(batch) for cut in cuts]


class _Sums:
    """The gradients as they grow from chunk to chunk; sums over tokens in float64."""

    def __init__(self, inputs: ScanInputs, grad_state: Tensor) -> None:
        batch, channels, _, states = inputs.sizes
        rows = batch * channels
        self.u, self.delta = torch.empty(inputs.u.shape), torch.empty(inputs.u.shape)
        self.z = None if inputs.z is None else torch.empty(inputs.u.shape)
        self.B, self.C = (_matrix_sums(matrix) for matrix in (inputs.B, inputs.C))
        self.A = np.zeros((rows, _padded(states)))
        self.skip, self.bias = np.zeros(rows), np.zeros(rows)
        self.carry = _pad(grad_state.float().reshape(rows, states).clone())

    def add_chunk(
        self, inputs: ScanInputs, blocks: list[_Block], kept: Tensor, grad_out: Tensor, start: int, stop: int
    ) -> None:
        """Fill in the gradients of the tokens [start, stop) and add to those that have no tokens."""
        batch, channels, _, states = inputs.sizes
        parts = [
            torch.zeros(
                batch * channels if matrix.dim() == 2 else len(blocks) * (stop - start), _padded(states)
            )
            for matrix in (inputs.B, inputs.C)
        ]
        piece = slice(start, stop)
        du = flat_rows(self.u[:, :, piece])
        u = flat_rows(inputs.u[:, :, piece])
        arguments: tuple[Any, ...] = (
            u,
            flat_rows(inputs.delta[:, :, piece]),
            u if inputs.z is None else flat_rows(inputs.z[:, :, piece]),
            flat_rows(grad_out[:, :, piece]),
            _pad(torch.from_numpy(times_log2_e(inputs.A))).numpy(),
            _pad_states(lay_out(inputs.B, channels, start, stop)),
            _pad_states(lay_out(inputs.C, channels, start, stop)),
            channel_vector(inputs.delta_bias, channels),
            channel_vector(inputs.D, channels),
            _pad(kept[:, start // TILE : -(-stop // TILE)].reshape(-1, states)).numpy(),
            du,
            flat_rows(self.delta[:, :, piece]),
            du if self.z is None else flat_rows(self.z[:, :, piece]),
            parts[0].numpy(),
            parts[1].numpy(),
            self.carry.numpy(),
            self.A,
            self.skip,
            self.bias,
            inputs.softplus,
            inputs.z is not None,
            np.array(blocks, np.int64),
        )
        threads.run(lambda block: scan_block_backward(*arguments, block, stop - start), len(blocks))
        for total, part in zip((self.B, self.C), parts, strict=True):
            _add_blocks(total, part[:, :states], blocks, channels, start, stop)

    def gradients(self, inputs: ScanInputs) -> ScanGradients:
        """What has been summed, in float32."""
        batch, channels, _, states = inputs.sizes

        def over_batch(values: Any) -> Tensor:  # noqa: ANN401
            return torch.from_numpy(values.reshape(batch, channels, -1).sum(0).astype(np.float32))

        carry = self.carry[:, :states].reshape(batch, channels, states)
        return ScanGradients(
            u=self.u,
            delta=self.delta,
            A=over_batch(self.A[:, :states]),
            B=self.B.float(),
            C=self.C.float(),
            D=None if inputs.D is None else over_batch(self.skip).squeeze(1),
            z=self.z,
            delta_bias=None if inputs.delta_bias is None else over_batch(self.bias).squeeze(1),
            initial_state=None if inputs.initial_state is None else carry,
        )


def _padded(states: int) -> int:
    """The next multiple of LANES: states beyond the last stay 0, and so do their gradients."""
    return -(-states // LANES) * LANES


def _pad(rows: Tensor) -> Tensor:
    """(rows, N) with zeros up to the next multiple of LANES, contiguous."""
    return functional.pad(rows, (0, _padded(rows.shape[1]) - rows.shape[1])).contiguous()


def _pad_states(matrix: Matrix) -> Matrix:
    values, groups, span, steps = matrix
    return _pad(torch.from_numpy(values)).numpy(), groups, span, steps


def _matrix_sums(matrix: Tensor) -> Tensor:
    return torch.zeros(matrix.shape, dtype=torch.float64 if matrix.dim() == 2 else torch.float32)


def _add_blocks(
    total: Tensor, part: Tensor, blocks: list[_Block], channels: int, start: int, stop: int
) -> None:
    """Add a chunk's sums to the gradient of B or C, always in the same order."""
    if total.dim() == 2:
        for entry in part.reshape(-1, *total.shape):
            total += entry
        return
    groups = total.shape[1]
    of_blocks = part.reshape(len(blocks), stop - start, part.shape[1])
    of_groups = torch.zeros(total.shape[0], groups, stop - start, total.shape[2])
    for block, values in zip(blocks, of_blocks, strict=True):
        of_groups[block.batch, block.first * groups // channels] += values
    total[..., start:stop] = of_groups.transpose(2, 3)
