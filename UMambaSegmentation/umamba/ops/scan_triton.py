"""The selective scan on NVIDIA GPUs by Triton kernels, which are compiled when first used.

How the work is cut depends on its sizes alone, so that the same input gives the same bits on any GPU of a
kind. Memory beside inputs and outputs: a state for every few hundred tokens; in a backward pass also one
for every 16 tokens of the tiles that run at a time, and the sums for B and C of each program.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor

from umamba.ops import scan_autograd
from umamba.ops import scan_triton_backward_kernels as backward_kernels
from umamba.ops import scan_triton_kernels as kernels
from umamba.ops.arguments import ScanInputs
from umamba.ops.scan_autograd import ScanGradients
from umamba.ops.triton_jit import launch, power_of_two, tokens_contiguous

# Numbers in a block: 16 for each lane of the warp that a program is.
BLOCK_NUMBERS = 512
# Sequences up to this run in a single block. Longer ones run in blocks of the other length, with which a lane
# holds four tokens of its channel, the most that one load brings, and has few neighbours to scan with.
SHORT_TOKENS = 256
LONG_BLOCK_TOKENS = 16
# Programs that keep the largest GPUs busy; more would only cost time for handing states on.
ENOUGH_PROGRAMS = 4096
MIN_TILE_TOKENS, MAX_TILE_TOKENS = 64, 512
# Numbers of the states before blocks in a backward pass: 128 MB.
SCRATCH_NUMBERS = 2**25
# The blocks in which states are handed from tile to tile.
HANDED_TILES, HANDED_LINES, HAND_ON_WARPS = 256, 8, 4


def scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Run the recurrence. Returns out (b, D, L) in u's dtype and the last state (b, D, N) float32."""
    return scan_autograd.run(_ENGINE, inputs)


@dataclass(frozen=True)
class Cut:
    """How a scan is cut. Tiles along L run side by side, each of them block by block."""

    batch: int
    channels: int
    tokens: int
    states: int
    span: int  # channels that share both their group of B and that of C
    block_tokens: int
    block_channels: int
    tile_blocks: int

    @classmethod
    def of(cls, inputs: ScanInputs) -> Cut:
        """From the sizes of a scan."""
        batch, channels, tokens, states = inputs.sizes
        groups = [channels // matrix.shape[1] for matrix in (inputs.B, inputs.C) if matrix.dim() == 4]
        span = gcd(channels, *groups)
        block_tokens = power_of_two(tokens)
        if tokens > SHORT_TOKENS:
            block_tokens = LONG_BLOCK_TOKENS
        block_tokens = max(block_tokens, LONG_BLOCK_TOKENS)
        block_channels = min(max(1, BLOCK_NUMBERS // block_tokens), power_of_two(span))
        tile_tokens = block_tokens
        if tokens > SHORT_TOKENS:
            tiles = max(1, ENOUGH_PROGRAMS * block_channels // (batch * channels))
            tile_tokens = min(max(power_of_two(-(-tokens // tiles)), MIN_TILE_TOKENS), MAX_TILE_TOKENS)
        return cls(
            batch, channels, tokens, states, span, block_tokens, block_channels, tile_tokens // block_tokens
        )

    @property
    def tiles(self) -> int:
        """Tiles along L."""
        return -(-self.tokens // (self.block_tokens * self.tile_blocks))

    def parts(self, wide_blocks: int = 1) -> int:
        """Programs for a tile of a batch entry, each doing `wide_blocks` blocks of channels."""
        return self.channels // self.span * -(-self.span // (self.block_channels * wide_blocks))

    def wide_blocks(self) -> int:
        """Blocks of channels that a program of the backward pass does: all, if there are enough programs."""
        enough = max(1, self.batch * self.tiles * self.parts() // ENOUGH_PROGRAMS)
        return min(enough, -(-self.span // self.block_channels))

    def sizes(self) -> dict[str, int]:
        """The arguments of the kernels that say it."""
        return {
            "channels": self.channels,
            "length": self.tokens,
            "tiles": self.tiles,
            "N": self.states,
            "span": self.span,
            "tile_blocks": self.tile_blocks,
            "BLOCK_T": self.block_tokens,
            "BLOCK_D": self.block_channels,
        }

    def new_states(self, like: Tensor) -> Tensor:
        """Room for a state for each tile, (b, tiles, N, D) float32."""
        return like.new_empty((self.batch, self.tiles, self.states, self.channels), dtype=torch.float32)

    def hand_on(self, first: Tensor, values: Tensor, totals: Tensor, A: Tensor, backwards: bool) -> Tensor:
        """The states before the tiles (or what comes from behind them), from the tiles' maps."""
        lines = self.states * self.channels
        states = torch.empty_like(values)
        launch(
            kernels.hand_on,
            self.batch * -(-lines // HANDED_LINES),
            values.device,
            *(first, values, totals, A, states, self.channels, self.tiles, lines),
            warps=HAND_ON_WARPS,
            BACKWARDS=backwards,
            BLOCK_TILES=HANDED_TILES,
            BLOCK_LINES=HANDED_LINES,
        )
        return states


def _matrix(matrix: Tensor, channels: int) -> tuple[Tensor, tuple[int, int, int, int], bool]:
    """B or C as kernels take it, its strides with the channels of a group, and whether it has tokens."""
    if matrix.dim() == 2:
        return matrix.t().contiguous(), (0, 0, channels, channels), False
    if matrix.stride(3) != 1 and matrix.shape[3] > 1:
        matrix = matrix.contiguous()
    of_entry, of_group, of_state, _ = matrix.stride()
    return matrix, (of_entry, of_group, of_state, channels // matrix.shape[1]), True


class _Arguments:
    """The inputs of a scan as kernels take them."""

    def __init__(self, inputs: ScanInputs) -> None:
        channels = inputs.sizes[1]
        self.u, self.u_strides = tokens_contiguous(inputs.u)
        self.delta, self.delta_strides = tokens_contiguous(inputs.delta)
        self.z: Tensor | None = None
        self.z_strides = 0, 0
        if inputs.z is not None:
            self.z, self.z_strides = tokens_contiguous(inputs.z)
        self.A = inputs.A.t().contiguous()
        self.B, self.B_strides, self.B_tokens = _matrix(inputs.B, channels)
        self.C, self.C_strides, self.C_tokens = _matrix(inputs.C, channels)
        self.D = None if inputs.D is None else inputs.D.contiguous()
        self.bias = None if inputs.delta_bias is None else inputs.delta_bias.contiguous()


class _TritonEngine:
    def forward(self, inputs: ScanInputs, keep: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        cut, given = Cut.of(inputs), _Arguments(inputs)
        states = _states_before_tiles(inputs, cut, given)
        running = states.clone() if keep else states
        out = torch.empty(inputs.u.shape, dtype=inputs.u.dtype, device=inputs.u.device)
        launch(
            kernels.scan_tiles,
            cut.batch * cut.tiles * cut.parts(),
            out.device,
            *(given.u, given.delta, given.z, out, given.D, given.bias, given.A, given.B, given.C, running),
            *(*given.u_strides, *given.delta_strides, *given.z_strides, *out.stride()[:2]),
            *(*given.B_strides, *given.C_strides),
            SOFTPLUS=inputs.softplus,
            B_TOKENS=given.B_tokens,
            C_TOKENS=given.C_tokens,
            **cut.sizes(),
        )
        return out, running[:, -1].transpose(1, 2).contiguous(), states if keep else None

    def backward(
        self, inputs: ScanInputs, kept: Tensor, grad_out: Tensor, grad_state: Tensor
    ) -> ScanGradients:
        cut, given = Cut.of(inputs), _Arguments(inputs)
        dout, dout_strides = tokens_contiguous(grad_out)
        behind = _gradients_behind_tiles(inputs, cut, given, dout, dout_strides, grad_state)
        return _backward(inputs, cut, given, dout, dout_strides, kept, behind)


_ENGINE = _TritonEngine()


def _states_before_tiles(inputs: ScanInputs, cut: Cut, given: _Arguments) -> Tensor:
    """The state before each tile, (b, tiles, N, D) float32, to be overwritten by the caller."""
    first = inputs.first_state().transpose(1, 2).contiguous()
    if cut.tiles == 1:
        return first.unsqueeze(1)
    values = cut.new_states(inputs.u)
    totals = values.new_empty(cut.batch, cut.tiles, cut.channels)
    launch(
        kernels.sum_up_tiles,
        cut.batch * cut.tiles * cut.parts(),
        values.device,
        *(given.u, given.delta, given.bias, given.A, given.B, values, totals),
        *(*given.u_strides, *given.delta_strides, *given.B_strides),
        SOFTPLUS=inputs.softplus,
        B_TOKENS=given.B_tokens,
        **cut.sizes(),
    )
    return cut.hand_on(first, values, totals, given.A, backwards=False)


def _gradients_behind_tiles(
    inputs: ScanInputs,
    cut: Cut,
    given: _Arguments,
    dout: Tensor,
    dout_strides: tuple[int, int],
    grad_state: Tensor,
) -> Tensor:
    """The gradient of the state after each tile from what follows it, (b, tiles, N, D) float32."""
    last = grad_state.float().transpose(1, 2).contiguous()
    if cut.tiles == 1:
        return last.clone().unsqueeze(1)
    values = cut.new_states(inputs.u)
    totals = values.new_empty(cut.batch, cut.tiles, cut.channels)
    launch(
        backward_kernels.sum_up_tiles_backward,
        cut.batch * cut.tiles * cut.parts(),
        values.device,
        *(dout, given.z, given.delta, given.bias, given.A, given.C, values, totals),
        *(*dout_strides, *given.z_strides, *given.delta_strides, *given.C_strides),
        SOFTPLUS=inputs.softplus,
        C_TOKENS=given.C_tokens,
        **cut.sizes(),
    )
    return cut.hand_on(last, values, totals, given.A, backwards=True)


def _backward(
    inputs: ScanInputs,
    cut: Cut,
    given: _Arguments,
    dout: Tensor,
    dout_strides: tuple[int, int],
    kept: Tensor,
    behind: Tensor,
) -> ScanGradients:
    wide = cut.wide_blocks()
    parts = cut.parts(wide)
    programs = cut.batch * cut.tiles * parts
    of_program = cut.tile_blocks * cut.states * cut.block_channels
    at_a_time = min(programs, max(1, SCRATCH_NUMBERS // of_program))
    scratch = kept.new_empty(at_a_time * of_program)
    du = torch.empty(inputs.u.shape, dtype=inputs.u.dtype, device=kept.device)
    ddelta = torch.empty(inputs.u.shape, dtype=inputs.delta.dtype, device=kept.device)
    dz = None if inputs.z is None else torch.empty(inputs.u.shape, dtype=inputs.z.dtype, device=kept.device)
    lines = (cut.batch, cut.tiles, cut.channels)
    dD = None if inputs.D is None else kept.new_empty(lines)
    dbias = None if inputs.delta_bias is None else kept.new_empty(lines)
    dA = cut.new_states(kept)
    dB, dC = (
        kept.new_empty(cut.batch, parts, cut.states, cut.tokens) if tokens else cut.new_states(kept)
        for tokens in (given.B_tokens, given.C_tokens)
    )
    for first in range(0, programs, at_a_time):
        launch(
            backward_kernels.scan_tiles_backward,
            min(at_a_time, programs - first),
            kept.device,
            *(dout, given.u, given.delta, given.z, given.D, given.bias, given.A, given.B, given.C),
            *(kept, behind, scratch, du, ddelta, dz, dD, dbias, dA, dB, dC),
            *(*dout_strides, *given.u_strides, *given.delta_strides, *given.z_strides, *du.stride()[:2]),
            *(*given.B_strides, *given.C_strides),
            wide_blocks=wide,
            first_program=first,
            SOFTPLUS=inputs.softplus,
            B_TOKENS=given.B_tokens,
            C_TOKENS=given.C_tokens,
            **cut.sizes(),
        )
    return ScanGradients(
        u=du,
        delta=ddelta,
        A=_over_tiles(dA),
        B=_over_parts(dB, inputs.B),
        C=_over_parts(dC, inputs.C),
        D=None if dD is None else _over_tiles(dD),
        z=dz,
        delta_bias=None if dbias is None else _over_tiles(dbias),
        initial_state=None if inputs.initial_state is None else behind[:, 0].transpose(1, 2),
    )


def _over_tiles(sums: Tensor) -> Tensor:
    """(b, tiles, ..., D) summed over batch and tiles to (D, ...), in float64 on the way."""
    return sums.sum((0, 1), dtype=torch.float64).float().movedim(-1, 0)


def _over_parts(sums: Tensor, matrix: Tensor) -> Tensor:
    """The gradient of B or C, from the sums of the programs."""
    if matrix.dim() == 2:
        return _over_tiles(sums)
    batch, parts, states, tokens = sums.shape
    groups = matrix.shape[1]
    return sums if parts == groups else sums.view(batch, groups, -1, states, tokens).sum(2)
