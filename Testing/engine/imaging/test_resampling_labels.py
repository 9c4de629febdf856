"""Resampling of label maps against the oracle, batchgenerators, nnunetv2 and the fork's rule."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from skimage.transform import resize

from umamba.imaging.resampling import resample_labels
from umamba.plans import Resampling

ISOTROPIC = (1.0, 1.0, 1.0)
COARSE = [(5.0, 1.0, 1.0), (1.0, 4.0, 1.1), (0.9, 1.0, 3.5)]
LINEAR = Resampling("spline", 1, 0, None)
# Where indicators all but tie, float32 sums decide otherwise than float64 ones or another order of sums.
NEAR_TIES = 2e-3
# Odd sizes: no point lies in the very middle between two samples, where rounding alone would decide.
ODD = (11, 13, 15)

sizes = st.tuples(*[st.integers(1, 9)] * 3)
factors = st.tuples(*[st.integers(1, 4)] * 3)
seeds = st.integers(0, 2**32 - 1)


def labels_of(shape, seed=0, blocky=False):
    rng = np.random.default_rng(seed)
    if blocky:
        coarse = rng.integers(-1, 5, size=[(size + 2) // 3 for size in shape])
        fine = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)
        return fine[: shape[0], : shape[1], : shape[2]].astype(np.int16)
    return rng.integers(-1, 5, size=shape).astype(np.int16)


def thresholded(labels, shape, order):
    """The rule of the fork's time: rising labels, the later wins where the indicator is at least 0.5."""
    result = np.zeros(shape, dtype=labels.dtype)
    for label in np.unique(labels):
        indicator = (labels == label).astype(float)
        result[resize(indicator, shape, order, mode="edge", clip=True, anti_aliasing=False) >= 0.5] = label
    return result


@pytest.mark.parametrize(("convention", "key"), [("threshold", ".out"), ("argmax", ".out_argmax_rule")])
def test_oracle(oracle, convention, key):
    manifest = json.loads((oracle / "pipeline_parts" / "manifest.json").read_text())
    arrays = np.load(oracle / "pipeline_parts" / "resampling.npz")
    cases = [case for case in manifest["resampling"] if case["is_seg"]]
    assert cases
    for case in cases:
        rule = Resampling("spline", case["order"], case["order_z"], case["force_separate_z"])
        found = resample_labels(
            arrays[case["name"] + ".in"][0],
            case["new_shape"],
            rule,
            case["current_spacing"],
            case["new_spacing"],
            convention,
        )
        assert found.dtype == case["out_dtype"]
        assert np.array_equal(found, arrays[case["name"] + key][0]), case["name"]


def as_nnunet(labels, shape, rule, spacing):
    return resample_data_or_seg_to_shape(
        labels[None], shape, spacing, spacing, True, rule.order, rule.order_z, rule.force_separate_z
    )[0]


@given(sizes, sizes, st.sampled_from([ISOTROPIC, *COARSE]), seeds)
@settings(max_examples=100, deadline=None)
def test_largest_indicator_wins_as_in_nnunetv2(old, new, spacing, seed):
    labels = labels_of(old, seed)
    found = resample_labels(labels, new, LINEAR, spacing, spacing, "argmax")
    assert np.array_equal(found, as_nnunet(labels, new, LINEAR, spacing))


@given(sizes, factors, seeds)
@settings(max_examples=100, deadline=None)
def test_exact_ties_of_whole_factors_fall_as_in_nnunetv2(old, factor, seed):
    labels = labels_of(old, seed)
    new = tuple(size * times for size, times in zip(old, factor, strict=True))
    found = resample_labels(labels, new, LINEAR, ISOTROPIC, ISOTROPIC, "argmax")
    assert np.array_equal(found, as_nnunet(labels, new, LINEAR, ISOTROPIC))


@given(sizes, factors, seeds)
@settings(max_examples=100, deadline=None)
def test_half_the_votes_suffice_as_in_the_forks_time(old, factor, seed):
    labels = labels_of(old, seed)
    new = tuple(size * times for size, times in zip(old, factor, strict=True))
    if new == old:
        new = (*old[:2], old[2] + 1)
    found = resample_labels(labels, new, LINEAR, ISOTROPIC, ISOTROPIC, "threshold")
    assert np.array_equal(found, thresholded(labels, new, 1))


def test_votes_by_hand():
    # The middle of four labels: no label has half, all tie; the nearest sample is the last one.
    labels = np.array([[[4, 3], [2, 1]]], dtype=np.uint8)
    assert resample_labels(labels, (1, 1, 1), LINEAR, ISOTROPIC, ISOTROPIC, "threshold").item() == 0
    assert resample_labels(labels, (1, 1, 1), LINEAR, ISOTROPIC, ISOTROPIC, "argmax").item() == 1
    # Between two labels: both have half; the larger one by threshold, the nearest (the later) by argmax.
    pair = np.array([[[3, 2]]], dtype=np.uint8)
    assert resample_labels(pair, (1, 1, 1), LINEAR, ISOTROPIC, ISOTROPIC, "threshold").item() == 3
    assert resample_labels(pair, (1, 1, 1), LINEAR, ISOTROPIC, ISOTROPIC, "argmax").item() == 2


@pytest.mark.parametrize("spacing", [ISOTROPIC, *COARSE])
@pytest.mark.parametrize("order", [0, 2, 3])
def test_other_orders_agree_but_for_near_ties(order, spacing):
    labels = labels_of(ODD, blocky=True)
    rule = Resampling("spline", order, 0, None)
    expected = as_nnunet(labels, (17, 9, 20), rule, spacing)
    found = resample_labels(labels, (17, 9, 20), rule, spacing, spacing, "argmax")
    assert np.mean(found != expected) <= NEAR_TIES
    if spacing == ISOTROPIC and order:
        found = resample_labels(labels, (17, 9, 20), rule, spacing, spacing, "threshold")
        assert np.mean(found != thresholded(labels, (17, 9, 20), order)) <= NEAR_TIES


@pytest.mark.parametrize("spacing", COARSE)
@pytest.mark.parametrize("order_z", [1, 3])
def test_interpolated_separate_axis_agrees_but_for_near_ties(order_z, spacing):
    labels = labels_of(ODD, blocky=True)
    rule = Resampling("spline", 1, order_z, None)
    expected = as_nnunet(labels, (17, 9, 20), rule, spacing)
    found = resample_labels(labels, (17, 9, 20), rule, spacing, spacing, "argmax")
    assert np.mean(found != expected) <= NEAR_TIES


@pytest.mark.parametrize("spacing", [ISOTROPIC, *COARSE])
def test_torch_method_is_nnunetv2s(spacing):
    labels = labels_of(ODD, blocky=True)
    expected = resample_torch_fornnunet(
        labels[None], (17, 9, 20), spacing, spacing, is_seg=True, num_threads=1
    )
    found = resample_labels(labels, (17, 9, 20), Resampling("torch", 1, 0, None), spacing, spacing)
    assert np.mean(found != expected[0]) <= NEAR_TIES


@pytest.mark.parametrize("order", [0, 1])
def test_linear_method_is_the_forks(order):
    labels = labels_of(ODD, blocky=True)
    shape = (17, 9, 20)
    volume = torch.from_numpy(labels)[None, None]
    if order == 0:
        expected = torch.nn.functional.interpolate(volume.float(), shape, mode="nearest")
    else:
        expected = torch.zeros((1, 1, *shape))
        for label in torch.unique(volume):
            indicator = (volume == label).float()
            interpolated = torch.nn.functional.interpolate(indicator, shape, mode="trilinear")
            expected[interpolated >= 0.5] = float(label)
    rule = Resampling("linear", order, 0, None)
    found = resample_labels(labels, shape, rule, COARSE[0], COARSE[0])
    assert np.mean(found != expected[0, 0].numpy()) <= NEAR_TIES


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64])
def test_the_number_type_stays(dtype):
    labels = np.abs(labels_of((5, 6, 7))).astype(dtype)
    assert resample_labels(labels, (9, 5, 8), LINEAR, ISOTROPIC, ISOTROPIC).dtype == dtype


def test_none_and_equal_shapes_return_the_very_array():
    labels = labels_of((4, 5, 6))
    assert resample_labels(labels, (4, 5, 6), LINEAR, ISOTROPIC, ISOTROPIC) is labels
    assert resample_labels(labels, (9, 9, 9), Resampling("none", 1, 0, None), ISOTROPIC, ISOTROPIC) is labels


def test_no_other_label_comes_into_being():
    labels = labels_of((9, 9, 9), blocky=True) * 50
    found = resample_labels(labels, (31, 7, 14), LINEAR, ISOTROPIC, ISOTROPIC, "argmax")
    assert set(np.unique(found)) <= set(np.unique(labels))


@pytest.mark.parametrize(
    ("array", "convention", "message"),
    [
        (np.zeros((3, 3, 3), dtype=np.float32), "argmax", "must be integers"),
        (np.zeros((3, 3, 3), dtype=np.int8), "majority", "unknown convention"),
        (np.zeros((3, 0, 3), dtype=np.int8), "argmax", "an axis is empty"),
    ],
)
def test_wrong_requests_are_refused(array, convention, message):
    with pytest.raises(ValueError, match=message):
        resample_labels(array, (4, 4, 4), LINEAR, ISOTROPIC, ISOTROPIC, convention)
