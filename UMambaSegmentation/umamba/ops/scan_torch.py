"""The selective scan in plain PyTorch, for any device: chunked along the tokens, with its own backward.

Everything that does not depend on the token before is done for a whole chunk at once; the recurrence itself
stays sequential and in float32 (closed forms that divide by cumulative products overflow with length): one
fused multiply-add a token. Where launching that costs more than computing it, a chunk is cut into segments
that run side by side, and their states are handed on afterwards.
Memory: a few buffers of b x D x N x chunk, whatever the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from umamba.ops import scan_autograd
from umamba.ops.arguments import ScanInputs
from umamba.ops.recurrence import run_segments, run_tokens
from umamba.ops.scan_autograd import ScanGradients

# State elements in one buffer of a chunk: 8 MB on a CPU, 32 MB where memory is wide and launches are dear.
CHUNK_ELEMENTS_CPU = 2**21
CHUNK_ELEMENTS_DEVICE = 2**23
MIN_CHUNK, MAX_CHUNK = 16, 4096


def scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Run the recurrence. Returns out (b, D, L) in u's dtype and the last state (b, D, N) float32."""
    return scan_autograd.run(_ENGINE, inputs)


def chunk_tokens(inputs: ScanInputs) -> int:
    """Tokens in a chunk: a matter of sizes and the kind of device alone."""
    batch, channels, _, states = inputs.sizes
    budget = CHUNK_ELEMENTS_CPU if inputs.u.device.type == "cpu" else CHUNK_ELEMENTS_DEVICE
    return max(MIN_CHUNK, min(MAX_CHUNK, budget // (batch * channels * states)))


@dataclass
class _Chunk:
    """A chunk of T tokens, token axis first, float32. B, C are broadcast over what they do not depend on."""

    start: int
    stop: int
    u: Tensor  # (T, b, D)
    raw: Tensor  # (T, b, D) delta with its bias
    step: Tensor  # (T, b, D) after softplus
    decay: Tensor  # (T, b, D, N)
    B: Tensor  # (T or 1, b or 1, D or 1, N)
    C: Tensor


def _tokens_first(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor[:, :, start:stop].permute(2, 0, 1).float()


def _matrix(matrix: Tensor, channels: int, start: int, stop: int) -> Tensor:
    if matrix.dim() == 2:
        return matrix[None, None]
    piece = matrix[..., start:stop].permute(3, 0, 1, 2).float()
    groups = piece.shape[2]
    return piece if groups == 1 else piece.repeat_interleave(channels // groups, dim=2)


def _chunk(inputs: ScanInputs, start: int, stop: int) -> _Chunk:
    channels = inputs.sizes[1]
    raw = _tokens_first(inputs.delta, start, stop)
    if inputs.delta_bias is not None:
        raw = raw + inputs.delta_bias
    step = functional.softplus(raw) if inputs.softplus else raw
    return _Chunk(
        start=start,
        stop=stop,
        u=_tokens_first(inputs.u, start, stop),
        raw=raw,
        step=step,
        decay=torch.mul(step[..., None], inputs.A).exp_(),
        B=_matrix(inputs.B, channels, start, stop),
        C=_matrix(inputs.C, channels, start, stop),
    )


def _bounds(tokens: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, tokens)) for start in range(0, tokens, size))


def _states(chunk: _Chunk, state: Tensor, segmented: bool) -> Tensor:
    """All states of a chunk, (T, b, D, N), from the one before it, (b, D, N)."""
    states = (chunk.step * chunk.u)[..., None] * chunk.B
    if segmented:
        run_segments(chunk.decay, states, state)
    else:
        run_tokens(chunk.decay.unbind(0), states.unbind(0), state)
    return states


def _adjoint(chunk: _Chunk, adjoint: Tensor, carry: Tensor, segmented: bool) -> None:
    """In place: adjoint[t] += decay[t + 1] adjoint[t + 1], the last getting `carry` (b, D, N) instead."""
    following = adjoint[-1].add_(carry)
    if segmented:
        backwards = adjoint[:-1].flip(0)
        run_segments(chunk.decay[1:].flip(0), backwards, following)
        adjoint[:-1] = backwards.flip(0)
    else:
        run_tokens(chunk.decay.unbind(0)[:0:-1], adjoint.unbind(0)[-2::-1], following)


def _readout(inputs: ScanInputs, chunk: _Chunk, states: Tensor) -> Tensor:
    """The output before the gate, (T, b, D)."""
    y = (states * chunk.C).sum(-1)
    return y if inputs.D is None else y.addcmul_(chunk.u, inputs.D)


def _segmented(inputs: ScanInputs) -> bool:
    """Segments pay where launches are dear; where no decay is above 1, no product of them overflows."""
    return inputs.u.device.type != "cpu" and inputs.softplus and bool((inputs.A <= 0).all())


class _TorchEngine:
    def forward(self, inputs: ScanInputs, keep: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        tokens = inputs.sizes[2]
        state = inputs.first_state()
        out = torch.empty(inputs.u.shape, dtype=inputs.u.dtype, device=inputs.u.device)
        segmented = _segmented(inputs)
        kept = []
        for start, stop in _bounds(tokens, chunk_tokens(inputs)):
            if keep:
                kept.append(state)
            chunk = _chunk(inputs, start, stop)
            states = _states(chunk, state, segmented)
            state = states[-1].clone()
            y = _readout(inputs, chunk, states)
            if inputs.z is not None:
                y *= functional.silu(inputs.z[:, :, start:stop]).permute(2, 0, 1)
            out[:, :, start:stop] = y.permute(1, 2, 0)
        return out, state, torch.stack(kept) if keep else None

    def backward(
        self, inputs: ScanInputs, kept: Tensor, grad_out: Tensor, grad_state: Tensor
    ) -> ScanGradients:
        tokens = inputs.sizes[2]
        gradients = _zero_gradients(inputs)
        carry, segmented = grad_state.float(), _segmented(inputs)
        bounds = list(_bounds(tokens, chunk_tokens(inputs)))
        for index in reversed(range(len(bounds))):
            carry = _chunk_backward(
                inputs, *bounds[index], kept[index], grad_out, carry, segmented, gradients
            )
        if inputs.initial_state is None:
            return gradients
        return gradients._replace(initial_state=carry)


_ENGINE = _TorchEngine()


def _zero_gradients(inputs: ScanInputs) -> ScanGradients:
    def zeros(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        return torch.zeros(tensor.shape, dtype=torch.float32, device=tensor.device)

    return ScanGradients(*(zeros(tensor) for tensor in inputs.tensors()))  # type: ignore[arg-type]


def _chunk_backward(
    inputs: ScanInputs,
    start: int,
    stop: int,
    state: Tensor,
    grad_out: Tensor,
    carry: Tensor,
    segmented: bool,
    gradients: ScanGradients,
) -> Tensor:
    """Fill `gradients` for one chunk. `carry`: the gradient of the chunk's last state from what follows it.

    Returns the gradient of the state before the chunk, (b, D, N).
    """
    chunk = _chunk(inputs, start, stop)
    states = _states(chunk, state, segmented)
    grad_y = _tokens_first(grad_out, start, stop)
    if inputs.z is not None and gradients.z is not None:
        grad_y = _gate_backward(inputs, chunk, states, grad_y, gradients.z)
    _add_matrix(gradients.C, grad_y[..., None] * states, start, stop)

    adjoint = grad_y[..., None] * chunk.C  # and from the tokens after, the gradient of each state
    _adjoint(chunk, adjoint, carry, segmented)
    _add_matrix(gradients.B, adjoint * (chunk.step * chunk.u)[..., None], start, stop)
    grad_product = (adjoint * chunk.B).sum(-1)  # of step * u
    adjoint *= chunk.decay  # now the gradient of the state before t through t
    before = adjoint[0].clone()
    adjoint *= torch.cat([state[None], states[:-1]])  # now the gradient of step * A
    gradients.A.add_((adjoint * chunk.step[..., None]).sum((0, 1)))
    grad_step = grad_product * chunk.u + (adjoint * inputs.A).sum(-1)
    grad_u = grad_product * chunk.step
    if inputs.D is not None and gradients.D is not None:
        grad_u = grad_u + grad_y * inputs.D
        gradients.D.add_((grad_y * chunk.u).sum((0, 1)))
    if inputs.softplus:
        grad_step = grad_step * torch.sigmoid(chunk.raw)
    if gradients.delta_bias is not None:
        gradients.delta_bias.add_(grad_step.sum((0, 1)))
    gradients.u[:, :, start:stop] = grad_u.permute(1, 2, 0)
    gradients.delta[:, :, start:stop] = grad_step.permute(1, 2, 0)
    return before


def _gate_backward(
    inputs: ScanInputs, chunk: _Chunk, states: Tensor, grad_out: Tensor, grad_z: Tensor
) -> Tensor:
    """Write the gate's gradient and return that of the output before it, (T, b, D)."""
    assert inputs.z is not None
    z = inputs.z[:, :, chunk.start : chunk.stop].permute(2, 0, 1)
    gate, sigmoid = functional.silu(z).float(), torch.sigmoid(z.float())
    slope = sigmoid * (1 + z.float() * (1 - sigmoid))
    grad_z[:, :, chunk.start : chunk.stop] = (grad_out * _readout(inputs, chunk, states) * slope).permute(
        1, 2, 0
    )
    return grad_out * gate


def _add_matrix(gradient: Tensor, of_channels: Tensor, start: int, stop: int) -> None:
    """Add (T, b, D, N) to the gradient of B or C, summed over what that does not depend on."""
    if gradient.dim() == 2:
        gradient.add_(of_channels.sum((0, 1)))
        return
    groups = gradient.shape[1]
    tokens, batch, _, states = of_channels.shape
    summed = of_channels.view(tokens, batch, groups, -1, states).sum(3)
    gradient[..., start:stop] = summed.permute(1, 2, 3, 0)
