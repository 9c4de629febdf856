"""Windows, their weights and the padding against the oracle and nnunetv2's functions."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

from umamba.inference.windows import gaussian_weights, pad_to_patch, window_starts

# float32 rounding of values computed in float64 by both.
FLOAT32_ROUNDING = 1e-6


def manifest(oracle):
    return json.loads((oracle / "pipeline_parts" / "manifest.json").read_text())


def test_oracle_starts(oracle):
    for case in manifest(oracle)["steps"]:
        assert window_starts(case["image_size"], case["tile_size"], case["step"]) == case["steps"]


def test_oracle_weights(oracle):
    arrays = np.load(oracle / "pipeline_parts" / "gaussian.npz")
    assert len(arrays.files) > 0
    for key in arrays.files:
        expected = arrays[key]
        found = gaussian_weights(expected.shape, half=True)
        assert found.dtype == np.float32
        # Equal up to one unit in the last place of float16, as the oracle's manifest asks.
        units = np.abs(found.astype(np.float16).view(np.int16) - expected.view(np.int16))
        assert units.max() <= 1, key


def test_oracle_padding(oracle):
    for case in manifest(oracle)["padding"]:
        pads = pad_to_patch(case["shape"], case["patch"])
        padded = [size + sum(pad) for size, pad in zip(case["shape"], pads, strict=True)]
        kept = [[pad[0], pad[0] + size] for size, pad in zip(case["shape"], pads, strict=True)]
        assert padded == case["padded"]
        assert kept == case["slices_of_the_original"]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 700)), min_size=1, max_size=3),
    st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.7, 0.75, 1.0]),
)
def test_starts_are_nnunets(axes, step):
    patch = tuple(size for size, _ in axes)
    image = tuple(size + more for size, more in axes)
    assert window_starts(image, patch, step) == compute_steps_for_sliding_window(image, patch, step)


@given(st.integers(1, 200), st.integers(0, 500), st.sampled_from([0.3, 0.5, 1.0]))
def test_windows_cover_the_image_and_stay_inside(patch, more, step):
    (starts,) = window_starts([patch + more], [patch], step)
    assert starts[0] == 0
    assert starts[-1] + patch == patch + more
    assert all(0 <= after - before <= patch for before, after in pairwise(starts))


@given(st.lists(st.integers(1, 24), min_size=2, max_size=3))
@settings(deadline=None, max_examples=40)
def test_weights_are_nnunets(patch):
    expected = compute_gaussian(
        tuple(patch),
        sigma_scale=1 / 8,
        value_scaling_factor=10,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    found = gaussian_weights(patch)
    assert np.abs(found - expected.numpy()).max() <= FLOAT32_ROUNDING * found.max()


def test_weights_are_never_zero_and_ten_at_the_middle():
    for half in (False, True):
        weights = gaussian_weights((7, 64, 96), half=half)
        assert weights.min() > 0
        assert weights[3, 32, 48] == weights.max() == 10


@given(
    st.lists(st.integers(1, 60), min_size=3, max_size=4), st.lists(st.integers(1, 60), min_size=2, max_size=3)
)
def test_padding_is_nnunets(shape, patch):
    _, kept = pad_nd_image(np.zeros(shape), patch, return_slicer=True)
    expected = [(entry.start, entry.stop) for entry in kept]
    pads = pad_to_patch(shape, patch)
    assert [(before, before + size) for (before, _), size in zip(pads, shape, strict=True)] == expected


@pytest.mark.parametrize("step", [0, -0.5, 1.5])
def test_a_step_out_of_range_is_refused(step):
    with pytest.raises(ValueError, match="at most 1"):
        window_starts([10], [5], step)


def test_an_image_below_the_patch_is_refused():
    with pytest.raises(ValueError, match="pad it first"):
        window_starts([10, 4], [5, 5], 0.5)
