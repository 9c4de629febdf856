"""Row 30: networks whose numbers overflow, that give NaN, or that cannot decide."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.bad_input.samples import CHECKPOINT, change_json, change_weights, make_model
from image_builders import nifti_bytes

# The largest single-precision number is 3.4e38: twice this overflows.
HUGE = 2e38
BROKEN = "the network's output holds NaN or infinite values"
ADVICE = "the model does not fit this image or its weights are damaged"
LAST = ".seg_layers.0."
SPACING = (1.3, 0.7, 0.9)


@pytest.fixture
def results(desk, mr) -> Path:
    """A results folder whose weights will be changed."""
    folder = desk.inputs / mr.name
    shutil.copytree(mr, folder)
    return folder


def fill(part: str, value: float) -> Any:
    """Set every number of the tensors whose key holds `part`."""

    def change(weights: dict[str, Any]) -> None:
        found = [tensor for key, tensor in weights.items() if part in key]
        assert found
        for tensor in found:
            tensor.fill_(value)

    return change


def last_layer(*biases: float) -> Any:
    """Logits that are these numbers wherever one looks."""

    def change(weights: dict[str, Any]) -> None:
        for key, tensor in weights.items():
            if LAST in key:
                if key.endswith("bias"):
                    tensor.copy_(tensor.new_tensor(biases))
                else:
                    tensor.zero_()

    return change


OVERFLOWS = {
    "logits": fill(LAST + "weight", HUGE),
    "logits of one class": lambda weights: weights["decoder.seg_layers.0.weight"][2].fill_(HUGE),
    "first convolution, so that all is NaN": fill("encoder.stages.0.0.convs.0.conv.weight", HUGE),
    "normalisation": fill("norm.weight", HUGE),
    "minus infinity": fill(LAST + "weight", -HUGE),
}


@pytest.mark.parametrize("case", OVERFLOWS)
@pytest.mark.parametrize("words", [(), ("--mirror",)], ids=["", "mirrored"])
def test_row_30_overflow(desk, results, scan, case, words):
    change_weights(results, OVERFLOWS[case])
    desk.refuses_image(scan, results, BROKEN, ADVICE, *words)


def test_row_30_overflow_of_a_network_of_slices(desk, flat, scan):
    folder = desk.inputs / "flat"
    shutil.copytree(flat, folder)
    change_weights(folder, fill(LAST + "weight", HUGE))
    desk.refuses_image(scan, folder, BROKEN, ADVICE)


def test_row_30_overflow_with_every_side_output(desk, results, scan):
    change_weights(results, OVERFLOWS["logits"])
    sides = {
        "--preview": "a.png",
        "--volumes": "a.csv",
        "--uncertainty": "a.nrrd",
        "--probabilities": "a.npz",
    }
    words = [word for option, name in sides.items() for word in (option, desk.outputs / name)]
    desk.refuses_image(scan, results, BROKEN, ADVICE, *words)


def test_row_30_overflow_of_the_sum_of_two_folds(desk, results, scan):
    """Each fold's logits are finite; only their sum is not."""
    change_weights(results, last_layer(0, 0, HUGE, 0))
    shutil.copytree(results / "fold_0", results / "fold_1")
    desk.refuses_image(scan, results, BROKEN, ADVICE)


def test_row_30_overflow_in_a_mamba_layer(desk, oracle, tmp_path):
    source = oracle / "e2e_801" / "nnUNetTrainerUMambaBot__nnUNetPlans__3d_fullres"
    folder = desk.inputs / source.name
    shutil.copytree(source, folder)
    change_weights(folder, fill("mamba.D", HUGE))
    desk.refuses_image(oracle / "e2e_801" / "input" / "case_a_0000.nii.gz", folder, BROKEN, ADVICE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_row_30_checkpoint_of_a_training_that_broke_down(desk, results, scan, value):
    change_weights(results, fill(LAST + "bias", value))
    (desk.home / "models").mkdir()
    desk.refuses(["models", "import", results], "hold NaN or infinity", "use another checkpoint")
    desk.refuses_image(scan, results, "hold NaN or infinity", "use another checkpoint")


@pytest.mark.parametrize(
    ("biases", "winner"),
    [((0, 0, 0, 0), 0), ((-1, 2, 2, 0), 1), ((0, 0, 3, 3), 2), ((0.1, 0.1, 0.1, 0.1), 0)],
)
@pytest.mark.parametrize("words", [(), ("--mirror",)], ids=["", "mirrored"])
def test_row_30_ties(desk, results, image, biases, winner, words):
    """The lowest label, also where windows overlap and logits are resampled."""
    change_weights(results, last_layer(*biases))
    rows = np.column_stack([np.diag(SPACING), np.zeros(3)]).ravel()
    path = desk.save("scan.nii", nifti_bytes(image, pixdim=SPACING, srows=rows))
    assert set(np.unique(desk.good(path, results, *words))) == {winner}


def test_row_30_ties_of_folds(desk, results, scan):
    """One fold says 1, the other 2, as loud."""
    change_weights(results, last_layer(0, 1, 0, 0))
    shutil.copytree(results / "fold_0", results / "fold_1")
    change_weights(results, last_layer(0, 0, 1, 0))
    assert (results / CHECKPOINT).is_file()
    assert set(np.unique(desk.good(scan, results))) == {1}


def test_row_30_ties_of_regions(desk, tmp_path, scan):
    """A logit of 0 is a probability of one half, which is not above it: no region."""
    model = make_model(tmp_path / "model", classes=3)
    regions = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "inner": 3}
    rules = {"labels": regions, "regions_class_order": [1, 2, 3]}
    change_json(model, "dataset.json", lambda dataset: dataset.update(rules))
    change_weights(model, last_layer(0, 0, 0))
    assert set(np.unique(desk.good(scan, model))) == {0}


def test_row_30_certain_probabilities(desk, results, scan):
    """Logits that the exponential alone would overflow at."""
    change_weights(results, last_layer(0, 1e6, 0, 0))
    sides = ("--probabilities", desk.outputs / "p.npz", "--uncertainty", desk.outputs / "u.nrrd")
    labels = desk.good(scan, results, *sides)
    assert set(np.unique(labels)) == {1}
    probabilities = np.load(desk.outputs / "p.npz")["probabilities"]
    np.testing.assert_array_equal(probabilities[1], 1)
