"""The scan of a feature map along crossing paths: every raster order of its axes, forwards and backwards.

With n axes there are n raster orders; order r begins with the axis that runs slowest:

    two axes     0: (h, w), row by row         1: (w, h), column by column
    three axes   0: (z, y, x)                  1: (x, z, y)                  2: (y, x, z)

Path k follows order k for k < n, and order k - n from the last token to the first for the others. Over two
axes these are VMamba's four paths (Liu et al. 2024, arXiv 2401.10166), over three axes there are six.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from umamba.nn.mamba import project
from umamba.ops import selective_scan

# What the tensors of one piece of a map or path may take, as for the layers of U-Mamba.
PIECE_BYTES = 32 * 2**20
PIECE_BYTES_GPU = 512 * 2**20
_FLOAT_BYTES = 4


def piece_rows(x: Tensor, floats: int) -> int:
    """How many rows go through a streamed step at a time where each takes `floats` numbers on x's device."""
    room = PIECE_BYTES if x.device.type in ("cpu", "meta") else PIECE_BYTES_GPU
    return max(1, room // (_FLOAT_BYTES * floats))


@dataclass(frozen=True)
class ScanWeights:
    """The scan's parameters in float32. K paths, D channels, N states, rank R.

    x_proj: (K, R + 2N, D).  dt_proj: (K, D, R).  dt_bias, skip: (K, D).  decay: (K, D, N), below 0.
    """

    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    decay: Tensor
    skip: Tensor

    @property
    def splits(self) -> tuple[int, int, int]:
        """Rows of x_proj for the time step, for B and for C."""
        states = self.decay.shape[2]
        return self.x_proj.shape[1] - 2 * states, states, states


def raster_order(axes: int, order: int) -> list[int]:
    """The axes of a map from the slowest to the fastest in raster order `order`.

    >>> [raster_order(2, order) for order in range(2)]
    [[0, 1], [1, 0]]
    """
    return [(axis - order) % axes for axis in range(axes)]


def paths(axes: int) -> int:
    """How many paths there are."""
    return 2 * axes


def cross_scan(x: Tensor, weights: ScanWeights) -> Tensor:
    """Scan a map along all paths in one call and add what they give; gradients flow.

    Args:
        x: (B, D, *S) float32.
        weights: The parameters.

    Returns:
        (B, D, L) float32, tokens in the order of the map.
    """
    batch, channels, *size = x.shape
    axes, count = len(size), paths(len(size))
    orders = [raster_order(axes, order) for order in range(axes)]
    u = _both_ways(torch.stack([_in_order(x, order) for order in orders], 1))
    # Projected before they are put in order: these maps are much smaller than the one of the channels.
    small = project(weights.x_proj.flatten(0, 1), x.flatten(2)).view(batch, count, -1, *size)
    ordered = [_turned(_in_order(small[:, k], orders[k % axes]), k >= axes) for k in range(count)]
    dt, B, C = torch.stack(ordered, 1).split_with_sizes(weights.splits, 2)
    delta = torch.matmul(weights.dt_proj, dt)  # (B, K, D, L)
    y = _scan(u, delta, B, C, weights).view(batch, count, channels, -1)
    total = None
    for order, permutation in enumerate(orders):
        for part in (y[:, order], y[:, axes + order].flip(-1)):
            part = _out_of_order(part, size, permutation)
            total = part if total is None else total + part
    assert total is not None
    return total.flatten(2)


def cross_scan_streamed(x: Tensor, weights: ScanWeights) -> Tensor:
    """The same without gradients, one path after the other, each piece by piece into one sum.

    Beside the map and the sum, memory does not grow with the map.
    """
    batch, channels, *size = x.shape
    axes = len(size)
    total = torch.empty_like(x)
    # Tokens in order, once more backwards, delta, the result and that backwards: 5 D. The small rest.
    length = piece_rows(x, batch * (5 * channels + 2 * weights.x_proj.shape[1]))
    for order in range(axes):
        permutation = raster_order(axes, order)
        for path in (order, axes + order):
            backwards = path >= axes
            state = x.new_zeros(batch, channels, weights.decay.shape[2])
            for piece in _pieces(size[permutation[0]], length, size, permutation, backwards):
                u = _cut(x, permutation, piece)
                shape = u.shape
                y, state = _advance(_turned(u.flatten(2), backwards), path, weights, state)
                y = _turned(y, backwards).view(shape)
                place = _cut(total, permutation, piece)
                if path:
                    place += y
                else:
                    place.copy_(y)
    return total.flatten(2)


def _advance(u: Tensor, path: int, weights: ScanWeights, state: Tensor) -> tuple[Tensor, Tensor]:
    """Run the next tokens of one path, (B, D, l), in the path's order."""
    dt, B, C = project(weights.x_proj[path], u).split_with_sizes(weights.splits, 1)
    delta = project(weights.dt_proj[path], dt)
    if u.is_meta:  # the operators' backends are no dispatcher operators; only the shape is wanted
        return torch.empty_like(delta), state
    out, last = selective_scan(
        u,
        delta,
        weights.decay[path],
        B,
        C,
        weights.skip[path],
        delta_bias=weights.dt_bias[path],
        delta_softplus=True,
        return_last_state=True,
        initial_state=state,
    )
    return out, last


def _scan(u: Tensor, delta: Tensor, B: Tensor, C: Tensor, weights: ScanWeights) -> Tensor:
    """All paths in one grouped call: u, delta (B, K, D, L); B, C (B, K, N, L). Gives (B, K D, L)."""
    if u.is_meta:
        return torch.empty_like(delta).flatten(1, 2)
    out = selective_scan(
        u.flatten(1, 2),
        delta.flatten(1, 2),
        weights.decay.flatten(0, 1),
        B,
        C,
        weights.skip.flatten(),
        delta_bias=weights.dt_bias.flatten(),
        delta_softplus=True,
    )
    assert isinstance(out, Tensor)
    return out


def _both_ways(orders: Tensor) -> Tensor:
    """(B, n, ..., L) followed by the same backwards, (B, 2n, ..., L)."""
    return torch.cat([orders, orders.flip(-1)], 1)


def _in_order(x: Tensor, permutation: list[int]) -> Tensor:
    """(B, D, *S) as (B, D, L), a view where the order is that of the map."""
    return x.permute(0, 1, *(2 + axis for axis in permutation)).flatten(2)


def _out_of_order(tokens: Tensor, size: list[int], permutation: list[int]) -> Tensor:
    """(B, D, L) of a raster order as a view (B, D, *S)."""
    ordered = tokens.reshape(*tokens.shape[:2], *(size[axis] for axis in permutation))
    return ordered.permute(0, 1, *(2 + permutation.index(axis) for axis in range(len(size))))


def _turned(tokens: Tensor, backwards: bool) -> Tensor:
    return tokens.flip(-1) if backwards else tokens


def _cut(x: Tensor, permutation: list[int], piece: slice) -> Tensor:
    """The lines `piece` of the slowest axis of a raster order, a view (B, D, l, ...) in that order."""
    return x.permute(0, 1, *(2 + axis for axis in permutation))[:, :, piece]


def _pieces(
    lines: int, tokens: int, size: list[int], permutation: list[int], backwards: bool
) -> Iterator[slice]:
    """Runs of whole lines of the slowest axis, about `tokens` long, in the order in which a path comes by."""
    line = 1
    for axis in permutation[1:]:
        line *= size[axis]
    step = max(1, tokens // line)
    starts = range(0, lines, step)
    for start in reversed(starts) if backwards else starts:
        yield slice(start, min(start + step, lines))
