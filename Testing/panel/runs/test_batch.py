"""Many cases in one call: volume nodes or a folder, a broken one among them, what is done already."""

import shutil

import pytest
import SimpleITK as sitk

from UMambaSegmentationLib.batch_cases import find_cases
from UMambaSegmentationLib.scene.errors import SceneError

from .conftest import MODEL


@pytest.fixture
def crops(template, tmp_path):
    """A folder with two crops around the hippocampi and a file that is no image."""
    folder = tmp_path / "cases"
    folder.mkdir()
    sitk.WriteImage(template[95:145, 80:140, 35:85], str(folder / "left.nii.gz"))
    (folder / "middle.nii.gz").write_bytes(b"not an image")
    sitk.WriteImage(template[37:87, 80:140, 35:85], str(folder / "right.nrrd"))
    (folder / "notes.txt").write_text("no image at all")
    return folder


def test_a_folder_with_one_broken_file(logic, crops, tmp_path, command_line, nodes, run_folders):
    before, told = nodes(), []
    results = tmp_path / "results"
    report = logic.processBatch(crops, MODEL, results, suffix=".nii.gz", callback=told.append)
    assert [(result.name, result.state) for result in report.results] == [
        ("left", "done"),
        ("middle", "failed"),
        ("right", "done"),
    ]
    assert report.summary.startswith("2 done, 0 there already, 1 failed")
    assert "middle: " in report.summary
    assert told[0] == "Case 1 of 3: left"
    assert told[-1] == report.summary
    expected, volumes = command_line(crops / "left.nii.gz", "--model", MODEL)
    assert (sitk.GetArrayFromImage(sitk.ReadImage(str(results / "left.nii.gz"))) == expected).all()
    assert [volume["voxels"] for volume in report.results[0].volumes] == [v["voxels"] for v in volumes]
    assert sorted(path.name for path in results.iterdir()) == [
        "left.json",
        "left.nii.gz",
        "right.json",
        "right.nii.gz",
    ]
    assert nodes() == before
    assert run_folders() == []


def test_what_is_done_is_skipped(logic, crops, tmp_path):
    (crops / "middle.nii.gz").unlink()
    shutil.copy(crops / "left.nii.gz", crops / "again.nii.gz")
    (crops / "left.nii.gz").unlink()
    results = tmp_path / "results"
    results.mkdir()
    (results / "right.seg.nrrd").write_bytes(b"from before")
    (results / "again.seg.nrrd").touch()  # what a full disk leaves is no result
    report = logic.processBatch(crops, MODEL, results)
    assert {result.name: result.state for result in report.results} == {"again": "done", "right": "skipped"}
    assert (results / "right.seg.nrrd").read_bytes() == b"from before"
    report = logic.processBatch(crops, MODEL, results, overwrite=True)
    assert [result.state for result in report.results] == ["done", "done"]
    assert (results / "right.seg.nrrd").read_bytes() != b"from before"


def test_volume_nodes(logic, template, volume_from, tmp_path, run_folders):
    from .conftest import ijk_to_ras

    crop = template[95:145, 80:140, 35:85]
    array, matrix = sitk.GetArrayFromImage(crop), ijk_to_ras(crop)
    cases = [volume_from(array, matrix, "A/B: C"), volume_from(array, matrix, "A/B: C")]
    empty = volume_from(array, matrix, "empty")
    empty.SetAndObserveImageData(None)
    report = logic.processBatch([*cases, empty], MODEL, tmp_path / "results")
    assert [(result.name, result.state) for result in report.results] == [
        ("A_B_C", "done"),
        ("A_B_C_2", "done"),
        ("empty", "failed"),
    ]
    assert "no voxels" in report.results[2].message
    assert run_folders() == []


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda folder: {"inputs": folder / "no", "folder": folder / "out"}, "cannot be read"),
        (lambda folder: {"inputs": [], "folder": folder / "out"}, "no case"),
        (lambda folder: {"inputs": folder, "folder": folder}, "another folder"),
        (lambda folder: {"inputs": folder, "folder": folder / "out", "suffix": ".docx"}, ".docx"),
        (lambda folder: {"inputs": folder, "folder": folder / "left.nii.gz" / "out"}, "cannot be made"),
        (lambda folder: {"inputs": folder, "folder": folder / "out", "labels": ["liver"]}, "liver"),
    ],
)
def test_what_cannot_begin_is_told_at_once(logic, crops, call, told):
    arguments = call(crops)
    with pytest.raises(SceneError, match=told):
        logic.processBatch(model=MODEL, **arguments)


def names(folder, channels=1):
    return [(case.name, case.fault) for case in find_cases(folder, channels, folder / "results")]


def test_cases_of_several_channels(tmp_path):
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0001.nii.gz", "c.nii.gz", "d_0000.nrrd", "d_0001.mha"):
        (tmp_path / name).touch()
    assert names(tmp_path, 2) == [
        ("a", ""),
        ("b", "no file b_0000"),
        ("c", "no file c_0001"),
        ("d", ""),
    ]


def test_cases_of_one_channel(tmp_path):
    for name in ("a_0000.nii.gz", "b.nii", "b.mha", "done.seg.nrrd", ".hidden.nrrd", "Case.nrrd", "case.mha"):
        (tmp_path / name).touch()
    (tmp_path / "series").mkdir()
    (tmp_path / "results").mkdir()
    found = names(tmp_path)
    assert found[:4] == [("Case", ""), ("a", ""), ("b", "2 files of one name"), ("case_2", "")]
    assert found[4:] == [("series", "")]


def test_a_dicom_folder_is_a_case(logic, shared_data, tmp_path):
    series = shared_data / "dicom" / "ct_head_gantry_tilt"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan").symlink_to(series, target_is_directory=True)
    report = logic.processBatch(tmp_path / "in", MODEL, tmp_path / "out")
    assert [(result.name, result.state) for result in report.results] == [("scan", "failed")]
    assert "slices are unevenly spaced" in report.results[0].message


def test_no_place_for_temporary_files_stops_no_other_case(logic, head, tmp_path, monkeypatch):
    def full(**_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    (result,) = logic.processBatch(head, MODEL, tmp_path / "results").results
    assert result.state == "failed"
    assert "No space left on device): make room" in result.message


@pytest.mark.parametrize("inputs", [[None], [[]], ["T1"], 5])
def test_what_is_no_node_is_told_in_a_sentence(logic, inputs, tmp_path):
    with pytest.raises(SceneError, match="folder, or volume nodes"):
        logic.processBatch(inputs, MODEL, tmp_path / "results")
