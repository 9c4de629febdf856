"""Resampling of images against the oracle and against nnunetv2's own functions."""

import json
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape,
    determine_do_sep_z_and_axis,
    resample_data_or_seg_to_shape,
)
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet

from umamba.imaging.axis_operator import apply_axis
from umamba.imaging.resampling import axis_operators, new_shape, resample_image, separate_axis
from umamba.plans import Resampling

SPLINE = Resampling("spline", 3, 0, None)
LOGITS = Resampling("spline", 1, 0, None)
# Of the largest value: float32 sums of some forty products on each of three axes, against float64.
SPLINE_FRACTION = 3e-6
# torch computes points in float32 and sums in another order.
TORCH_FRACTION = 2e-5
ISOTROPIC = (1.0, 1.0, 1.0)
COARSE = [(5.0, 1.0, 1.0), (1.0, 4.0, 1.1), (0.9, 1.0, 3.5)]

sizes = st.tuples(*[st.integers(1, 14)] * 3)
spacings = st.tuples(*[st.sampled_from([0.3, 0.5, 0.9, 1.0, 1.2, 3.0, 3.6, 5.0])] * 3)


def image(shape, seed=0):
    return np.random.default_rng(seed).normal(scale=100, size=shape).astype(np.float32)


def as_nnunet(array, shape, rule, current, new):
    return resample_data_or_seg_to_shape(
        array[None].astype(np.float64),
        shape,
        current,
        new,
        order=rule.order,
        order_z=rule.order_z,
        force_separate_z=rule.force_separate_z,
    )[0]


def assert_close(found, expected, fraction):
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= fraction * np.abs(expected).max()


def oracle_cases(oracle, labels):
    manifest = json.loads((oracle / "pipeline_parts" / "manifest.json").read_text())
    arrays = np.load(oracle / "pipeline_parts" / "resampling.npz")
    cases = [case for case in manifest["resampling"] if case["is_seg"] == labels]
    assert cases
    return cases, arrays, manifest["tolerance"]["resampling"]


def test_oracle(oracle):
    cases, arrays, tolerance = oracle_cases(oracle, labels=False)
    for case in cases:
        rule = Resampling("spline", case["order"], case["order_z"], case["force_separate_z"])
        limit = tolerance["float16"] if case["dtype"] == "float16" else tolerance
        for channel, expected in zip(
            arrays[case["name"] + ".in"], arrays[case["name"] + ".out"], strict=True
        ):
            found = resample_image(
                channel, case["new_shape"], rule, case["current_spacing"], case["new_spacing"]
            )
            np.testing.assert_allclose(
                found,
                expected.astype(np.float32),
                rtol=limit["rtol"],
                atol=limit["atol"],
                err_msg=case["name"],
            )


def test_oracle_new_shapes(oracle):
    manifest = json.loads((oracle / "pipeline_parts" / "manifest.json").read_text())
    for case in manifest["new_shape"]:
        found = new_shape(case["old_shape"], case["old_spacing"], case["new_spacing"])
        assert list(found) == case["new_shape"]


@given(sizes, spacings, spacings)
def test_new_shape_is_nnunets(shape, old, new):
    assert list(new_shape(shape, old, new)) == list(compute_new_shape(shape, old, new))


@given(spacings, spacings, st.sampled_from([None, True, False]))
def test_separate_axis_is_nnunets(current, new, force):
    _, expected = determine_do_sep_z_and_axis(force, current, new)
    assert separate_axis(current, new, force) == expected


@given(
    sizes, sizes, spacings, spacings, st.integers(0, 3), st.sampled_from([0, 1, 3]), st.integers(0, 2**32 - 1)
)
@settings(max_examples=150, deadline=None)
def test_spline_is_nnunets(old, new, current, target, order, order_z, seed):
    rule = Resampling("spline", order, order_z, None)
    array = image(old, seed)
    found = resample_image(array, new, rule, current, target)
    assert_close(found, as_nnunet(array, new, rule, current, target), SPLINE_FRACTION)


@pytest.mark.parametrize("order", [4, 5])
def test_higher_orders_are_nnunets(order):
    rule = Resampling("spline", order, 0, None)
    array = image((9, 14, 12))
    found = resample_image(array, (11, 9, 25), rule, ISOTROPIC, ISOTROPIC)
    assert_close(found, as_nnunet(array, (11, 9, 25), rule, ISOTROPIC, ISOTROPIC), SPLINE_FRACTION)


def test_clipped_to_the_range_of_the_volume():
    array = np.zeros((8, 8, 8), dtype=np.float32)
    array[:, 4:] = 1000
    found = resample_image(array, (16, 16, 16), SPLINE, ISOTROPIC, ISOTROPIC)
    assert (found.min(), found.max()) == (0, 1000)


@pytest.mark.parametrize("spacing", COARSE)
def test_clipped_to_the_range_of_each_slice_across_a_separate_axis(spacing):
    axis = separate_axis(spacing, spacing, None)
    ramp = np.arange(1, 7, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    checks = (np.indices((6, 6, 6)).sum(axis=0) % 2).astype(np.float32)
    found = resample_image(checks * ramp, (12, 12, 12), SPLINE, spacing, spacing)
    across = tuple(entry for entry in range(3) if entry != axis)
    assert np.array_equal(found.max(axis=across), np.repeat(np.arange(1, 7), 2))
    assert np.array_equal(found.min(axis=across), np.zeros(12))


LINEAR_RULES = [LOGITS, Resampling("linear", 1, 0, None), Resampling("torch", 1, 0, None)]


@pytest.mark.parametrize(
    ("rule", "spacing"),
    [(SPLINE, ISOTROPIC), *((rule, spacing) for rule in LINEAR_RULES for spacing in (ISOTROPIC, *COARSE))],
)
def test_operators_give_the_resampling_but_for_clipping(rule, spacing):
    array = image((10, 12, 14))
    shape = (13, 9, 20)
    product = array
    for axis, operator in enumerate(axis_operators(array.shape, shape, rule, spacing, spacing)):
        product = apply_axis(product, operator, axis)
    found = resample_image(array, shape, rule, spacing, spacing)
    assert_close(found, np.clip(product, array.min(), array.max()), SPLINE_FRACTION)


def test_constants_stay_constants():
    array = np.full((5, 9, 7), 1234.5, dtype=np.float32)
    found = resample_image(array, (11, 4, 13), SPLINE, ISOTROPIC, ISOTROPIC)
    assert np.array_equal(found, np.full((11, 4, 13), 1234.5))


@given(st.integers(0, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_flipping_commutes_with_resampling(axis, seed):
    array = image((7, 11, 9), seed)
    straight = resample_image(array, (9, 8, 13), SPLINE, ISOTROPIC, ISOTROPIC)
    flipped = resample_image(np.flip(array, axis), (9, 8, 13), SPLINE, ISOTROPIC, ISOTROPIC)
    assert_close(np.flip(flipped, axis), straight, SPLINE_FRACTION)


@given(sizes, sizes, spacings)
@settings(max_examples=60, deadline=None)
def test_torch_method_is_nnunetv2s(old, new, spacing):
    array = image(old)
    expected = resample_torch_fornnunet(array[None], new, spacing, spacing, num_threads=1)[0]
    found = resample_image(array, new, Resampling("torch", 3, 0, None), spacing, spacing)
    assert_close(found, expected, TORCH_FRACTION)


@pytest.mark.parametrize(("order", "mode"), [(3, "trilinear"), (1, "trilinear"), (0, "nearest")])
@pytest.mark.parametrize("spacing", [ISOTROPIC, COARSE[0]])
def test_linear_method_is_torchs_interpolation_at_any_spacing(order, mode, spacing):
    array = image((9, 40, 31))
    shape = (14, 25, 60)
    expected = torch.nn.functional.interpolate(torch.from_numpy(array)[None, None], shape, mode=mode)
    found = resample_image(array, shape, Resampling("linear", order, 0, None), spacing, spacing)
    assert_close(found, expected[0, 0].numpy(), TORCH_FRACTION)


def test_none_and_equal_shapes_return_the_very_array():
    array = image((5, 6, 7))
    assert resample_image(array, (9, 9, 9), Resampling("none", 3, 0, None), ISOTROPIC, ISOTROPIC) is array
    assert resample_image(array, (5, 6, 7), SPLINE, ISOTROPIC, COARSE[0]) is array
    out = np.empty_like(array)
    assert resample_image(array, (5, 6, 7), SPLINE, ISOTROPIC, ISOTROPIC, out=out) is out
    assert np.array_equal(out, array)


def test_integers_views_and_out():
    array = np.random.default_rng(0).integers(-1000, 3000, size=(12, 20, 16)).astype(np.int16)
    expected = resample_image(array.astype(np.float32), (9, 30, 8), SPLINE, ISOTROPIC, ISOTROPIC)
    view = np.ascontiguousarray(array.transpose(2, 0, 1)).transpose(1, 2, 0)
    channels = np.empty((2, 9, 30, 8), dtype=np.float32)
    assert resample_image(view, (9, 30, 8), SPLINE, ISOTROPIC, ISOTROPIC, out=channels[1]).base is channels
    assert np.array_equal(channels[1], expected)


@pytest.mark.parametrize("spacing", [ISOTROPIC, COARSE[1]])
def test_result_is_independent_of_threads(spacing):
    array = image((40, 50, 60))
    single = resample_image(array, (31, 70, 45), SPLINE, spacing, spacing, threads=1)
    assert np.array_equal(resample_image(array, (31, 70, 45), SPLINE, spacing, spacing, threads=4), single)


@pytest.mark.parametrize("shape", [(20, 120, 120), (20, 40, 45), (80, 60, 60), (9, 130, 130), (60, 200, 90)])
@pytest.mark.parametrize("spacing", [ISOTROPIC, COARSE[0]])
def test_memory_beside_input_and_result_is_bounded(shape, spacing):
    array = image((20, 120, 120)) if shape != (80, 60, 60) else image((20, 60, 60))
    resample_image(array, shape, SPLINE, spacing, spacing, threads=1)  # operators are built and kept
    tracemalloc.start()
    found = resample_image(array, shape, SPLINE, spacing, spacing, threads=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    parts = 4 * 2**20  # a few parts of work of 1 MB
    assert peak <= found.nbytes + np.sqrt(array.nbytes * found.nbytes) + parts


@pytest.mark.parametrize(("old", "new"), [((0, 4, 4), (2, 4, 4)), ((4, 4, 4), (2, 0, 4))])
def test_empty_axes_are_refused(old, new):
    with pytest.raises(ValueError, match="an axis is empty"):
        resample_image(np.zeros(old, dtype=np.float32), new, SPLINE, ISOTROPIC, ISOTROPIC)
