"""The selective scan: the public function, which checks its arguments and hands them to a backend."""

from __future__ import annotations

import torch
from torch import Tensor

from umamba.errors import InputError
from umamba.ops import registry
from umamba.ops.arguments import ScanInputs, check


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    backend: str = "auto",
    *,
    initial_state: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Run the recurrence of Mamba along the tokens, in float32 whatever the dtype of the arguments.

    With d_t = softplus(delta_t + delta_bias) (or without softplus), for every batch entry and channel:

        s_t = exp(d_t A) s_{t-1} + d_t B_t u_t        y_t = <C_t, s_t> + D u_t        out_t = y_t silu(z_t)

    Softplus is torch's (the identity above 20); silu(z) is rounded to z's dtype before it is multiplied.

    Args:
        u, delta, z: (batch, D, L), floating.
        A: (D, N), real.
        B, C: (D, N) constant; (batch, N, L) for each token; or (batch, G, N, L), a group for D / G channels.
        D, delta_bias: (D,).
        delta_softplus: apply softplus to delta.
        return_last_state: also return the state after the last token.
        backend: "auto" or a name of `umamba.ops.backends()`.
        initial_state: (batch, D, N), the state before the first token; zeros when None. With it a sequence
            can be run piece by piece.

    Returns:
        out (batch, D, L) in u's dtype; with `return_last_state` also the last state (batch, D, N) float32.
        NaN and infinities run through as they would in the formula.

    Raises:
        InputError: a shape, dtype or device that does not fit, or a backend that cannot run this call.
    """
    inputs = _checked(u, delta, A, B, C, D, z, delta_bias, initial_state, delta_softplus)
    needs = frozenset() if initial_state is None else frozenset({registry.INITIAL_STATE})
    run = registry.load(registry.SCAN, backend, u.device, needs)
    out, last_state = run(inputs)
    return (out, last_state) if return_last_state else out


def _checked(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    softplus: bool,
) -> ScanInputs:
    device = getattr(u, "device", torch.device("cpu"))
    check(registry.SCAN, "u", u, ("batch", "D", "L"), device)
    batch, channels, tokens = u.shape
    check(registry.SCAN, "delta", delta, (batch, channels, tokens), device)
    check(registry.SCAN, "A", A, (channels, "N"), device)
    states = A.shape[1]
    for name, vector in (("D", D), ("delta_bias", delta_bias)):
        if vector is not None:
            check(registry.SCAN, name, vector, (channels,), device)
    if z is not None:
        check(registry.SCAN, "z", z, (batch, channels, tokens), device)
    if initial_state is not None:
        check(registry.SCAN, "initial_state", initial_state, (batch, channels, states), device)
    return ScanInputs(
        u=u,
        delta=delta,
        A=A.float(),
        B=_checked_matrix("B", B, (batch, channels, states, tokens), device),
        C=_checked_matrix("C", C, (batch, channels, states, tokens), device),
        D=None if D is None else D.float(),
        z=z,
        delta_bias=None if delta_bias is None else delta_bias.float(),
        initial_state=None if initial_state is None else initial_state.float(),
        softplus=bool(softplus),
    )


def _checked_matrix(
    name: str, matrix: Tensor, sizes: tuple[int, int, int, int], device: torch.device
) -> Tensor:
    """B or C in one of two forms: (D, N) float32, or (batch, G, N, L)."""
    batch, channels, states, tokens = sizes
    dims = matrix.dim() if isinstance(matrix, Tensor) else 3
    if dims == 2:
        check(registry.SCAN, name, matrix, (channels, states), device)
        return matrix.float()
    if dims == 4:
        check(registry.SCAN, name, matrix, (batch, "G", states, tokens), device)
        if channels % matrix.shape[1]:
            raise InputError(
                f"{registry.SCAN}: {name} has {matrix.shape[1]} groups, wanted a divisor of D = {channels}"
            )
        return matrix
    check(registry.SCAN, name, matrix, (batch, states, tokens), device)
    return matrix.unsqueeze(1)
