"""Mamba-UNet from image to labels: its published steps for ACDC to the pixel, and nnU-Net's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

import umamba
from mamba_unet_results import write_results
from umamba import models
from umamba.errors import InputError, ModelError
from umamba.inference.acdc import OUTSIDE, nearest_sources, resize
from umamba.nn import MambaUNet

CASES = ("vol_a_216x256_224", "vol_a_216x256_256", "vol_b_125x188_edge_224", "vol_b_125x188_edge_256")
# The input, logits and labels that the oracle keeps are float32 results; sums over some 50,000 of them.
SUM_ROUNDING = 1e-6
# Probabilities of a place add up to 1 in float32.
PROBABILITY_ROUNDING = 1e-5
# Logits of one network computed by another route: weighted and divided by the windows' weights.
LOGITS_ROUNDING = 1e-4
SIZES = (1, 2, 32, 58, 63, 115, 125, 188, 200, 216, 224, 232, 256, 512)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(oracle) -> Path:
    return oracle / "mambaunet_acdc_pipeline"


@pytest.fixture(scope="module")
def manifest(folder) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


class Case:
    """A volume of the oracle at one size of the network."""

    def __init__(self, folder: Path, manifest: dict[str, Any], name: str) -> None:
        self.entry = next(case for case in manifest["cases"] if case["file"] == f"{name}.npz")
        self.size = self.entry["network_size"]
        with np.load(folder / self.entry["file"]) as arrays:
            self.arrays = dict(arrays)
        if "raw" not in self.arrays:  # the volume is kept once
            with np.load(folder / f"{name.removesuffix('256')}224.npz") as arrays:
                self.arrays["raw"] = arrays["raw"]
        self.model = models.import_(folder / "mambaunet_best_model.pth", id="acdc-224")
        if self.size != 224:
            file = folder / "mambaunet_best_model.pth"
            self.model = models.import_results(file, id=f"acdc-{self.size}", image_size=self.size).id

    @property
    def image(self) -> sitk.Image:
        image = sitk.GetImageFromArray(self.arrays["raw"])
        image.SetSpacing((1.4, 1.4, 8.0))
        return image

    @property
    def clear(self) -> np.ndarray:
        """Where the two best logits are not nearer than a port's rounding, (Z, P, P)."""
        shape = self.arrays["argmax"].shape
        bits = np.unpackbits(self.arrays["close_call"])[: np.prod(shape)]
        return bits.reshape(shape) == 0


@pytest.fixture(params=CASES)
def case(request, folder, manifest) -> Case:
    return Case(folder, manifest, request.param)


def test_every_published_step(case, manifest):
    prepared = umamba.inference.preprocess(case.image, case.model)
    assert prepared.data.shape == (1, len(case.arrays["raw"]), case.size, case.size)
    if "input_slice0" in case.arrays:
        np.testing.assert_array_equal(prepared.data[0, 0], case.arrays["input_slice0"])
    sums = prepared.data[0].sum((1, 2), dtype=np.float64)
    np.testing.assert_allclose(sums, case.entry["input_sums"], SUM_ROUNDING)
    logits = umamba.inference.logits(prepared, case.model).transpose(1, 0, 2, 3)
    tolerance = manifest["tolerance"]
    np.testing.assert_allclose(
        logits[:, :, ::8, ::8],
        case.arrays["logits_strided8"],
        tolerance["logits_rtol"],
        tolerance["logits_atol"],
    )
    assert (logits.argmax(1) == case.arrays["argmax"])[case.clear].all()


def test_the_published_masks(case):
    result = umamba.segment(case.image, case.model, uncertainty=True, probabilities=True)
    differing = np.count_nonzero(result.labels != case.arrays["pred"])
    # A close call of the network's grid may be repeated by the way back.
    assert differing <= 4 * case.entry["close_calls"]
    assert result.labels.dtype == np.uint8
    assert result.probabilities.shape == (4, *result.labels.shape)
    np.testing.assert_allclose(result.probabilities.sum(0), 1, PROBABILITY_ROUNDING)
    np.testing.assert_array_equal(result.probabilities.argmax(0), result.labels)
    assert 0 <= result.uncertainty.min() <= result.uncertainty.max() <= 1


def test_the_edge_that_the_way_back_leaves_out_is_background(folder, manifest):
    case = Case(folder, manifest, "vol_a_216x256_224")
    result = umamba.segment(case.image, case.model, uncertainty=True, probabilities=True)
    assert case.entry["last_row_zeroed"]["pred_rows"]
    assert not result.labels[:, -1].any()
    assert not result.uncertainty[:, -1].any()
    assert bool((result.probabilities[0, :, -1] == 1).all())


def test_a_state_dict_is_run_without_being_imported(folder, manifest):
    case = Case(folder, manifest, "vol_b_125x188_edge_224")
    result = umamba.segment(case.image, folder / "mambaunet_best_model.pth", labels="label_1")
    np.testing.assert_array_equal(result.labels, np.where(case.arrays["pred"] == 1, 1, 0))


def test_a_plan_says_what_it_takes(folder, manifest):
    case = Case(folder, manifest, "vol_b_125x188_edge_224")
    plan = umamba.plan(case.image, case.model)
    assert (plan.tiles, plan.patch_size) == (3, (224, 224))
    assert plan.backend
    assert plan.seconds > 0
    with pytest.raises(InputError, match="is too little"):
        umamba.segment(case.image, case.model, max_memory=0.01)


def test_a_region_is_prepared_by_its_own_values(folder, manifest):
    case = Case(folder, manifest, "vol_b_125x188_edge_224")
    whole = case.image
    cut = whole[20:140, 10:110, :]
    first, last = (
        cut.TransformIndexToPhysicalPoint(i) for i in ((0, 0, 0), tuple(n - 1 for n in cut.GetSize()))
    )
    roi = [value for pair in zip(first, last, strict=True) for value in pair]
    found = umamba.segment(whole, case.model, roi=roi).labels
    np.testing.assert_array_equal(found[:, 10:110, 20:140], umamba.segment(cut, case.model).labels)
    assert np.count_nonzero(found) == np.count_nonzero(found[:, 10:110, 20:140])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 40), (1, 300, 2)])
@pytest.mark.parametrize("value", [0.0, 7.5])
def test_volumes_of_few_pixels_and_of_one_value(folder, shape, value):
    prepared = umamba.inference.preprocess(
        sitk.GetImageFromArray(np.full(shape, value, np.float32)), folder / "mambaunet_best_model.pth"
    )
    assert not prepared.data.any()
    image = sitk.GetImageFromArray(np.arange(np.prod(shape), dtype=np.int16).reshape(shape))
    assert umamba.segment(image, folder / "mambaunet_best_model.pth").labels.shape == shape


def test_wide_integers_do_not_overflow(folder):
    values = np.array([[[-32768, 32767], [0, 1]]], np.int16)
    data = umamba.inference.preprocess(
        sitk.GetImageFromArray(values), folder / "mambaunet_best_model.pth"
    ).data
    assert (data.min(), data.max()) == (0, 1)
    assert data[0, 0, -1, 0] == np.float32(32768 / 65535)


@pytest.mark.parametrize("source", SIZES)
def test_the_resize_is_scipys(source):
    values = np.arange(1, source + 1, dtype=np.float32)
    for target in SIZES:
        found = nearest_sources(source, target)
        wanted = ndimage.zoom(values, target / source, order=0)
        np.testing.assert_array_equal(np.where(found == OUTSIDE, 0, values[found]), wanted)


@pytest.mark.parametrize("size", [224, 256])
def test_the_sizes_whose_edge_is_lost(folder, size):
    edges = json.loads((folder / "zoom_edges.json").read_text())
    sizes = range(2, 601)
    assert [n for n in sizes if OUTSIDE in nearest_sources(n, size)] == edges[f"n_to_{size}"]
    assert [n for n in sizes if OUTSIDE in nearest_sources(size, n)] == edges[f"{size}_to_n"]


def test_a_slice_resized_by_hand():
    plane = np.array([[1, 2], [3, 4]])
    rows, columns = np.array([0, 1, OUTSIDE]), np.array([1, 0])
    assert resize(plane, rows, columns, outside=9).tolist() == [[2, 1], [4, 3], [9, 9]]


# nnU-Net's steps, for what is trained here.


def trained(folder: Path, axes: int, **changes: Any) -> tuple[Path, MambaUNet]:
    """A results folder of a small network with weights that give all labels."""
    torch.manual_seed(axes)
    sizes = {"dims": [8, 16], "depths": [1, 1], "patch_size": [2, 4, 4][-axes:], "strides": [[2] * axes]}
    network = MambaUNet(1, 3, **sizes).eval()
    return write_results(folder, network, sizes, [8, 32, 32][-axes:], changes), network


@pytest.mark.parametrize("axes", [2, 3])
def test_networks_trained_here_run_with_nnunets_steps(tmp_path, axes):
    place, network = trained(tmp_path, axes)
    values = np.random.default_rng(axes).normal(100, 30, (8, 32, 32)).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    prepared = umamba.inference.preprocess(image, place)
    np.testing.assert_allclose(prepared.data.mean(), 0, atol=LOGITS_ROUNDING)
    x = torch.from_numpy(prepared.data)
    with torch.inference_mode():
        if axes == 2:
            wanted = torch.cat([network(x[:, None, z]) for z in range(len(values))]).transpose(0, 1)
        else:
            wanted = network(x[None])[0]
    found = umamba.inference.logits(prepared, place)
    np.testing.assert_allclose(found, wanted, LOGITS_ROUNDING, LOGITS_ROUNDING)
    result = umamba.segment(image, place)
    np.testing.assert_array_equal(result.labels, found.argmax(0))
    assert len(np.unique(result.labels)) > 1
    mirrored = umamba.segment(image, place, mirror=True)
    assert mirrored.labels.shape == values.shape
    larger = np.random.default_rng(axes).normal(100, 30, (11, 45, 50)).astype(np.float32)
    assert umamba.segment(sitk.GetImageFromArray(larger), place).labels.shape == larger.shape


@pytest.mark.parametrize(
    ("axes", "changes", "message"),
    [
        (2, {"preprocessing": "acdc-2"}, r"preprocessing 'acdc-2' is not known here \(nnunet, acdc are\)"),
        (2, {"preprocessing": 3}, "preprocessing: 3 found, a text wanted"),
        (3, {"preprocessing": "acdc"}, "is for flat patches"),
        (2, {"patch_size": [36, 32]}, "patch_size 36 of axis 0 is not divisible by the strides"),
    ],
)
def test_plans_that_cannot_be(tmp_path, axes, changes, message):
    place, _ = trained(tmp_path, axes, **changes)
    with pytest.raises(ModelError, match=message):
        models.get(place)


def test_published_steps_for_regions_are_refused(tmp_path):
    place, _ = trained(tmp_path, 2, preprocessing="acdc")
    image = sitk.GetImageFromArray(np.ones((2, 40, 40), np.float32))
    assert not umamba.inference.preprocess(image, place).data.any()
    dataset = json.loads((place / "dataset.json").read_text())
    labels = {"background": 0, "whole": [1, 2], "core": 2, "edge": 1}
    dataset |= {"labels": labels, "regions_class_order": [1, 2, 3]}
    (place / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(ModelError, match="'acdc' is for models of plain labels in one stage"):
        umamba.segment(image, place)
