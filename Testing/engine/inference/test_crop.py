"""The crop to the nonzero part against the oracle and scipy's hole filling."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

from umamba.inference.crop import nonzero_box


def filled(mask, box):
    """The mask in the box as an array, all True where there is none."""
    return np.ones([stop - start for start, stop in box], dtype=bool) if mask is None else mask


def test_oracle(oracle):
    folder = oracle / "pipeline_parts"
    cases = json.loads((folder / "manifest.json").read_text())["crop"]
    arrays = np.load(folder / "crop.npz")
    assert cases
    for case in cases:
        mask, box = nonzero_box(list(arrays[case["name"] + ".in"]))
        assert [list(entry) for entry in box] == case["bbox"], case["name"]
        key = case["name"] + ".seg_in"
        slices = tuple(slice(*entry) for entry in box)
        labels = (
            arrays[key][0][slices].copy()
            if key in arrays
            else np.zeros_like(filled(mask, box), dtype=np.int8)
        )
        labels[(labels == 0) & ~filled(mask, box)] = -1
        assert np.array_equal(labels, arrays[case["name"] + ".seg_out"][0]), case["name"]


@given(
    st.tuples(*[st.integers(1, 8)] * 3),
    st.integers(1, 3),
    st.sampled_from([0.02, 0.2, 0.4, 0.6, 0.8, 0.97]),
    st.permutations(range(3)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=300, deadline=None)
def test_mask_and_box_are_nnunets(shape, channels, density, order, seed):
    data = (np.random.default_rng(seed).random((channels, *shape)) < density).astype(np.float32)
    _, labels, expected = crop_to_nonzero(data)
    turned = [np.ascontiguousarray(channel.transpose(order)).transpose(np.argsort(order)) for channel in data]
    mask, box = nonzero_box(turned)
    if not data.any():
        expected = [[0, size] for size in shape]
    assert [list(entry) for entry in box] == [list(map(int, entry)) for entry in expected]
    assert np.array_equal(filled(mask, box), labels[0] == 0)


def shell(shape=(9, 9, 9)):
    """A hollow box with a margin of one voxel."""
    data = np.zeros(shape)
    data[1:-1, 1:-1, 1:-1] = 5
    data[3:-3, 3:-3, 3:-3] = 0
    return data


def test_a_hollow_box_is_filled():
    assert nonzero_box([shell()]) == (None, ((1, 8), (1, 8), (1, 8)))


def test_a_tunnel_lets_the_outside_in():
    data = shell()
    data[4, 4, :4] = 0
    mask, box = nonzero_box([data])
    assert box == ((1, 8), (1, 8), (1, 8))
    assert mask is not None
    assert np.count_nonzero(~mask) == 3**3 + 2


def test_a_diagonal_gap_does_not():
    data = shell()
    data[2, 2, 2] = 0  # touches the cavity at its corner only
    assert nonzero_box([data])[0] is None


def test_a_winding_tunnel_is_followed_to_its_end():
    # One long corridor that turns at every wall: sweeps in one direction would not reach its end.
    maze = np.ones((3, 41, 41), dtype=np.uint8)
    maze[1, 1:-1:2, 1:-1] = 0
    for row in range(2, 39, 2):
        maze[1, row, 1 if row % 4 else -2] = 0
    maze[1, 1, 0] = 0
    mask, _ = nonzero_box([maze])
    assert np.array_equal(mask, maze != 0)


def test_every_nonzero_image_needs_no_mask():
    assert nonzero_box([np.full((3, 4, 5), -1000, dtype=np.int16)]) == (None, ((0, 3), (0, 4), (0, 5)))


def test_nan_counts_as_nonzero():
    data = np.zeros((3, 3, 3))
    data[1, 1, 1] = np.nan
    assert nonzero_box([data]) == (None, ((1, 2), (1, 2), (1, 2)))


def test_zero_everywhere_keeps_the_whole_image():
    mask, box = nonzero_box([np.zeros((3, 4, 5))])
    assert box == ((0, 3), (0, 4), (0, 5))
    assert mask is not None
    assert not mask.any()


def head(shape=(60, 80, 90)):
    """An ellipsoid in zeros, with one voxel in twenty of it zero too."""
    z, y, x = (np.linspace(-1.2, 1.2, size) for size in shape)
    inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < 1
    return (inside & (np.random.default_rng(0).random(shape) > 0.05)).astype(np.float32)


def noise(shape=(60, 80, 90)):
    """As many runs of zeros as can be."""
    return (np.random.default_rng(0).random(shape) < 0.5).astype(np.float32)


@pytest.mark.parametrize(("make", "bytes_per_voxel"), [(head, 1.2), (noise, 5)])
def test_memory_is_a_mask_and_the_runs_of_zeros(make, bytes_per_voxel):
    data = make()
    tracemalloc.start()
    nonzero_box([data])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < data.size * bytes_per_voxel
