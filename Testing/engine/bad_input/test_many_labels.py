"""Row 32: as many labels as one byte, two bytes hold; segments that overlap."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk

from engine.bad_input.samples import Change, change_json, change_weights, make_image, make_model
from image_builders import nifti_bytes

LARGEST = 65_535
TINY_PATCH = (4, 8, 8)
TINY_SHAPE = (5, 9, 10)
EVEN = 0.5  # the sigmoid of 0
NEVER = -1e4  # a logit that cannot win
LAST = "decoder.seg_layers.0."


def spread_over(kept: np.ndarray) -> Change:
    """Let only the classes in `kept` win: each looks another way in the plane of the two last features."""

    def change(weights):
        bias, weight = weights[LAST + "bias"], weights[LAST + "weight"].flatten(1)
        bias.fill_(NEVER)
        for number, value in enumerate(kept):
            angle = 2 * math.pi * number / len(kept)
            bias[value] = 0
            weight[value] = weight.new_tensor((math.cos(angle), math.sin(angle)))

    return change


@pytest.mark.parametrize(
    ("labels", "kind"), [(255, np.uint8), (256, np.uint16), (LARGEST, np.uint16)], ids=str
)
def test_row_32_number_of_labels(desk, tmp_path, labels, kind):
    """The highest label comes out as what it is, in every format."""
    model = make_model(tmp_path / "model", classes=labels + 1, patch=TINY_PATCH, features=(2, 2))
    kept = np.array([0, 1, labels // 2, labels])
    change_weights(model, spread_over(kept))
    path = desk.save("scan.nii", nifti_bytes(make_image(TINY_SHAPE)))
    formats = (".nrrd",) if labels == LARGEST else (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd")
    for suffix in formats:
        found = desk.good(path, model, "--overwrite", name=f"labels{suffix}")
        assert found.dtype == kind
        assert set(np.unique(found)) <= set(kept)
        assert labels in found


def test_row_32_picture_with_256_labels(desk, tmp_path):
    from PIL import Image as Picture

    model = make_model(tmp_path / "model", classes=257, patch=(8, 8), features=(2, 2))
    change_weights(model, spread_over(np.array([0, 256])))
    path = desk.inputs / "scan.png"
    Picture.fromarray(make_image((20, 20)).astype(np.uint8)).save(path)
    for suffix in (".png", ".tif"):
        found = desk.good(path, model, name=f"labels{suffix}")
        assert found.dtype == np.uint16
        assert 256 in found


def test_row_32_one_label_too_many(desk, tmp_path):
    model = make_model(tmp_path / "model")
    labels = {"background": 0} | {f"s{n}": n for n in range(1, LARGEST + 2)}
    change_json(model, "dataset.json", lambda dataset: dataset.update(labels=labels))
    path = desk.save("scan.nii", nifti_bytes(make_image(TINY_SHAPE)))
    desk.refuses_image(path, model, "65536 found, an integer from 0 to 65535 wanted", "give a model")


def test_row_32_segments_that_overlap(desk, tmp_path, image):
    """Each region whole, as the network has it, in layers of a segmentation."""
    model = make_model(tmp_path / "model", classes=3)
    regions = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "inner": 3}
    rules = {"labels": regions, "regions_class_order": [1, 2, 3]}
    change_json(model, "dataset.json", lambda dataset: dataset.update(rules))
    path, probabilities = desk.save("scan.nii", nifti_bytes(image)), desk.outputs / "p.npz"
    answer = desk.segment(path, model, "--probabilities", probabilities, name="labels.seg.nrrd")
    assert answer.err == []
    inside = np.load(probabilities)["probabilities"] > EVEN
    assert (inside.sum(axis=0) > 1).any(), "no voxel of two regions"
    volume = sitk.ReadImage(desk.outputs / "labels.seg.nrrd")
    layers = sitk.GetArrayFromImage(volume).reshape(*image.shape, -1)
    voxels = {entry["key"]: entry["voxels"] for entry in answer.result["volumes"]}
    for segment, name in enumerate(("whole", "core", "inner")):
        layer = int(volume.GetMetaData(f"Segment{segment}_Layer"))
        value = int(volume.GetMetaData(f"Segment{segment}_LabelValue"))
        assert volume.GetMetaData(f"Segment{segment}_ID") == name
        np.testing.assert_array_equal(layers[..., layer] == value, inside[segment])
        assert voxels[name] == np.count_nonzero(inside[segment])


def test_row_32_card_of_many_labels_is_stored(desk, tmp_path):
    """Import, list and show a model of 1,000 labels."""
    model = make_model(tmp_path / "model", classes=1001, patch=TINY_PATCH, features=(2, 2))
    assert desk.run("models", "import", model, "--id", "many").status == 0
    card = json.loads(desk.run("models", "show", "many", "--json").out[0])
    assert [label["value"] for label in card["labels"]] == list(range(1, 1001))
