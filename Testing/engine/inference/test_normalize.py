"""Intensity normalisation against the oracle and nnunetv2's own classes."""

import json

import numpy as np
import pytest
from nnunetv2.preprocessing.normalization import default_normalization_schemes as published

from umamba.errors import InputError, ModelError
from umamba.inference.normalize import normalize
from umamba.plans import IntensityProperties
from umamba.plans.configuration import NORMALIZATIONS

CT = IntensityProperties(mean=47.3, std=22.1, percentile_00_5=-20.5, percentile_99_5=110.25)
# nnU-Net sums statistics in float32, this in float64; float32 arithmetic on voxels in both.
STATISTICS = {"rtol": 2e-6, "atol": 2e-6}


def scan(shape=(6, 30, 40), seed=0):
    return np.random.default_rng(seed).normal(40, 60, size=shape).astype(np.float32)


def as_nnunet(scheme, image, mask=None):
    properties = {
        "mean": CT.mean,
        "std": CT.std,
        "percentile_00_5": CT.percentile_00_5,
        "percentile_99_5": CT.percentile_99_5,
    }
    seg = None if mask is None else np.where(mask, 0, -1)
    return getattr(published, scheme)(mask is not None, properties).run(image.copy(), seg)


def test_oracle(oracle):
    folder = oracle / "pipeline_parts"
    manifest = json.loads((folder / "manifest.json").read_text())
    arrays = np.load(folder / "normalization.npz")
    tolerance = manifest["tolerance"]["normalization"]
    properties = IntensityProperties(**manifest["normalization"]["intensity_properties"])
    for case in manifest["normalization"]["schemes"]:
        mask = arrays["mask"] >= 0 if case["use_mask_for_norm"] else None
        found = normalize(arrays["in"].copy(), case["scheme"], mask, properties)
        np.testing.assert_allclose(found, arrays[case["key"]], **tolerance, err_msg=case["key"])
    colours = normalize(arrays["rgb_in"].astype(np.float32), "RGBTo01Normalization")
    np.testing.assert_allclose(colours, arrays["RGBTo01Normalization"], **tolerance)


@pytest.mark.parametrize("scheme", NORMALIZATIONS)
def test_every_scheme_is_nnunets(scheme):
    image = np.abs(scan()) if scheme == "RGBTo01Normalization" else scan()
    np.testing.assert_allclose(
        normalize(image.copy(), scheme, None, CT), as_nnunet(scheme, image), **STATISTICS
    )


def test_masked_z_score_is_nnunets_and_leaves_the_outside():
    image = scan()
    mask = np.random.default_rng(1).random(image.shape) < 0.6
    found = normalize(image.copy(), "ZScoreNormalization", mask)
    np.testing.assert_allclose(found, as_nnunet("ZScoreNormalization", image, mask), **STATISTICS)
    assert np.array_equal(found[~mask], image[~mask])


@pytest.mark.parametrize("scheme", NORMALIZATIONS)
def test_works_in_place_on_views(scheme):
    image = np.abs(scan()).transpose(2, 0, 1)[:, :, ::-1]
    expected = normalize(np.ascontiguousarray(image), scheme, None, CT)
    assert normalize(image, scheme, None, CT) is image
    np.testing.assert_allclose(image, expected, **STATISTICS)


def test_ct_by_hand():
    image = np.array([[[-1000, 47.3, 3000]]], dtype=np.float32)
    found = normalize(image, "CTNormalization", None, CT)
    expected = [(CT.percentile_00_5 - CT.mean) / CT.std, 0, (CT.percentile_99_5 - CT.mean) / CT.std]
    np.testing.assert_allclose(found.ravel(), expected, **STATISTICS)


@pytest.mark.parametrize("value", [0, 0.1, -1000, 1e6])
@pytest.mark.parametrize("scheme", ["ZScoreNormalization", "RescaleTo01Normalization"])
def test_a_constant_image_becomes_zero(value, scheme):
    image = np.full((7, 50, 60), value, dtype=np.float32)
    assert not normalize(image, scheme).any()


def test_an_empty_mask_and_an_empty_image_change_nothing():
    image = scan()
    found = normalize(image.copy(), "ZScoreNormalization", np.zeros(image.shape, dtype=bool))
    assert np.array_equal(found, image)
    for scheme in NORMALIZATIONS:
        assert normalize(np.zeros((0, 3, 3), dtype=np.float32), scheme, None, CT).size == 0


@pytest.mark.parametrize("value", [-1, 256, np.nan])
def test_colours_out_of_range_are_refused(value):
    image = np.full((1, 2, 2), 7, dtype=np.float32)
    image[0, 0, 0] = value
    with pytest.raises(InputError, match="values from 0 to 255"):
        normalize(image, "RGBTo01Normalization")


def test_wrong_plans_are_refused():
    with pytest.raises(ModelError, match="without intensity properties"):
        normalize(scan(), "CTNormalization")
    with pytest.raises(ModelError, match="'Magic' is not known"):
        normalize(scan(), "Magic")


def test_other_number_types_are_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="float64"):
        normalize(np.zeros((1, 1, 1)), "NoNormalization")
