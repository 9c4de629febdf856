"""`umamba segment` and `umamba plan` on a published model: what they write, print and refuse."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Picture

# Voxels in which a float32 engine may differ from the published run (the oracle's manifest).
AGREEMENT = 0.9995
# A table has six digits of a volume.
TABLE_DIGITS = 1e-5
# Long enough for a signal to arrive before the last of its many tiles.
SMALL_STEP = "0.1"
PATIENCE_S = 120


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(path))


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "with space and ümläut"
    made.mkdir()
    return made


def test_everything_that_a_run_can_write(segment, case, folder):
    done = segment(
        folder / "labels.nii.gz",
        *("--preview", folder / "picture.png", "--volumes", folder / "volumes.csv"),
        *("--uncertainty", folder / "uncertainty.nrrd", "--probabilities", folder / "probabilities.npz"),
        *("--provenance", folder / "provenance.json"),
    )
    assert (done.status, done.err) == (0, [])
    assert done.out[0].startswith("CPU")
    assert names_in(folder) == [
        "labels.json",
        "labels.nii.gz",
        "picture.png",
        "probabilities.npz",
        "provenance.json",
        "uncertainty.nrrd",
        "volumes.csv",
    ]
    labels = read(folder / "labels.nii.gz")
    assert np.mean(labels == case.expected) >= AGREEMENT
    _check_table(folder / "volumes.csv", labels, sitk.ReadImage(case.image))
    uncertainty = read(folder / "uncertainty.nrrd")
    assert uncertainty.dtype == np.float32
    assert 0 <= uncertainty.min() < uncertainty.max() <= 1
    probabilities = np.load(folder / "probabilities.npz")["probabilities"]
    assert np.mean(probabilities.argmax(axis=0) == labels) >= AGREEMENT
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance == json.loads((folder / "labels.json").read_text())
    assert (provenance["device"], provenance["folds"], provenance["mirror"]) == ("cpu", ["0"], False)
    assert case.image.name not in json.dumps(provenance)
    assert Picture.open(folder / "picture.png").width > 500


def _check_table(path: Path, labels: np.ndarray, image: sitk.Image) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["label", "key", "name", "voxels", "ml"]
    assert [int(row["label"]) for row in rows] == [1, 2, 3, 4]
    voxel_ml = float(np.prod(image.GetSpacing())) / 1000
    for row in rows:
        voxels = np.count_nonzero(labels == int(row["label"]))
        assert int(row["voxels"]) == voxels
        assert float(row["ml"]) == pytest.approx(voxels * voxel_ml, rel=TABLE_DIGITS)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".seg.nrrd"])
def test_each_format(segment, case, folder, suffix):
    assert segment(folder / f"labels{suffix}").status == 0
    assert np.mean(read(folder / f"labels{suffix}") == case.expected) >= AGREEMENT
    record = ["labels.json"] if suffix == ".nii" else []
    assert names_in(folder) == sorted([f"labels{suffix}", *record])


def test_json_lines(segment, folder):
    done = segment(folder / "labels.nrrd", "--json")
    assert (done.status, done.err) == (0, [])
    events = [json.loads(line) for line in done.out]
    assert events[-1]["event"] == "result"
    assert events[-1]["files"] == {"output": str(folder / "labels.nrrd")}
    assert [volume["label"] for volume in events[-1]["volumes"]] == [1, 2, 3, 4]
    kinds = [event["event"] for event in events]
    assert kinds.count("plan") == 1
    assert set(kinds) == {"plan", "progress", "result"}
    progress = [event for event in events if event["event"] == "progress"]
    assert {"stage", "done", "total", "seconds_left"} <= set(progress[0])
    stages = list(dict.fromkeys(event["stage"] for event in progress))
    assert stages.index("read") < stages.index("predict") < stages.index("write")


def test_quiet_prints_nothing(segment, folder):
    done = segment(folder / "labels.nrrd", "--quiet")
    assert (done.status, done.out, done.err) == (0, [], [])


def test_options_anywhere(call, case):
    middle = sitk.ReadImage(case.image)
    point = middle.TransformContinuousIndexToPhysicalPoint([size / 2 for size in middle.GetSize()])
    around = ",".join(f"{value:.3f}" for value in point)
    done = call(
        *("--json", "--around", around, "--model", case.model, "plan", "--device", "cpu", case.image),
    )
    assert (done.status, done.err) == (0, [])
    plan = json.loads(done.out[0])
    assert (plan["event"], plan["device"]) == ("plan", "cpu")
    assert plan["tiles"] > 0


def test_a_point_with_a_minus_sign_reaches_the_engine(call, case):
    done = call("plan", case.image, *case.words, "--around", "-4000,-4000,-4000")
    assert (done.status, len(done.err)) == (2, 1)
    assert "outside" in done.err[0]


def test_labels_that_are_kept(segment, folder):
    assert segment(folder / "labels.nrrd", "--labels", "1,3").status == 0
    assert set(np.unique(read(folder / "labels.nrrd"))) == {0, 1, 3}


def test_an_output_that_exists_is_kept_and_with_overwrite_replaced(segment, folder):
    output, record = folder / "labels.nii.gz", folder / "labels.json"
    output.write_text("mine")
    done = segment(output)
    assert (done.status, output.read_text(), names_in(folder)) == (2, "mine", ["labels.nii.gz"])
    assert "--overwrite" in done.err[0]
    output.unlink()
    record.write_text("mine")
    assert segment(output).status == 2
    assert (record.read_text(), names_in(folder)) == ("mine", ["labels.json"])
    assert segment(output, "--overwrite").status == 0
    assert json.loads(record.read_text())["engine"] == "umamba"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--model", "no-such-model"), "no-such-model"),
        (("--device", "abacus"), "abacus"),
        (("--device", "cuda:99"), "cuda:99"),
        (("--labels", "unicorn"), "unicorn"),
        (("--folds", "7"), "7"),
        (("--roi", "-9000,-8000,-9000,-8000,-9000,-8000"), "roi"),
        (("--max-memory", "0.001"), "GB"),
        (("--classes", "classes.nrrd"), "no instances"),
        (("--preview", "labels.nrrd"), "--preview"),
        (("--classes", "labels.nrrd"), "same file"),
        (("--volumes", "no/such/volumes.csv"), "does not exist"),
        (("--uncertainty", "u.png"), "u.png"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(segment, folder, monkeypatch, words, part):
    monkeypatch.chdir(folder)
    done = segment("labels.nrrd", *words)
    assert (done.status, done.out, len(done.err)) == (2, [], 1)
    assert part in done.err[0]
    assert names_in(folder) == []


@pytest.mark.parametrize(
    ("output", "part"),
    [("labels.png", "volume"), ("labels.tif", "volume"), ("labels.dcm", "DICOM"), ("labels", "labels")],
)
def test_outputs_that_do_not_hold_this_image(segment, folder, output, part):
    done = segment(folder / output)
    assert (done.status, done.out, len(done.err)) == (2, [], 1)
    assert part in done.err[0]
    assert names_in(folder) == []


def test_the_input_is_never_overwritten(call, case, folder):
    scan = folder / "scan.nii.gz"
    shutil.copy(case.image, scan)
    before = scan.read_bytes()
    done = call("segment", scan, "-o", scan, *case.words, "--overwrite")
    assert (done.status, len(done.err)) == (2, 1)
    assert scan.read_bytes() == before


def test_instances_and_their_classes(call, case, folder):
    (model_id,) = call("models", "import", case.model, "--id", "with-instances").out
    stored = json.loads(call("models", "list", "--json").out[0])["models"]
    (own,) = [entry for entry in stored if entry["id"] == model_id]  # never a bundled one
    card_file = Path(own["folder"]) / "card.json"
    card = json.loads(card_file.read_text())
    card_file.write_text(json.dumps({**card, "instances": {"boundary": 1, "interior": 2}}))
    words = ["--model", model_id, "--folds", "0", "--no-mirror", "--device", "cpu"]
    done = call(
        *("segment", case.image, *words, "-o", folder / "objects.mha", "--classes", folder / "classes.mha"),
        *("--preview", folder / "objects.png"),
    )
    assert (done.status, done.err) == (0, [])
    classes, objects = read(folder / "classes.mha"), read(folder / "objects.mha")
    assert np.mean(classes == case.expected) >= AGREEMENT
    assert set(np.unique(classes[objects > 0])) <= {1, 2}
    assert objects.max() >= 1


def test_a_disk_without_room_is_found_before_the_run(segment, folder, monkeypatch):
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    done = segment(folder / "labels.nrrd")
    assert (done.status, done.out, len(done.err)) == (2, [], 1)
    assert "MB" in done.err[0]
    assert names_in(folder) == []


def test_when_one_file_cannot_be_written_none_is(segment, folder, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("umamba.imaging.preview.draw_preview", fail)
    done = segment(folder / "labels.nii.gz", "--preview", folder / "picture.png")
    assert (done.status, len(done.err)) == (2, 1)
    assert "disk is full" in done.err[0]
    assert names_in(folder) == []


def test_a_warning_is_one_line_and_the_status_stays_0(call, case, folder):
    scan = sitk.Cast(sitk.ReadImage(case.image), sitk.sitkFloat32)
    scan[0, 0, 0] = float("nan")
    sitk.WriteImage(scan, folder / "scan.nii.gz")
    done = call("segment", folder / "scan.nii.gz", "-o", folder / "a.nrrd", *case.words, "--json")
    events = [json.loads(line) for line in done.out]
    told = [event["message"] for event in events if event["event"] == "log"]
    assert (done.status, len(told)) == (0, 1)
    assert [f"umamba: warning: {text}" for text in told] == done.err
    assert events[-1]["warnings"] == told == events[-1]["provenance"]["warnings"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancel_leaves_nothing(case, folder, number):
    words = ["segment", str(case.image), "-o", str(folder / "labels.nii.gz"), *case.words, "--json"]
    running = subprocess.Popen(
        [sys.executable, "-m", "umamba", *words, "--step", SMALL_STEP],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    for line in running.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["stage"] == "predict":
            break
    running.send_signal(number)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130
    assert err.splitlines() == ["umamba: cancelled; nothing was written"]
    assert json.loads(out.splitlines()[-1])["kind"] == "cancelled"
    assert names_in(folder) == []


def test_plan_for_a_person(call, case):
    done = call("plan", case.image, *case.words)
    assert (done.status, done.err) == (0, [])
    assert done.out[0].startswith("CPU")
    assert any("12 x 32 x 32" in line for line in done.out)
