"""The demo, from the bundled template and model to the files that a newcomer opens."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("left-anterior", "left-posterior", "right-anterior", "right-posterior")

# One hippocampus of an adult has about 2 to 4.5 ml, and the template is an average of adults.
PLAUSIBLE_ML = (1.5, 5.0)
# The template's halves are mirror images, so only the network's own left-right difference is left.
LARGEST_SIDE_DIFFERENCE = 0.15
# Half the width of the crop around each point: the labels' middle must lie well inside it.
NEAR_MM = 10.0
POINTS_MM = {"left": (28, 20, -14), "right": (-28, 20, -14)}  # LPS


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, str(ROOT / "demo" / "run_demo.py"), str(folder / "new" / "output")]
    environment = os.environ | {"UMAMBA_HOME": str(folder / "home"), "UMAMBA_OFFLINE": "1"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    for name in ("hippocampi.nii.gz", "hippocampi.seg.nrrd", "hippocampi.png", "volumes.csv"):
        assert str(folder / "new" / "output" / name) in run.stdout
    return folder / "new" / "output"


def _rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "volumes.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def test_both_sides_have_the_volume_of_a_hippocampus(output: Path) -> None:
    rows = _rows(output)
    assert tuple(rows) == LABELS
    sides = {
        side: sum(float(row["ml"]) for key, row in rows.items() if key.startswith(side))
        for side in ("left", "right")
    }
    assert all(PLAUSIBLE_ML[0] < volume < PLAUSIBLE_ML[1] for volume in sides.values()), sides
    assert abs(sides["left"] - sides["right"]) < LARGEST_SIDE_DIFFERENCE * max(sides.values()), sides


def test_labels_lie_on_their_own_side_and_anterior_before_posterior(output: Path) -> None:
    image = sitk.ReadImage(str(output / "hippocampi.nii.gz"))
    template = sitk.ReadImage(str(ROOT / "Resources/SampleData/MNI152_T1_1mm/MNI152_T1_1mm.nii.gz"))
    assert image.GetSize() == template.GetSize()
    assert image.GetOrigin() == template.GetOrigin()
    voxels = sitk.GetArrayFromImage(image)
    middles = {}
    for value, key in enumerate(LABELS, start=1):
        index = np.argwhere(voxels == value).mean(axis=0)[::-1]
        middles[key] = np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    for side, point in POINTS_MM.items():
        anterior, posterior = middles[f"{side}-anterior"], middles[f"{side}-posterior"]
        assert np.linalg.norm((anterior + posterior) / 2 - point) < NEAR_MM
        assert anterior[1] < posterior[1]  # LPS: y grows towards the back


def test_segmentation_names_sides_in_words_and_codes(output: Path) -> None:
    header = sitk.ReadImage(str(output / "hippocampi.seg.nrrd"))
    fields = {key: header.GetMetaData(key) for key in header.GetMetaDataKeys()}
    names = [value for key, value in fields.items() if key.endswith("_Name")]
    assert sorted(names) == [
        "Left anterior hippocampus",
        "Left posterior hippocampus",
        "Right anterior hippocampus",
        "Right posterior hippocampus",
    ]
    codes = json.dumps(fields)
    assert "7771000" in codes
    assert "24028007" in codes
