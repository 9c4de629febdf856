"""The causal depthwise convolution: the public function, which checks its arguments and calls a backend."""

from __future__ import annotations

import torch
from torch import Tensor

from umamba.errors import InputError
from umamba.ops import registry
from umamba.ops.arguments import ConvInputs, check

ACTIVATIONS = (None, "silu", "swish")
PACKAGE_WIDTHS = (2, 3, 4)  # of the kernels in the package causal_conv1d


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    seq_idx: None = None,
    initial_states: Tensor | None = None,
    return_final_states: bool = False,
    final_states_out: None = None,
    activation: str | None = None,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Convolve each channel with its own short kernel, seeing the present and the past only.

        out_t = act(bias + sum_k weight_k x_{t - (W - 1) + k}),  k = 0 ... W - 1, summed in float32

    Args:
        x: (batch, D, L), floating.
        weight: (D, W); the last tap multiplies the present token.
        bias: (D,).
        seq_idx, final_states_out: must be None (they stand for the argument order of the package).
        initial_states: (batch, D, W - 1), the inputs before the first token; zeros when None.
        return_final_states: also return the last W - 1 inputs, to be the next piece's initial states.
        activation: None, "silu" or "swish" (the same).
        backend: "auto" or a name of `umamba.ops.backends()`.

    Returns:
        out (batch, D, L) in x's dtype; with `return_final_states` also (batch, D, W - 1) in x's dtype.

    Raises:
        InputError: a shape, dtype, device or activation that does not fit, or a backend that cannot run it.
    """
    inputs = _checked(x, weight, bias, initial_states, activation)
    for name, value in (("seq_idx", seq_idx), ("final_states_out", final_states_out)):
        if value is not None:
            raise InputError(
                f"{registry.CONV}: {name} is not supported and must be None, found {type(value).__name__}"
            )
    width = weight.shape[1]
    needs = set()
    if initial_states is not None or return_final_states:
        needs.add(registry.CONV_STATES)
    if width not in PACKAGE_WIDTHS:
        needs.add(registry.WIDE_KERNEL)
    run = registry.load(registry.CONV, backend, x.device, frozenset(needs))
    out: Tensor = run(inputs)
    return (out, _final_states(inputs)) if return_final_states else out


def _checked(
    x: Tensor, weight: Tensor, bias: Tensor | None, initial_states: Tensor | None, activation: str | None
) -> ConvInputs:
    device = getattr(x, "device", torch.device("cpu"))
    check(registry.CONV, "x", x, ("batch", "D", "L"), device)
    batch, channels, _ = x.shape
    check(registry.CONV, "weight", weight, (channels, "W"), device)
    if bias is not None:
        check(registry.CONV, "bias", bias, (channels,), device)
    if initial_states is not None:
        check(registry.CONV, "initial_states", initial_states, (batch, channels, weight.shape[1] - 1), device)
    if activation not in ACTIVATIONS:
        raise InputError(f"{registry.CONV}: activation is {activation!r}, wanted None, 'silu' or 'swish'")
    return ConvInputs(x, weight, bias, initial_states, silu=activation is not None)


def _final_states(inputs: ConvInputs) -> Tensor:
    """The last W - 1 inputs, the initial states counted in and zeros before them, (b, D, W - 1)."""
    x, kept = inputs.x, inputs.weight.shape[1] - 1
    tokens = x.shape[2]
    if tokens >= kept:
        return x[:, :, tokens - kept :].clone()
    before = inputs.initial_states
    if before is None:
        before = x.new_zeros(x.shape[0], x.shape[1], kept)
    return torch.cat([before[:, :, tokens:].to(x.dtype), x], dim=2)
