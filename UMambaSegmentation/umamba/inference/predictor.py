"""The networks of a run: folds, mirroring, one tile at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch

from umamba.errors import ModelError
from umamba.inference.slab import Tiling
from umamba.inference.windows import gaussian_weights, pad_to_patch, window_starts
from umamba.models.model import Model
from umamba.plans import Configuration


class Ensemble:
    """The folds of a model on one device; logits of a tile are averaged over folds and mirrorings.

    Networks stay loaded between runs, which is what keeps a worker warm. With `one_at_a_time` only one
    fold's network is in memory, at the price of reading the weights for every tile.
    """

    def __init__(
        self, model: Model, folds: Sequence[str], device: torch.device, one_at_a_time: bool = False
    ) -> None:
        self.model = model
        self.folds = tuple(folds)
        self.device = device
        self.one_at_a_time = one_at_a_time and len(self.folds) > 1
        self._networks: dict[str, torch.nn.Module] = {}

    def load(self) -> None:
        """Read every fold that this ensemble keeps in memory."""
        if not self.one_at_a_time:
            for fold in self.folds:
                self._network(fold)

    @torch.inference_mode()
    def predict(self, tile: torch.Tensor, mirror_axes: Sequence[int]) -> torch.Tensor:
        """Mean logits (K, *patch) float32 of one tile (1, C, *patch).

        Args:
            tile: The network's input.
            mirror_axes: Spatial axes to mirror, in all combinations; empty for none.
        """
        mean: torch.Tensor | None = None
        for fold in self.folds:
            logits = predict_mirrored(self._network(fold), tile, mirror_axes)
            mean = logits if mean is None else mean.add_(logits)
        if mean is None:
            raise ModelError("the model has no fold to run")
        return mean.div_(len(self.folds)) if len(self.folds) > 1 else mean

    def _network(self, fold: str) -> torch.nn.Module:
        if fold not in self._networks:
            if self.one_at_a_time:
                self._networks.clear()
            self._networks[fold] = self.model.network(fold, device=self.device)
        return self._networks[fold]


def predict_mirrored(
    network: Callable[[torch.Tensor], torch.Tensor], tile: torch.Tensor, mirror_axes: Sequence[int]
) -> torch.Tensor:
    """Logits of a tile, averaged with those of its mirror images (nnU-Net's test-time augmentation).

    Returns:
        (K, *patch) float32.
    """
    with torch.inference_mode():
        logits = network(tile)[0].float()
        axes = [axis + 1 for axis in mirror_axes]
        flips = [subset for count in range(1, len(axes) + 1) for subset in combinations(axes, count)]
        for subset in flips:
            flipped = torch.flip(tile, [axis + 1 for axis in subset])
            logits += torch.flip(network(flipped)[0], list(subset))
        return logits.div_(len(flips) + 1) if flips else logits


def tiling_for(shape: Sequence[int], configuration: Configuration, step: float) -> Tiling:
    """The windows over an input of `shape` (Z, Y, X), padded to at least the patch."""
    slicewise = configuration.axes == 2
    patch = (1, *configuration.patch_size) if slicewise else configuration.patch_size
    patch_3d = (patch[0], patch[1], patch[2])
    pads = pad_to_patch(tuple(shape), patch_3d)
    padded = tuple(size + before + after for size, (before, after) in zip(shape, pads, strict=True))
    in_plane = window_starts(padded[1:], patch_3d[1:], step)
    first = list(range(padded[0])) if slicewise else window_starts(padded[:1], patch_3d[:1], step)[0]
    return Tiling(
        starts=(first, in_plane[0], in_plane[1]),
        patch=patch_3d,
        slicewise=slicewise,
        padded_shape=(padded[0], padded[1], padded[2]),
        pads=(pads[0], pads[1], pads[2]),
    )


def tile_weights(tiling: Tiling, device: torch.device) -> torch.Tensor:
    """nnU-Net's Gaussian importance of a window's voxels, float32, shape of the window. Only to be read."""
    size = tiling.patch[1:] if tiling.slicewise else tiling.patch
    return _weights(size).view(tiling.patch).to(device)


@lru_cache(maxsize=1)
def _weights(size: tuple[int, ...]) -> torch.Tensor:
    """Kept for the next run, which is mostly of the same model."""
    return torch.from_numpy(np.ascontiguousarray(gaussian_weights(size)))
