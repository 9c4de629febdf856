"""The whole loop by command lines: train on real images, package, install, segment, evaluate."""

import json
from pathlib import Path

import pytest

from umamba.cli.main import main

# Twelve hippocampi to learn from, sorted by name; the case behind them is the colleague's.
TRAINING_CASES = 12
LABELS = "anterior,posterior"
# 100 steps of 8 slices take half a minute on one core. The 2D network reaches a Dice of 0.4 to 0.6 on whole
# cases with them; one that has learnt nothing stays below 0.1.
STEPS, EPOCHS = 50, 2
LENGTH = ("--epochs", EPOCHS, "--steps", STEPS, "--batch-size", 8, "--features", "16-128")
LEAST_DICE = 0.25
ID = "hippocampus-in-a-minute"


@pytest.fixture(scope="module")
def images(shared_data, tmp_path_factory) -> Path:
    """A plain folder of images/ and labels/, and new/ with a case that nothing is trained on."""
    source, folder = shared_data / "hippocampus", tmp_path_factory.mktemp("hippocampus")
    names = sorted(path.name for path in (source / "labelsTr").glob("*.nii.gz"))[: TRAINING_CASES + 1]
    for part in ("images", "labels", "new"):
        (folder / part).mkdir()
    for name in names[:TRAINING_CASES]:
        (folder / "images" / name).write_bytes(image(source, name).read_bytes())
        (folder / "labels" / name).write_bytes((source / "labelsTr" / name).read_bytes())
    (folder / "new" / "image.nii.gz").write_bytes(image(source, names[-1]).read_bytes())
    (folder / "new" / "label.nii.gz").write_bytes((source / "labelsTr" / names[-1]).read_bytes())
    return folder


def image(source: Path, label: str) -> Path:
    return source / "imagesTr" / label.replace(".nii.gz", "_0000.nii.gz")


def test_from_images_to_a_measured_segmentation(images, tmp_path, capsys):
    pytest.importorskip("nnunetv2", reason="training needs the extra `train`")

    def umamba(*words) -> list[str]:
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        assert status == 0, captured.err
        return captured.out.splitlines()

    work, file, found = tmp_path / "work", tmp_path / "model.zip", tmp_path / "found.nii.gz"
    how = ("--device", "cpu", "--threads", 1)
    umamba("train", images, "-o", work, "--configuration", "2d", "--labels", LABELS, *LENGTH, *how)
    umamba("package", work, file, "--id", ID, "--licence", "CC-BY-SA-4.0", *how)
    assert umamba("models", "install", file) == [ID]
    umamba("segment", images / "new" / "image.nii.gz", "-o", found, "--model", ID, *how)
    umamba("evaluate", images / "new" / "label.nii.gz", found, "-o", tmp_path / "scores", "--model", ID)

    scores = json.loads((tmp_path / "scores" / "results.json").read_text())
    assert list(scores["mean"]["labels"]) == LABELS.split(",")
    assert scores["mean"]["Dice"] >= LEAST_DICE

    card = json.loads("".join(umamba("models", "show", ID, "--json")))
    assert card["network"]["class"] == "UMambaBot"
    assert card["training"]["steps"] == EPOCHS * STEPS
    assert card["training"]["machine"].startswith("CPU")
    measured = {entry["label"]: entry for entry in card["accuracy"]}
    assert list(measured) == [*LABELS.split(","), "mean of all labels"]
    held_out = measured["mean of all labels"]
    assert held_out["cases"] + card["training"]["cases"] == TRAINING_CASES
    assert held_out["mean"] >= LEAST_DICE
    assert "voxels" in held_out["data"]  # what rounding does was looked at
