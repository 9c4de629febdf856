"""Published datasets become nnU-Net's: every voxel, the names of the classes, who is trained on."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from published_datasets import (
    CT_SIZE,
    FRAME_SPACING,
    SYNAPSE_VALUES,
    acdc_arrays,
    acdc_challenge,
    both_phases,
    frames_of,
    labels,
    synapse,
    voxels,
    write_list,
)
from umamba.training.convert.dataset import Conversion, convert
from umamba.training.dataset.check import check_dataset
from umamba.training.dataset.raw import open_dataset
from umamba.training.dataset.splits import make_splits


def _names(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in folder.iterdir())


def _json(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _image(made: Conversion, name: str, part: str = "Tr") -> sitk.Image:
    return sitk.ReadImage(made.folder / f"images{part}" / f"{name}_0000.nii.gz")


def _label(made: Conversion, name: str, part: str = "Tr") -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(made.folder / f"labels{part}" / f"{name}.nii.gz"))


def _assert_trainable(made: Conversion) -> None:
    """Without a fault, and without a label that no case has."""
    raw = open_dataset(made.folder)
    assert len(raw.cases) == made.training + made.validation
    assert check_dataset(raw) == ()


def _same_arrays(made: Conversion, name: str, part: str = "Tr", shape=None, values: int = 4) -> None:
    options = {} if shape is None else {"shape": shape}
    image = sitk.GetArrayFromImage(_image(made, name, part))
    assert image.dtype == np.float32
    assert np.array_equal(image, voxels(name, **options))
    assert np.array_equal(_label(made, name, part), labels(name, **options, values=values))


# ACDC as arrays


def test_acdc_arrays_become_volumes_with_their_published_parts(tmp_path: Path) -> None:
    made = convert("acdc-h5", acdc_arrays(tmp_path / "ACDC"), tmp_path / "raw")
    assert made.folder == tmp_path / "raw" / "Dataset502_ACDCh5"
    assert (made.training, made.validation, made.test) == (4, 2, 2)
    assert _names(made.folder / "labelsTr") == both_phases((2, 3, 4))
    assert _names(made.folder / "labelsTs") == both_phases((1,))
    for name in both_phases((2, 3, 4)):
        _same_arrays(made, name)
    for name in both_phases((1,)):
        _same_arrays(made, name, "Ts")
    description = _json(made.folder, "dataset.json")
    assert description["labels"] == {
        "background": 0,
        "right ventricle": 1,
        "myocardium": 2,
        "left ventricle": 3,
    }
    assert description["channel_names"] == {"0": "MRI"}
    split = _json(made.folder, "splits_final.json")
    assert split == [{"train": both_phases((3, 4)), "val": both_phases((2,))}]
    assert make_splits(open_dataset(made.folder)) == split
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["Dataset502_ACDCh5"]
    _assert_trainable(made)


def test_voxels_without_a_size_get_the_one_of_the_test_script_and_it_is_told(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    made = convert("acdc-h5", source, tmp_path / "raw")
    assert _image(made, "patient003_frame01").GetSpacing() == (1, 1, 10)
    assert len(made.notes) == 1
    assert "1 x 1 x 10 mm" in made.notes[0]
    chosen = convert("acdc-h5", source, tmp_path / "raw", name="Dataset700_Hearts", spacing=(1.5, 1.25, 8))
    assert chosen.folder.name == "Dataset700_Hearts"
    assert _image(chosen, "patient003_frame01").GetSpacing() == (1.5, 1.25, 8)
    assert chosen.notes == ()


def test_slices_are_put_together_where_there_is_no_volume(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    for name in both_phases((3, 4)):
        (source / "data" / f"{name}.h5").unlink()
    (source / "train.list").unlink()
    made = convert("acdc-h5", source, tmp_path / "raw")
    assert made.training == 4
    for name in both_phases((3, 4)):
        _same_arrays(made, name)
    _assert_trainable(made)


def test_slices_are_sorted_by_number_and_not_by_letter(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    folder, name = source / "data" / "slices", "patient003_frame01"
    (source / "data" / f"{name}.h5").unlink()
    for z in (0, 1, 2):  # 9, 10, 11, which the alphabet has as 10, 11, 9
        (folder / f"{name}_slice_{z + 1}.h5").rename(folder / f"{name}_slice_{z + 9}.h5")
    (source / "train_slices.list").unlink()
    _same_arrays(convert("acdc-h5", source, tmp_path / "raw"), name)


def test_slices_with_a_gap_are_cases_of_their_own_and_stay_together(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    name = "patient003_frame01"
    for path in (source / "data" / f"{name}.h5", source / "data" / "slices" / f"{name}_slice_2.h5"):
        path.unlink()
    for path in source.glob("*.list"):
        path.unlink()
    made = convert("acdc-h5", source, tmp_path / "raw")
    alone = [f"{name}_slice_1", f"{name}_slice_3"]
    assert sorted(set(_names(made.folder / "labelsTr")) - set(both_phases((1, 2, 3, 4)))) == alone
    assert np.array_equal(_label(made, alone[1])[0], labels(name)[2])
    assert any(name in note and "2 is a case" in note for note in made.notes)
    groups = _json(made.folder, "groups.json")
    assert {groups[case] for case in (*alone, "patient003_frame02")} == {"patient003"}
    assert len(groups) == made.training == 9
    _assert_trainable(made)


def test_patients_stay_together_in_folds_that_are_drawn(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC", train=(2, 3, 4, 5, 6))
    (source / "val.list").unlink()
    made = convert("acdc-h5", source, tmp_path / "raw")
    assert not (made.folder / "splits_final.json").exists()
    assert (made.training, made.validation, made.test) == (10, 0, 2)
    folds = make_splits(open_dataset(made.folder))
    assert len(folds) == 5
    for fold in folds:
        train, held = ({name.split("_")[0] for name in fold[part]} for part in ("train", "val"))
        assert held
        assert not train & held


def test_cases_outside_the_lists_are_left_out_and_it_is_told(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC", train=(3, 4, 5))
    for file in ("train.list", "train_slices.list"):
        lines = (source / file).read_text(encoding="utf-8").splitlines()
        write_list(source / file, [line for line in lines if not line.startswith("patient005")])
    made = convert("acdc-h5", source, tmp_path / "raw")
    assert "2 cases are in no list and were left out: patient005_frame01, patient005_frame02" in made.notes
    assert made.training == 4


def test_lists_may_lie_elsewhere_and_have_ends_of_lines_of_windows(tmp_path: Path) -> None:
    source = acdc_arrays(tmp_path / "ACDC")
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    for path in source.glob("*.list"):
        content = path.read_bytes().replace(b"\n", b"\r\n")
        path.unlink()
        if path.name != "test.list":
            (elsewhere / path.name).write_bytes(content)
    made = convert("acdc-h5", source, tmp_path / "raw", lists=elsewhere)
    assert (made.training, made.validation, made.test) == (4, 2, 0)
    assert not (made.folder / "imagesTs").exists()


# Synapse


def test_synapse_slices_become_volumes_and_its_volumes_the_test_cases(tmp_path: Path) -> None:
    made = convert("synapse", synapse(tmp_path / "Synapse"), tmp_path / "raw")
    assert made.folder.name == "Dataset503_Synapse"
    assert (made.training, made.validation, made.test) == (2, 0, 1)
    for name, part in (("case0005", "Tr"), ("case0006", "Tr"), ("case0001", "Ts")):
        _same_arrays(made, name, part, CT_SIZE, SYNAPSE_VALUES)
    description = _json(made.folder, "dataset.json")
    # By TransUNet's numbers; BTCV's own are others.
    assert list(description["labels"].items())[1:] == [
        ("aorta", 1),
        ("gallbladder", 2),
        ("left kidney", 3),
        ("right kidney", 4),
        ("liver", 5),
        ("pancreas", 6),
        ("spleen", 7),
        ("stomach", 8),
    ]
    assert description["channel_names"] == {"0": "CT"}
    assert _image(made, "case0005").GetSpacing() == (1, 1, 1)
    assert not (made.folder / "splits_final.json").exists()
    assert not (made.folder / "groups.json").exists()
    _assert_trainable(made)


def test_synapse_without_lists_is_split_by_its_folders(tmp_path: Path) -> None:
    source = synapse(tmp_path / "Synapse")
    shutil.rmtree(source / "lists")
    made = convert("synapse", source, tmp_path / "raw")
    assert (_names(made.folder / "labelsTr"), _names(made.folder / "labelsTs")) == (
        ["case0005", "case0006"],
        ["case0001"],
    )
    assert any(note.startswith("there are no lists") for note in made.notes)


def test_synapse_with_the_lists_of_mamba_unet_validates_on_the_volumes(tmp_path: Path) -> None:
    source = synapse(tmp_path / "Synapse")
    lists = source / "lists" / "lists_Synapse"
    (lists / "train.txt").rename(source / "train_slices.txt")
    (lists / "test_vol.txt").rename(source / "val.txt")
    made = convert("synapse", source, tmp_path / "raw")
    assert _json(made.folder, "splits_final.json") == [
        {"train": ["case0005", "case0006"], "val": ["case0001"]}
    ]
    assert (made.training, made.validation, made.test) == (2, 1, 0)


# ACDC of the challenge


def _challenge_names(*patients: int) -> list[str]:
    return [f"patient{patient:03d}_frame{frame:02d}" for patient in patients for frame in frames_of(patient)]


def test_the_challenge_keeps_its_bytes_and_its_patients_together(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database")
    made = convert("acdc", source, tmp_path / "raw")
    assert made.folder.name == "Dataset501_ACDC"
    assert (made.training, made.validation, made.test) == (6, 0, 2)
    assert made.notes == ()
    assert _names(made.folder / "labelsTr") == _challenge_names(1, 2, 3)
    assert _names(made.folder / "labelsTs") == _challenge_names(101)
    for name in _challenge_names(1, 2, 3):
        published = source / "training" / name.split("_")[0]
        image = made.folder / "imagesTr" / f"{name}_0000.nii.gz"
        assert image.read_bytes() == (published / f"{name}.nii.gz").read_bytes()
        label = made.folder / "labelsTr" / f"{name}.nii.gz"
        assert label.read_bytes() == (published / f"{name}_gt.nii.gz").read_bytes()
    assert _json(made.folder, "groups.json")["patient002_frame10"] == "patient002"
    assert _json(made.folder, "dataset.json")["labels"]["left ventricle"] == 3
    _assert_trainable(made)


def test_unpacked_files_are_packed_without_a_change(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database")
    expected = {}
    for path in sorted((source / "training").rglob("*frame*.nii.gz")):
        image = sitk.ReadImage(path)
        expected[path.name] = sitk.GetArrayFromImage(image)
        sitk.WriteImage(image, path.with_suffix(""))
        path.unlink()
    made = convert("acdc", tmp_path, tmp_path / "raw")  # the folder above database/ does as well
    for name in _challenge_names(1, 2, 3):
        image = _image(made, name)
        assert np.array_equal(sitk.GetArrayFromImage(image), expected[f"{name}.nii.gz"])
        assert image.GetSpacing() == pytest.approx(FRAME_SPACING)
    _assert_trainable(made)


def test_the_patients_folders_alone_and_unlabelled_test_frames_do(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database")
    for path in (source / "testing").rglob("*_gt.nii.gz"):
        path.unlink()
    made = convert("acdc", source, tmp_path / "raw")
    assert _names(made.folder / "imagesTs") == [f"{name}_0000" for name in _challenge_names(101)]
    assert not (made.folder / "labelsTs").exists()
    alone = convert("acdc", source / "training", tmp_path / "alone")
    assert (alone.training, alone.test) == (6, 0)


def test_the_lists_of_2d_papers_split_the_challenge_by_patient(tmp_path: Path) -> None:
    source = acdc_challenge(tmp_path / "database", train=(1, 2, 3, 4))
    arrays = acdc_arrays(tmp_path / "ACDC")  # its second frame is frame02 for everybody
    made = convert("acdc", source, tmp_path / "raw", lists=arrays)
    assert _json(made.folder, "splits_final.json") == [
        {"train": _challenge_names(3, 4), "val": _challenge_names(2)}
    ]
    assert _names(made.folder / "labelsTs") == _challenge_names(1, 101)


# cancel


def test_a_cancelled_conversion_leaves_nothing(tmp_path: Path) -> None:
    from umamba import Cancelled
    from umamba.events import Monitor, Progress

    seen: list[Progress] = []
    monitor = Monitor(seen.append, lambda: len(seen) > 3)
    with pytest.raises(Cancelled):
        convert("acdc-h5", acdc_arrays(tmp_path / "ACDC"), tmp_path / "raw", monitor=monitor)
    assert [(step.stage, step.done, step.total) for step in seen] == [("convert", n, 8) for n in range(4)]
    assert not (tmp_path / "raw").exists()
