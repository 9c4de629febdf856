"""The published code's stored runs, through the public functions, from the genuine checkpoints."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import umamba

# One voxel in 2,000 may differ, as the manifests ask.
LABEL_AGREEMENT = 0.9995
FOLDERS = {
    "e2e_801": "nnUNetTrainerUMambaBot__nnUNetPlans__3d_fullres",
    "e2e_802": "nnUNetTrainerUMambaEnc__nnUNetPlans__2d",
    "e2e_804": "nnUNetTrainer__nnUNetPlans__3d_fullres",
}
CASES = {
    "e2e_801": ("case_a", "case_a_mirrored", "case_b"),
    "e2e_802": ("case_a", "case_b", "case_b_mirrored"),
    "e2e_803": ("case_a_lowres", "case_a_cascade"),
    "e2e_804": ("case_a_fold0", "case_a_folds01_mirrored", "case_b_folds01_mirrored"),
}


@dataclass(frozen=True)
class Case:
    """One stored run: what goes in and what came out."""

    entry: dict[str, Any]
    inputs: list[Path]
    model: Path
    arrays: dict[str, np.ndarray]
    label_map: Path

    @property
    def options(self) -> dict[str, Any]:
        return {"folds": self.entry.get("folds", "all"), "mirror": self.entry["mirror"]}


def load(oracle: Path, folder: str, name: str) -> Case:
    root = oracle / folder
    manifest = json.loads((root / "manifest.json").read_text())
    entry = next(case for case in manifest["cases"] if case["name"] == name)
    with np.load(root / entry["file"]) as arrays:
        return Case(
            entry,
            [root / path for path in entry["inputs"]],
            root / (entry.get("results_folder") or FOLDERS[folder]),
            dict(arrays),
            root / entry["label_map"],
        )


@pytest.fixture(params=[(folder, name) for folder, names in CASES.items() for name in names], ids="-".join)
def case(request: pytest.FixtureRequest, oracle: Path) -> Case:
    return load(oracle, *request.param)


def assert_close(found: np.ndarray, stored: np.ndarray, tolerance: dict[str, float]) -> None:
    assert found.shape == stored.shape
    limit = tolerance["atol"] + tolerance["rtol"] * np.abs(stored.astype(np.float64))
    excess = np.abs(found.astype(np.float64) - stored) - limit
    assert excess.max() <= 0, f"{(excess > 0).sum()} values beyond the tolerance, by up to {excess.max():.3g}"


def test_all_stored_cases_are_tested(oracle: Path) -> None:
    for folder, names in CASES.items():
        stored = json.loads((oracle / folder / "manifest.json").read_text())["cases"]
        assert tuple(entry["name"] for entry in stored) == names


def test_labels_equal_the_published_label_map(case: Case) -> None:
    result = umamba.segment(case.inputs, case.model, device="cpu", **case.options)
    stored = case.arrays["segmentation"]
    agreement = np.mean(result.labels == stored)
    assert agreement >= LABEL_AGREEMENT, f"only {agreement:.5f} of the voxels agree"
    assert result.labels.dtype == np.uint8
    published = sitk.ReadImage(str(case.label_map))
    assert result.geometry.spacing == pytest.approx(published.GetSpacing(), rel=1e-6)
    assert result.geometry.size == published.GetSize()


def test_network_input_and_logits(case: Case) -> None:
    tolerance = case.entry["tolerance"]
    previous = None
    if case.entry.get("previous_stage"):
        stored = case.model.parent / case.entry["previous_stage"]
        previous = sitk.GetArrayFromImage(sitk.ReadImage(str(stored)))
    preprocessed = umamba.inference.preprocess(case.inputs, case.model, previous)
    if "preprocessed" in case.arrays:
        channels = len(case.arrays["preprocessed"])
        assert_close(preprocessed.data[:channels], case.arrays["preprocessed"], tolerance["preprocessed"])
    if "previous_stage_resampled" in case.arrays:
        labels = np.maximum(case.arrays["previous_stage_resampled"][0], 0)
        one_hot = preprocessed.data[len(case.arrays["preprocessed"]) :]
        background = one_hot.sum(axis=0, keepdims=True) == 0
        np.testing.assert_array_equal(np.argmax(np.concatenate([background, one_hot]), axis=0), labels)
    logits = umamba.inference.logits(preprocessed, case.model, **case.options)
    assert_close(logits, case.arrays["logits_sliding_fp32acc"], tolerance["logits_sliding_fp32acc"])


@pytest.mark.parametrize(
    ("folder", "name"),
    [("e2e_801", "case_b"), ("e2e_802", "case_b"), ("e2e_804", "case_b_folds01_mirrored")],
)
def test_probabilities_as_published(oracle: Path, folder: str, name: str) -> None:
    """Softmax and sigmoid, uncropped and transposed back."""
    stored = load(oracle, folder, name)
    result = umamba.segment(stored.inputs, stored.model, device="cpu", probabilities=True, **stored.options)
    assert result.probabilities is not None
    limit = stored.entry["tolerance"]["probabilities"]["atol"]
    difference = np.abs(result.probabilities - stored.arrays["probabilities"])
    # Image corners carry half-precision sums in the published code; labels are equal there.
    assert np.mean(difference <= limit) >= LABEL_AGREEMENT
