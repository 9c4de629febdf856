"""Names and values of labels: from a model, dataset.json, segments, or the values alone."""

import json

import numpy as np
import pytest

from umamba import models
from umamba.errors import InputError, ModelError
from umamba.evaluation.api import evaluate
from umamba.evaluation.labels import Label, translation
from umamba.evaluation.segment_names import NamedSegment, read_segments
from umamba.imaging.image import Geometry, Image
from umamba.imaging.segments import PlainSegment
from umamba.imaging.segnrrd import write_segmentation

LABELS = {"background": 0, "liver": 1, "spleen": 2}


@pytest.fixture
def blocks():
    """A reference with the values 1 and 2, and a prediction that is right about 1 alone."""
    reference = np.zeros((4, 6, 8), np.uint8)
    reference[1:3, 1:4, 1:3] = 1
    reference[1:3, 1:4, 5:7] = 2
    return reference, np.where(reference == 1, 1, 0).astype(np.uint8)


def write_segments(path, values, names):
    """A .seg.nrrd in which `names` are called by value."""
    geometry = Geometry(values.shape[::-1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    segments = [PlainSegment(value, name.lower(), name, (9, 9, 9)) for value, name in names.items()]
    write_segmentation(path, values, Image(values, geometry), segments, {})


def test_without_names_every_value_is_a_label(desk, blocks):
    desk.put("a.nii.gz", *blocks)
    done = evaluate(desk.reference, desk.prediction)
    assert {name: facts["values"] for name, facts in done.labels.items()} == {"1": [1], "2": [2]}
    assert done.mean["labels"]["1"]["Dice"] == 1
    assert done.mean["labels"]["2"]["Dice"] == 0


@pytest.mark.parametrize("where", ["reference", "above", "prediction"])
def test_names_of_a_dataset(desk, blocks, where):
    folders = {
        "reference": desk.reference,
        "above": desk.reference.parent,
        "prediction": desk.prediction,
    }
    (folders[where] / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    desk.put("a.nii.gz", *blocks)
    done = evaluate(desk.reference, desk.prediction)
    assert list(done.labels) == ["liver", "spleen"]
    assert done.as_dict()["names_from"] == f"dataset.json in {folders[where].name}"


def test_regions_are_unions_and_ignored_voxels_do_not_count(desk, blocks):
    labels = {"background": 0, "organ": [1, 2], "tumour": 2, "ignore": 3}
    (desk.reference / "dataset.json").write_text(
        json.dumps({"labels": labels, "regions_class_order": [1, 2]})
    )
    reference, prediction = blocks
    prediction[0] = 2  # wrong, but where nobody has looked
    reference[0] = 3
    desk.put("a.nii.gz", reference, prediction)
    (case,) = evaluate(desk.reference, desk.prediction).cases
    voxels = reference[1:].size
    assert case.rows["organ"]["reference_voxels"] == 24
    assert case.rows["organ"]["Dice"] == 2 * 12 / (24 + 12)
    assert case.rows["tumour"]["accuracy"] == (voxels - 12) / voxels


def test_another_dataset_json_is_passed_over_with_a_warning(desk, blocks):
    (desk.reference / "dataset.json").write_text('{"labels": {"0": "background", "1": "liver"}}')
    desk.put("a.nii.gz", *blocks)
    done = evaluate(desk.reference, desk.prediction)
    assert list(done.labels) == ["1", "2"]
    assert "no names were taken from dataset.json" in done.warnings[0]


def test_labels_of_a_model(desk, blocks):
    desk.put("a.nii.gz", *blocks)
    for model in models.list():
        done = evaluate(desk.reference, desk.prediction, model=model.id)
        assert list(done.labels) == [label.key for label in model.card.labels]
    with pytest.raises(ModelError, match="no-such-model"):
        evaluate(desk.reference, desk.prediction, model="no-such-model")


def test_a_value_that_no_label_has_is_told(desk, blocks):
    (desk.reference / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    reference, prediction = blocks
    prediction[3, 0, 0] = 7
    desk.put("a.nii.gz", reference, prediction)
    (warning,) = [line for line in evaluate(desk.reference, desk.prediction).warnings if "value 7" in line]
    assert warning.startswith("case a: value 7 was not scored, for no label has it (dataset.json")


def test_segments_are_matched_by_name_not_by_value(desk, blocks):
    reference, _ = blocks
    swapped = np.array([0, 9, 4], np.uint8)[reference]
    write_segments(desk.reference / "a.seg.nrrd", reference, {1: "Liver", 2: "Spleen"})
    write_segments(desk.prediction / "a.seg.nrrd", swapped, {9: "liver", 4: "spleen"})
    write_segments(desk.reference / "b.seg.nrrd", swapped, {9: "Liver", 4: "Spleen"})
    write_segments(desk.prediction / "b.seg.nrrd", reference, {1: "Liver", 2: "Spleen"})
    done = evaluate(desk.reference, desk.prediction)
    assert list(done.labels) == ["Liver", "Spleen"]
    assert done.mean["Dice"] == 1
    assert done.warnings == ()


def test_a_segment_of_another_name_with_a_labels_value_is_refused(desk, blocks):
    reference, _ = blocks
    write_segments(desk.reference / "a.seg.nrrd", reference, {1: "Liver", 2: "Spleen"})
    write_segments(desk.prediction / "a.seg.nrrd", reference, {1: "Liver", 2: "Kidney"})
    with pytest.raises(InputError, match="case a: segment 'Kidney' has the value of label 'Spleen'"):
        evaluate(desk.reference, desk.prediction)


def test_segments_whose_names_say_nothing_keep_their_values():
    labels = [Label("liver", (1,)), Label("spleen", (2,))]
    segments = [NamedSegment(1, "Segment_1"), NamedSegment(2, "Label 2"), NamedSegment(7, "cyst")]
    assert translation(segments, labels) == {1: 1, 2: 2, 7: 7}


def test_the_key_of_our_own_files_is_a_name_too():
    assert translation([NamedSegment(5, "Left liver lobe", "liver")], [Label("liver", (1,))]) == {5: 1}


def test_segments_of_a_file(tmp_path):
    write_segments(tmp_path / "a.seg.nrrd", np.zeros((1, 2, 3), np.uint8), {3: "Größe, mm", 1: "b"})
    assert read_segments(tmp_path / "a.seg.nrrd") == [
        NamedSegment(3, "Größe, mm", "größe, mm"),
        NamedSegment(1, "b", "b"),
    ]
    (tmp_path / "broken.seg.nrrd").write_text("NRRD0004\nSegment0_LabelValue:=one\n\n")
    with pytest.raises(InputError, match="segment 0 has the value 'one'"):
        read_segments(tmp_path / "broken.seg.nrrd")
