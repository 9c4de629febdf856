"""Weighted sums of overlapping tiles, held only as deep as one tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

# Called with a tile (1, C, *patch) on the run's device, returns logits (K, *patch) float32.
TilePredictor = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Tiling:
    """Where the windows of a sliding window stand.

    Attributes:
        starts: Window starts for each of the three axes; a 2D network has one window start per slice on
            the first axis.
        patch: Size of a window on the three axes; 1 on the first axis for a 2D network.
        slicewise: Whether tiles lose their first axis before the network sees them.
        padded_shape: Shape of the padded input.
        pads: Voxels padded before and after each axis.
    """

    starts: tuple[Sequence[int], Sequence[int], Sequence[int]]
    patch: tuple[int, int, int]
    slicewise: bool
    padded_shape: tuple[int, int, int]
    pads: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.starts[0]) * len(self.starts[1]) * len(self.starts[2])


def finished_planes(
    data: torch.Tensor,
    tiling: Tiling,
    weights: torch.Tensor,
    heads: int,
    predict: TilePredictor,
    on_tile: Callable[[int], None],
) -> Iterator[torch.Tensor]:
    """Predict tile by tile along the first axis; yield logits of planes that no later tile touches.

    The sums are as deep as one window. Logits are weighted and divided by the sum of weights, as nnU-Net
    does, in float32.

    Args:
        data: (C, Z, Y, X) float32, not padded.
        tiling: The windows.
        weights: Importance of a window's voxels, of the window's shape, float32, on the run's device.
        heads: Number of output channels K.
        predict: The network.
        on_tile: Called with the number of tiles done, after each.

    Yields:
        (K, n, Y, X) float32 on the run's device: the next n planes, padding removed. Valid until the next
        step of the iteration.
    """
    depth = tiling.patch[0]
    plane_shape = tiling.padded_shape[1:]
    sums = torch.zeros((heads, depth, *plane_shape), dtype=torch.float32, device=weights.device)
    total = torch.zeros((depth, *plane_shape), dtype=torch.float32, device=weights.device)
    done = 0
    first_axis = list(tiling.starts[0])
    for step, z in enumerate(first_axis):
        for y in tiling.starts[1]:
            for x in tiling.starts[2]:
                tile = cut_tile(data, tiling, (z, y, x)).to(weights.device)
                logits = predict(tile)
                if tiling.slicewise:
                    logits = logits.unsqueeze(1)
                window = (..., slice(y, y + tiling.patch[1]), slice(x, x + tiling.patch[2]))
                sums[window].addcmul_(logits, weights)
                total[window].add_(weights)
                done += 1
                on_tile(done)
        following = first_axis[step + 1] if step + 1 < len(first_axis) else z + depth
        finished = following - z
        sums[:, :finished] /= total[:finished]
        visible = _visible_planes(tiling, z, finished)
        if visible is not None:
            yield sums[:, visible][..., _keep(tiling, 1), _keep(tiling, 2)]
        _shift(sums, total, finished)


def cut_tile(data: torch.Tensor, tiling: Tiling, start: tuple[int, int, int]) -> torch.Tensor:
    """One window of the zero-padded input, (1, C, *patch) (without the first axis if slice by slice)."""
    channels = data.shape[0]
    tile = torch.zeros((1, channels, *tiling.patch), dtype=torch.float32)
    source: list[slice] = [slice(None)]
    target: list[slice] = [slice(None)]
    for axis in range(3):
        begin = start[axis] - tiling.pads[axis][0]
        low = max(begin, 0)
        high = min(begin + tiling.patch[axis], data.shape[axis + 1])
        source.append(slice(low, high))
        target.append(slice(low - begin, high - begin))
    tile[0][tuple(target)] = data[tuple(source)]
    return tile[:, :, 0] if tiling.slicewise else tile


def _visible_planes(tiling: Tiling, first: int, count: int) -> slice | None:
    """Which of the slab's first `count` planes are not padding."""
    before = tiling.pads[0][0]
    last = tiling.padded_shape[0] - tiling.pads[0][1]
    low, high = max(first, before), min(first + count, last)
    return slice(low - first, high - first) if high > low else None


def _keep(tiling: Tiling, axis: int) -> slice:
    before, after = tiling.pads[axis]
    return slice(before, tiling.padded_shape[axis] - after)


def _shift(sums: torch.Tensor, total: torch.Tensor, count: int) -> None:
    """Move the planes that are still open to the front and clear the rest, plane by plane in place."""
    depth = total.shape[0]
    for plane in range(depth - count):
        sums[:, plane].copy_(sums[:, plane + count])
        total[plane].copy_(total[plane + count])
    sums[:, depth - count :].zero_()
    total[depth - count :].zero_()
