"""The linear recurrence v_t += d_t v_{t-1} on tensors, token by token or in segments side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def run_tokens(decays: Sequence[Tensor], values: Sequence[Tensor], first: Tensor) -> None:
    """In place: values[t] += decays[t] * values[t - 1], values[-1] being `first`. One launch a token."""
    last = first
    for decay, now in zip(decays, values, strict=True):
        last = now.addcmul_(decay, last)


def run_segments(decays: Tensor, values: Tensor, first: Tensor) -> None:
    """The same for tensors of T tokens, (T, ...), in some 3 sqrt(T) launches.

    The tokens are cut into about sqrt(T) segments. Each runs from a state of zero, all at once; then the
    segments' last states are handed on, one after the other; then every token gets what its segment was
    handed, times its product of decays since. The products must not overflow: decays of at most 1.
    """
    tokens = decays.shape[0]
    length = math.isqrt(tokens)
    if length < 2:
        run_tokens(decays.unbind(0), values.unbind(0), first)
        return
    count = tokens // length
    whole = count * length
    shape = (count, length, *decays.shape[1:])
    own, through = values[:whole].view(shape), torch.cumprod(decays[:whole].view(shape), dim=1)
    run_tokens(decays[:whole].view(shape).unbind(1)[1:], own.unbind(1)[1:], own[:, 0])
    handed = torch.empty_like(own[:, 0])
    handed[0] = first
    for segment in range(1, count):
        torch.addcmul(
            own[segment - 1, -1], through[segment - 1, -1], handed[segment - 1], out=handed[segment]
        )
    own.addcmul_(through, handed[:, None])
    run_tokens(decays[whole:].unbind(0), values[whole:].unbind(0), own[-1, -1])
