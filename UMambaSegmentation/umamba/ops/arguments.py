"""The operators' arguments after checking: one form for all backends, so that none has to check again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from umamba.errors import InputError


@dataclass(frozen=True)
class ScanInputs:
    """Checked arguments of a selective scan. Letters: batch b, channels D, states N, groups G, tokens L.

    u, delta, z: (b, D, L), any floating dtype.  A: (D, N) float32.  D, delta_bias: (D,) float32.
    B, C: (D, N) float32 when constant, else (b, G, N, L), any floating dtype; G divides D.
    initial_state: (b, D, N) float32, or None for zeros.
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None
    softplus: bool

    @classmethod
    def of(cls, tensors: Sequence[Tensor | None], softplus: bool) -> ScanInputs:
        """From what `tensors()` gives."""
        u, delta, A, B, C, D, z, delta_bias, initial_state = tensors
        if u is None or delta is None or A is None or B is None or C is None:
            raise TypeError("u, delta, A, B and C cannot be None")
        return cls(u, delta, A, B, C, D, z, delta_bias, initial_state, softplus)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """(b, D, L, N)."""
        return self.u.shape[0], self.u.shape[1], self.u.shape[2], self.A.shape[1]

    def tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors in the order of the fields."""
        return (
            self.u,
            self.delta,
            self.A,
            self.B,
            self.C,
            self.D,
            self.z,
            self.delta_bias,
            self.initial_state,
        )

    def first_state(self) -> Tensor:
        """The state before the first token, (b, D, N) float32: a new tensor, the caller's to overwrite."""
        batch, channels, _, states = self.sizes
        if self.initial_state is None:
            return torch.zeros(batch, channels, states, dtype=torch.float32, device=self.u.device)
        return self.initial_state.detach().clone(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class ConvInputs:
    """Checked arguments of a causal depthwise convolution. x: (b, D, L); weight: (D, W); bias: (D,).

    initial_states: (b, D, W - 1), the inputs before the first token, or None for zeros. All floating.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    initial_states: Tensor | None
    silu: bool

    @classmethod
    def of(cls, tensors: Sequence[Tensor | None], silu: bool) -> ConvInputs:
        """From what `tensors()` gives."""
        x, weight, bias, initial_states = tensors
        if x is None or weight is None:
            raise TypeError("x and weight cannot be None")
        return cls(x, weight, bias, initial_states, silu)

    def tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors in the order of the fields."""
        return self.x, self.weight, self.bias, self.initial_states


def check(
    operator: str, name: str, tensor: Tensor, wanted: Sequence[int | str], device: torch.device
) -> None:
    """Raise InputError unless `tensor` is floating, on `device` and of the shape `wanted` (letters fit all).

    A size of zero never fits.
    """
    if not isinstance(tensor, Tensor):
        raise InputError(f"{operator}: {name} must be a torch.Tensor, found {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise InputError(f"{operator}: {name} must be of a real floating dtype, found {tensor.dtype}")
    if tensor.device != device:
        raise InputError(
            f"{operator}: {name} is on {tensor.device}, the first argument on {device}; move it there"
        )
    found = tuple(tensor.shape)
    fits = len(found) == len(wanted) and all(
        size == want or (isinstance(want, str) and size > 0) for size, want in zip(found, wanted, strict=True)
    )
    if not fits:
        shape = ", ".join(str(want) for want in wanted)
        raise InputError(f"{operator}: {name} has shape {found}, wanted ({shape})")
