"""Row 21: names and folders that trip programs up."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Picture

from engine.bad_input.desk import check_refusal, contents, labels_of
from image_builders import nifti_bytes, plain_series, save_series

NAMES = (
    "with spaces",
    "Schädel-Übung ß",
    "脑部扫描",
    "🧠🩻",
    'it\'s 100% "odd" & $HOME',
    "-minus",
    "NAME=value",
    "naïve",
)
LONG_NAME = "x" * 300


def volume_of(image: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(image)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_row_21_names(desk, mr, image, expected, name, suffix):
    """Of the image, its folder, the output's folder and the output."""
    folder, results = desk.inputs / name, desk.outputs / name
    folder.mkdir()
    results.mkdir()
    path = folder / f"{name}{suffix}"
    sitk.WriteImage(volume_of(image), desk.inputs / f"plain{suffix}")
    (desk.inputs / f"plain{suffix}").rename(path)
    record = results / f"{name}.json"
    answer = desk.segment(path, mr, "--provenance", record, name=f"{name}/{name}{suffix}")
    assert answer.err == []
    assert record.is_file()
    shutil.copy(results / f"{name}{suffix}", desk.inputs / f"labels{suffix}")
    np.testing.assert_array_equal(labels_of(desk.inputs / f"labels{suffix}"), expected)


def test_row_21_names_of_bytes_that_are_no_text(desk, mr, image, expected):
    name = os.fsdecode(b"scan-\xff.nii")
    path = desk.save(name, nifti_bytes(image))
    answer = desk.segment(path, mr, name=os.fsdecode(b"labels-\xff.nii"))
    assert answer.err == []
    assert (desk.outputs / os.fsdecode(b"labels-\xff.nii")).is_file()
    path.write_bytes(b"")
    for output in desk.outputs.iterdir():
        output.unlink()
    desk.refuses_image(path, mr, "the file is empty", "export it again")


@pytest.mark.parametrize("name", NAMES)
def test_row_21_names_of_dicom_folders(desk, mr, name):
    assert desk.good(save_series(desk.inputs / name, plain_series()), mr).shape == (5, 4, 5)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_row_21_names_of_pictures(desk, flat, image, suffix):
    path = desk.inputs / f"脑 ü 🧠{suffix}"
    Picture.fromarray(image[0].astype(np.uint8)).save(path)
    answer = desk.segment(path, flat, name=f"脑 ü 🧠{suffix}")
    assert answer.err == []
    assert (desk.outputs / f"脑 ü 🧠{suffix}").is_file()


def test_row_21_name_of_a_model_folder(desk, mr, scan, expected):
    folder = desk.inputs / "Modelle für 脑 🧠" / "x__y__3d_fullres"
    shutil.copytree(mr, folder)
    np.testing.assert_array_equal(desk.good(scan, folder), expected)


def test_row_21_path_of_many_characters(desk, mr, image, expected):
    """Each part is short enough for the file system, the whole has over 400 characters."""
    folder = desk.inputs / ("a" * 200) / ("b" * 200)
    folder.mkdir(parents=True)
    path = folder / "scan.nii.gz"
    sitk.WriteImage(volume_of(image), path)
    np.testing.assert_array_equal(desk.good(path, mr), expected)


def test_row_21_longest_name_of_an_output(desk, mr, scan, expected):
    name = "x" * (255 - len(".nrrd")) + ".nrrd"
    np.testing.assert_array_equal(desk.good(scan, mr, name=name), expected)


@pytest.mark.parametrize("part", ["folder", "file"])
def test_row_21_name_of_300_characters_of_an_image(desk, mr, part):
    path = desk.inputs / (f"{LONG_NAME}.nii" if part == "file" else f"{LONG_NAME}/scan.nii")
    desk.refuses_image(path, mr, "its name is too long", "check the path")


@pytest.mark.parametrize("name", [f"{LONG_NAME}.nii.gz", f"{LONG_NAME}/labels.nii.gz"])
def test_row_21_name_of_300_characters_of_an_output(desk, mr, scan, name):
    words = ["segment", scan, "-o", desk.outputs / name, "--model", mr]
    desk.refuses(words, "its name is too long", "choose another")


def test_row_21_name_of_300_characters_of_a_model(desk, scan):
    desk.refuses_image(scan, Path(LONG_NAME), "", "")


def test_row_21_zero_byte(desk, mr, scan):
    desk.refuses_image(f"{scan}\0", mr, "cannot be read", "check the path")
    desk.refuses(
        ["segment", scan, "-o", desk.outputs / "a\0.nrrd", "--model", mr],
        "cannot be written",
        "choose another",
    )


def forbidden_folder(desk) -> Path:
    """A folder in which this user may not make files. Root may everywhere but in the kernel's own."""
    if os.geteuid() == 0:
        return Path("/sys")
    folder = desk.outputs / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


def test_row_21_folder_that_may_not_be_written(desk, mr, scan):
    words = ["segment", scan, "-o", forbidden_folder(desk) / "labels.nrrd", "--model", mr]
    desk.refuses(words, "cannot be written: no permission", "choose another")


@pytest.mark.parametrize(
    "option", ["--preview", "--volumes", "--provenance", "--uncertainty", "--probabilities"]
)
def test_row_21_folder_of_a_side_output_that_may_not_be_written(desk, mr, scan, option):
    name = {"--preview": "a.png", "--volumes": "a.csv", "--provenance": "a.json", "--uncertainty": "a.nrrd"}
    path = forbidden_folder(desk) / name.get(option, "a.npz")
    words = ["segment", scan, "-o", desk.outputs / "labels.nrrd", "--model", mr, option, path]
    desk.refuses(words, "cannot be written: no permission", "choose another")


def test_row_21_store_that_may_not_be_written(desk, mr, monkeypatch):
    monkeypatch.setenv("UMAMBA_HOME", str(forbidden_folder(desk) / "umamba"))
    desk.refuses(["models", "import", mr], "cannot be written to the model store", "set UMAMBA_HOME")


def test_row_21_export_to_a_folder_that_may_not_be_written(desk, mr):
    assert desk.run("models", "import", mr, "--id", "tiny").status == 0
    words = ["models", "export", "tiny", forbidden_folder(desk) / "a.zip"]
    desk.refuses(words, "a.zip: cannot be written", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_row_21_image_that_may_not_be_read(desk, mr, scan):
    scan.chmod(0)
    desk.refuses_image(scan, mr, "may not be read", "ask for permission")


@pytest.mark.parametrize("name", ["scan.nii", "folder/scan.nii"])
def test_row_21_loop_of_links_to_an_image(desk, mr, name):
    loop = desk.inputs / name.split("/")[0]
    loop.symlink_to(loop.name)
    desk.refuses_image(desk.inputs / name, mr, "its links lead back to themselves", "check the path")


@pytest.mark.parametrize("name", ["labels.nrrd", "folder/labels.nrrd"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_row_21_loop_of_links_to_an_output(desk, mr, scan, name, overwrite):
    loop = desk.outputs / name.split("/")[0]
    loop.symlink_to(loop.name)
    words = ["segment", scan, "-o", desk.outputs / name, "--model", mr, "--device", "cpu", "--no-mirror"]
    if overwrite and "/" not in name:  # the link itself is what is replaced
        assert desk.run(*words, "--overwrite").status == 0
        assert not loop.is_symlink()
    else:
        desk.refuses([*words, *(["--overwrite"] if overwrite else [])], name.split("/")[-1], "")


def test_row_21_loop_of_links_to_a_model(desk, scan):
    loop = desk.inputs / "model"
    loop.symlink_to("model")
    desk.refuses_image(scan, loop, "model", "")


def test_row_21_loop_of_folders_in_a_results_folder(desk, mr, scan, expected):
    folder = desk.inputs / "results"
    shutil.copytree(mr, folder / mr.name)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    np.testing.assert_array_equal(desk.good(scan, folder), expected)


def test_row_21_links_are_followed(desk, mr, scan, expected):
    link = desk.inputs / "link.nii"
    link.symlink_to(scan)
    np.testing.assert_array_equal(desk.good(link, mr), expected)


def test_row_21_device_and_pipe(desk, mr):
    desk.refuses_image("/dev/zero", mr, "is neither a file nor a folder", "give an image file")
    os.mkfifo(desk.inputs / "scan.nii")
    answer = desk.run("segment", desk.inputs / "scan.nii", "-o", desk.outputs / "a.nii", "--model", mr)
    check_refusal(answer, "is neither a file nor a folder", "give an image file")


def test_row_21_no_folder_for_temporary_files(desk, mr, scan, expected, monkeypatch):
    """The folder that TMPDIR names has gone."""
    desk.temporary.rmdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    np.testing.assert_array_equal(desk.good(scan, mr), expected)


def test_row_21_output_is_a_folder(desk, mr, scan):
    (desk.outputs / "labels.nrrd").mkdir()
    words = ["segment", scan, "-o", desk.outputs / "labels.nrrd", "--model", mr, "--overwrite"]
    desk.refuses(words, "is a folder", "name a file in it")
    assert contents(desk.outputs).keys() == {str(desk.outputs), str(desk.outputs / "labels.nrrd")}
