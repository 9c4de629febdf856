"""Regions asked for one by one, and what travels with a result."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import umamba

MODEL = "nnUNetTrainerUMambaEnc__nnUNetPlans__2d"


@pytest.fixture
def regions(oracle: Path) -> tuple[list[Path], Path]:
    """Two channels and a model of three overlapping regions: whole, core, node."""
    root = oracle / "e2e_802"
    return [root / "input" / f"case_a_000{channel}.nii.gz" for channel in (0, 1)], root / MODEL


def test_an_asked_region_stays_whole(regions: tuple[list[Path], Path]) -> None:
    images, model = regions
    everything = umamba.segment(images, model, device="cpu")
    one = umamba.segment(images, model, device="cpu", labels=["whole"])
    assert [volume.key for volume in everything.volumes()] == ["whole", "core", "node"]
    assert [volume.key for volume in one.volumes()] == ["whole"]
    assert one.volumes()[0] == everything.volumes()[0]
    np.testing.assert_array_equal(one.labels == 1, everything.region(1))
    both = umamba.segment(images, model, device="cpu", labels="whole,node")
    np.testing.assert_array_equal(both.region(3), both.labels == 3)
    assert np.unique(both.labels).tolist() == [0, 1, 3]


def test_layers_of_a_segmentation_are_the_regions(tmp_path: Path, regions: tuple[list[Path], Path]) -> None:
    images, model = regions
    result = umamba.segment(images, model, device="cpu")
    result.write(tmp_path / "out.seg.nrrd")
    layers = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.seg.nrrd")))
    stored = np.moveaxis(layers, -1, 0) if layers.ndim == 4 else layers[None]
    found = sorted(int(np.count_nonzero(layer)) for layer in stored)
    assert found == sorted(volume.voxels for volume in result.volumes())


def test_no_file_name_travels_with_a_result(tmp_path: Path, oracle: Path) -> None:
    """A warning about a patient's file names the channel in the record."""
    root = oracle / "e2e_804"
    image = sitk.ReadImage(str(root / "input" / "case_a_0000.nii.gz"), sitk.sitkFloat32)
    array = sitk.GetArrayFromImage(image)
    array[0, 0, 0] = np.nan
    damaged = sitk.GetImageFromArray(array)
    damaged.CopyInformation(image)
    path = tmp_path / "Doe_John_19700101.nii.gz"
    sitk.WriteImage(damaged, str(path))
    result = umamba.segment(path, root / "nnUNetTrainer__nnUNetPlans__3d_fullres", device="cpu", folds=0)
    assert result.warnings
    assert "Doe" not in json.dumps(result.provenance)
    assert "channel CT" in result.warnings[0]


def test_a_cascade_records_both_models(tmp_path: Path, oracle: Path) -> None:
    root = oracle / "e2e_803"
    copied = tmp_path / "Dataset803"
    shutil.copytree(root, copied, ignore=shutil.ignore_patterns("*.npz", "input", "output", "manifest.json"))
    folder = copied / "nnUNetTrainerUMambaBot__nnUNetPlans__3d_cascade_fullres"
    record = umamba.segment(root / "input" / "case_a_0000.nii.gz", folder, device="cpu").provenance
    assert len(record["previous_stages"]) == 1
    assert record["previous_stages"][0]["files"] != record["model"]["files"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roi": "a"}, "roi"),
        ({"around": [[1, 2], 3, 4]}, "around"),
        ({"max_memory": float("nan")}, "max_memory"),
        ({"step": "wide"}, "step"),
        ({"threads": 100_000}, "threads"),
        ({"folds": 7}, "fold"),
        ({"labels": "liver"}, "labels"),
    ],
)
def test_wrong_values_are_errors_of_the_input(
    regions: tuple[list[Path], Path], options: dict, message: str
) -> None:
    images, model = regions
    with pytest.raises(umamba.InputError, match=message):
        umamba.segment(images, model, device="cpu", **options)
