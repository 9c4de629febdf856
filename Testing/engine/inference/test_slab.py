"""Sums as deep as one tile give what sums over the whole volume give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from umamba.inference.slab import Tiling, finished_planes
from umamba.inference.windows import gaussian_weights, pad_to_patch, window_starts

# Sums of a few float32 products in another order.
ROUNDING = 2e-5
HEADS = 3


def make_tiling(
    shape: tuple[int, int, int], patch: tuple[int, int, int], step: float, slicewise: bool
) -> Tiling:
    pads = pad_to_patch(shape, patch)
    padded = tuple(size + a + b for size, (a, b) in zip(shape, pads, strict=True))
    starts = window_starts(padded, patch, step)
    first = list(range(padded[0])) if slicewise else starts[0]
    return Tiling((first, starts[1], starts[2]), patch, slicewise, padded, pads)


def network(tile: torch.Tensor) -> torch.Tensor:
    """Depends on the voxel and on the whole tile, so that overlapping tiles disagree."""
    value = tile[0].sum(0)
    return torch.stack([value * (head + 1) + tile.mean() for head in range(HEADS)])


def whole_volume(data: torch.Tensor, tiling: Tiling, weights: torch.Tensor) -> np.ndarray:
    """The textbook way: pad everything, sum everything, divide, cut."""
    pads = [side for pair in tiling.pads[::-1] for side in pair]
    padded = torch.nn.functional.pad(data, pads)
    sums = torch.zeros((HEADS, *tiling.padded_shape))
    total = torch.zeros(tiling.padded_shape)
    for z in tiling.starts[0]:
        for y in tiling.starts[1]:
            for x in tiling.starts[2]:
                window = tuple(slice(a, a + p) for a, p in zip((z, y, x), tiling.patch, strict=True))
                tile = padded[(slice(None), *window)][None]
                logits = network(tile[:, :, 0]).unsqueeze(1) if tiling.slicewise else network(tile)
                sums[(slice(None), *window)] += logits * weights
                total[window] += weights
    keep = tuple(slice(a, size - b) for (a, b), size in zip(tiling.pads, tiling.padded_shape, strict=True))
    return (sums / total)[(slice(None), *keep)].numpy()


sizes = st.tuples(*[st.integers(1, 13)] * 3)
patches = st.tuples(*[st.integers(1, 6)] * 3)


@settings(max_examples=60, deadline=None)
@given(shape=sizes, patch=patches, step=st.sampled_from([0.3, 0.5, 1.0]), slicewise=st.booleans())
def test_equals_the_sum_over_the_whole_volume(
    shape: tuple[int, int, int], patch: tuple[int, int, int], step: float, slicewise: bool
) -> None:
    if slicewise:
        patch = (1, *patch[1:])
    tiling = make_tiling(shape, patch, step, slicewise)
    data = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32))
    size = patch[1:] if slicewise else patch
    weights = torch.from_numpy(gaussian_weights(size).reshape(patch).copy())
    seen: list[int] = []
    parts = [p.numpy().copy() for p in finished_planes(data, tiling, weights, HEADS, network, seen.append)]
    found = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(found, whole_volume(data, tiling, weights), rtol=ROUNDING, atol=ROUNDING)
    assert seen == list(range(1, tiling.tiles + 1))


def test_sums_are_as_deep_as_one_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    zeros = torch.zeros

    def counting(*args: object, **kwargs: object) -> torch.Tensor:
        tensor = zeros(*args, **kwargs)  # type: ignore[call-overload]
        made.append(tensor.numel())
        return tensor  # type: ignore[no-any-return]

    monkeypatch.setattr("umamba.inference.slab.torch.zeros", counting)
    tiling = make_tiling((200, 8, 8), (4, 4, 4), 0.5, False)
    data = torch.ones((1, 200, 8, 8))
    for _ in finished_planes(data, tiling, torch.ones(4, 4, 4), HEADS, network, lambda _: None):
        pass
    assert max(made) == HEADS * 4 * 8 * 8
