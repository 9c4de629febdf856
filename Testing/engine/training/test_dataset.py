"""Opening a dataset: both layouts, names of labels and channels, one line for each that cannot be used."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_builders import (
    DESCRIPTION,
    LABELS,
    image_voxels,
    label_voxels,
    nnunet_dataset,
    picture_folder,
    write_description,
    write_picture,
    write_volume,
)
from umamba import InputError
from umamba.training.dataset.raw import RawDataset, dataset_name, open_dataset

NAMES = ("a", "b", "c")


def _refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(folder, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def _labels(raw: RawDataset) -> dict[str, Any]:
    return raw.description["labels"]


# nnU-Net's layout


def test_a_dataset_of_nnunet_is_read_from_its_folders(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "Dataset007_Two", NAMES, channels=2, licence="CC0-1.0")
    (folder / "imagesTr" / "._a_0000.nii.gz").write_bytes(b"left by a file browser")
    raw = open_dataset(folder)
    assert raw.name == "Dataset007_Two"
    assert [case.name for case in raw.cases] == list(NAMES)
    assert [path.name for path in raw.cases[1].images] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    assert raw.cases[1].label == folder / "labelsTr" / "b.nii.gz"
    assert raw.channel_count == 2
    assert raw.description["licence"] == "CC0-1.0"
    assert "numTraining" not in raw.description


def test_a_dataset_of_nnunet_may_list_its_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = nnunet_dataset(tmp_path / "Dataset007_Listed", NAMES)
    monkeypatch.setenv("ELSEWHERE", str(folder / "labelsTr"))
    entries = {n: {"images": [f"imagesTr/{n}_0000.nii.gz"], "label": f"$ELSEWHERE/{n}.nii.gz"} for n in "ab"}
    write_description(folder, {**DESCRIPTION, "numTraining": 2, "dataset": entries})
    raw = open_dataset(folder)
    assert [case.name for case in raw.cases] == ["a", "b"]
    assert raw.cases[0].label == folder / "labelsTr" / "a.nii.gz"
    assert "dataset" not in raw.description


def test_regions_and_an_ignored_label_are_kept(tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": 1, "ignore": 3}
    folder = nnunet_dataset(tmp_path / "regions", NAMES, labels=labels, regions_class_order=[2, 1])
    description = open_dataset(folder).description
    assert description["labels"] == labels
    assert description["regions_class_order"] == [2, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": None}, ("dataset.json: labels missing",)),
        ({"channel_names": None}, ("channel_names missing",)),
        ({"file_ending": None}, ("file_ending missing",)),
        ({"numTraining": None}, ("numTraining missing",)),
        ({"numTraining": 5}, ("numTraining is 5, 3 cases were found",)),
        ({"labels": {"background": 1, "core": 2}}, ("'background' with value 0",)),
        ({"labels": {"core": 1}}, ("'background' with value 0",)),
        ({"labels": {"background": 0}}, ("no label besides the background",)),
        ({"labels": {"background": 0, "core": 2}}, ("without a gap, and 1 is missing", "renumber")),
        ({"labels": {"background": 0, "core": "1"}}, ("label 'core'", "an integer")),
        ({"labels": {"background": 0, "core": 1, "ignore": 5}}, ("ignore label is 5",)),
        ({"labels": {"background": 0, "whole": [1, 2]}}, ("regions_class_order",)),
        ({"file_ending": ".dcm"}, ("'.dcm' cannot be trained on; .nii, .nii.gz",)),
        ({"file_ending": ".nrrd"}, ("holds no case",)),
    ],
)
def test_a_wrong_description_is_refused(
    tmp_path: Path, change: dict[str, Any], said: tuple[str, ...]
) -> None:
    line = _refusal(nnunet_dataset(tmp_path / "wrong", NAMES, **change))
    assert all(part in line for part in said), line


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"labels": NaN}', '{"labels": {}, "labels": {}}', "{" * 100_000]
)
def test_a_description_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    folder = nnunet_dataset(tmp_path / "broken", NAMES)
    write_description(folder, text)
    assert "dataset.json" in _refusal(folder)


def test_a_list_of_one_value_is_the_value(tmp_path: Path) -> None:
    labels = {"background": [0], "core": [1], "whole": [1, 2]}
    folder = nnunet_dataset(tmp_path / "Dataset007_Lists", NAMES, labels=labels, regions_class_order=[1, 2])
    assert _labels(open_dataset(folder)) == {"background": 0, "core": 1, "whole": [1, 2]}


@pytest.mark.parametrize("sign", ["\n", "\x1b", "\u2028"])
def test_names_that_would_break_a_line_are_refused(tmp_path: Path, sign: str) -> None:
    folder = nnunet_dataset(tmp_path / "Dataset007_Lines", NAMES)
    for change in ({"labels": {**LABELS, f"co{sign}re": 1}}, {"channel_names": {"0": f"M{sign}R"}}):
        write_description(folder, {**DESCRIPTION, "numTraining": 3, **change})
        assert "holds a line break or another control character; rename it" in _refusal(folder)


def test_missing_files_of_cases_are_named_and_counted(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "missing", [f"case{n}" for n in range(8)], channels=2)
    (folder / "labelsTr" / "case2.nii.gz").unlink()
    line = _refusal(folder)
    assert line.startswith("case case2: it has an image and no label")
    (folder / "imagesTr" / "case5_0001.nii.gz").unlink()
    assert "(1 more case has a fault: case5)" in _refusal(folder)
    for n in (3, 4, 6, 7):
        (folder / "labelsTr" / f"case{n}.nii.gz").unlink()
    assert "(5 more cases have faults: case3, case4, case5, case6 and 1 more)" in _refusal(folder)


def test_a_label_without_image_and_a_channel_too_few_or_many(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "channels", NAMES, channels=2)
    first = folder / "imagesTr" / "b_0000.nii.gz"
    kept = first.read_bytes()
    first.unlink()
    assert "case b: channel 0000 of 2 is missing" in _refusal(folder)
    (folder / "imagesTr" / "b_0001.nii.gz").unlink()
    assert "case b: it has a label and no image" in _refusal(folder)
    for channel in range(3):
        (folder / "imagesTr" / f"b_{channel:04d}.nii.gz").write_bytes(kept)
    assert "case b: there is a channel 0002, 2 are wanted" in _refusal(folder)


def test_an_image_without_a_channel_number_is_refused(tmp_path: Path) -> None:
    folder = nnunet_dataset(tmp_path / "numbers", NAMES)
    (folder / "imagesTr" / "b_0000.nii.gz").rename(folder / "imagesTr" / "b.nii.gz")
    assert "b.nii.gz: images of nnU-Net end in their channel's number" in _refusal(folder)


@pytest.mark.parametrize("names", [(), ("only",)])
def test_no_case_and_one_case_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "few" / "imagesTr").mkdir(parents=True)
    (tmp_path / "few" / "labelsTr").mkdir()
    line = _refusal(nnunet_dataset(tmp_path / "few", names))
    assert ("holds one case (only)" if names else "holds no case") in line


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "", "liver_seg", "a\nb"])
def test_names_that_cannot_be_files_of_nnunet_are_refused(tmp_path: Path, name: str) -> None:
    folder = nnunet_dataset(tmp_path / "names", NAMES)
    entry = {"images": ["imagesTr/a_0000.nii.gz"], "label": "labelsTr/a.nii.gz"}
    write_description(folder, {**DESCRIPTION, "numTraining": 2, "dataset": {"a": entry, name: entry}})
    assert "rename" in _refusal(folder)


# plain folders


def test_pictures_become_three_channels_and_found_values_labels(tmp_path: Path) -> None:
    raw = open_dataset(picture_folder(tmp_path / "Zellen über 40", NAMES))
    assert raw.name == "Dataset501_Zellen_uber_40"
    assert raw.description == {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "label_1": 1, "label_2": 2},
        "file_ending": ".png",
    }
    assert [path.name for path in raw.cases[0].images] == ["a.png"]


def test_numbers_at_the_end_of_a_name_are_channels_only_where_labels_lack_them(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "frames", ("frame_0001", "frame_0002"), colours=1)
    assert [case.name for case in open_dataset(folder).cases] == ["frame_0001", "frame_0002"]

    volumes = tmp_path / "volumes"
    for seed, name in enumerate(NAMES):
        labels = label_voxels(seed)
        write_volume(volumes / "labels" / f"{name}.nrrd", labels)
        for channel in range(2):
            write_volume(volumes / "images" / f"{name}_{channel:04d}.mha", image_voxels(labels, seed))
    raw = open_dataset(volumes, channels=("T1", "T2"))
    assert [case.name for case in raw.cases] == list(NAMES)
    assert raw.description["channel_names"] == {"0": "T1", "1": "T2"}
    assert raw.description["file_ending"] == ".mha"
    (volumes / "images" / "a_0001.mha").unlink()
    assert "case a: channel 0001 of 2 is missing" in _refusal(volumes)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.json", '{"core": 1, "rim": 2}'),
        ("labels.json", '{"1": "core", "2": "rim"}'),
        ("labels.json", '{"0": "background", "1": "core", "2": "rim"}'),
        ("labels.csv", "value,name,colour\n1,core,red\n2,rim,blue\n"),
        ("labels.csv", "\ufeffname, value\nbackground, 0\ncore, 1\nrim, 2\n"),
        ("dataset.json", json.dumps({"labels": LABELS, "numTraining": 9})),
    ],
)
def test_labels_are_named_by_a_file_in_the_folder(tmp_path: Path, file: str, text: str) -> None:
    folder = picture_folder(tmp_path / "named", NAMES)
    (folder / file).write_text(text, encoding="utf-8")
    assert _labels(open_dataset(folder)) == LABELS
    given = _labels(open_dataset(folder, labels={"one": 1, "two": 2}))
    assert given == {"background": 0, "one": 1, "two": 2}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("labels.json", '{"core": "one"}', '{"liver": 1} or {"1": "liver"} is wanted'),
        ("labels.json", '{"1": "core", "2": "core"}', "a name stands twice"),
        ("labels.json", '{"core": 1, "rim": 1}', "value 1 has two names"),
        ("labels.json", '{"air": 0, "core": 1}', "0 is called 'air'"),
        ("labels.json", '{"core": 1.5}', "label 'core'"),
        ("labels.json", '{"core": 3}', "1 is missing"),
        ("labels.csv", "core;1\n", "columns `value` and `name`"),
        ("labels.csv", "name,value\ncore,one\n", "columns `value` and `name`"),
        ("labels.csv", "name,value\n", "columns `value` and `name`"),
        ("labels.csv", "name,value\ncore,1\ncore,2\n", "'core' stands twice"),
    ],
)
def test_a_file_of_names_that_cannot_be_used_is_refused(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    folder = picture_folder(tmp_path / "unnamed", NAMES)
    (folder / file).write_text(text, encoding="utf-8")
    line = _refusal(folder)
    assert line.startswith(file)
    assert said in line


def test_found_values_with_a_gap_are_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "masks", NAMES)
    for path in (folder / "labels").iterdir():
        write_picture(path, np.where(np.arange(480).reshape(24, 20) < 99, 255, 0).astype(np.uint8))
    line = _refusal(folder)
    assert "the values 0, 255 were found" in line
    assert "255 becomes 1" in line


def test_empty_label_maps_are_refused(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "empty", NAMES)
    for path in (folder / "labels").iterdir():
        write_picture(path, np.zeros((24, 20), np.uint8))
    assert "nothing to learn" in _refusal(folder)


def test_formats_that_nnunet_cannot_read_together_are_refused(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "mixed", NAMES)
    write_volume(folder / "labels" / "a.nii.gz", label_voxels(0))
    (folder / "labels" / "a.png").unlink()
    assert "labels: holds .nii.gz and .png files" in _refusal(folder)
    for name in "bc":
        (folder / "labels" / f"{name}.png").unlink()
    assert "save the labels as .png too" in _refusal(folder)
    shutil.rmtree(folder / "images")
    (folder / "images").mkdir()
    (folder / "images" / "slice.dcm").write_bytes(b"DICM")
    line = _refusal(folder)
    assert "images: holds no image" in line
    assert "convert DICOM" in line


def test_one_case_in_two_formats_is_refused(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "twice", NAMES)
    write_picture(folder / "images" / "b.tif", np.zeros((24, 20), np.uint8))
    assert "b.png and b.tif are one case" in _refusal(folder)


def test_channels_that_the_images_do_not_have_are_refused(tmp_path: Path) -> None:
    line = _refusal(picture_folder(tmp_path / "grey", NAMES, colours=1), channels=("R", "G", "B"))
    assert "3 channels are named (R, G, B), the images have 1" in line


# neither


@pytest.mark.parametrize("names", [[1], ["MR"], "MR"])
def test_channel_names_of_another_form_are_refused(tmp_path: Path, names: Any) -> None:
    folder = picture_folder(tmp_path / "cells", NAMES)
    (folder / "dataset.json").write_text(json.dumps({"channel_names": names}))
    assert 'dataset.json: channel_names: {"0": "CT"} is wanted' in _refusal(folder)


def test_what_is_no_dataset_is_told_what_is_wanted(tmp_path: Path) -> None:
    assert "is no dataset; wanted are images/ and labels/" in _refusal(tmp_path)
    assert "it does not exist" in _refusal(tmp_path / "nowhere")
    (tmp_path / "dataset.json").write_text("{}", encoding="utf-8")
    assert "give the folder of the dataset" in _refusal(tmp_path / "dataset.json")
    folder = nnunet_dataset(tmp_path / "own", NAMES)
    assert "change them there" in _refusal(folder, labels={"core": 1})
    (folder / "dataset.json").unlink()
    assert "has imagesTr but no dataset.json" in _refusal(folder)


def test_names_of_folders_become_names_of_nnunet() -> None:
    assert dataset_name(Path("/data/Dataset042_Left-Atrium.v2")) == "Dataset042_Left-Atrium.v2"
    assert dataset_name(Path("/data/my scans (2024)")) == "Dataset501_my_scans_2024"
    assert dataset_name(Path("/data/Dataset42_Short")) == "Dataset501_Dataset42_Short"
    assert dataset_name(Path("/data/データ")) == "Dataset501_Images"
