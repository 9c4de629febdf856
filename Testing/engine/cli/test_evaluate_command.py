"""`umamba evaluate`: what it writes, prints and refuses, and that nothing is left when it is stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

FILES = ["boxplot.png", "results.csv", "results.json"]
SHAPE = (6, 10, 12)
# Cases and size of a run that is stopped in its middle, and how long that may take.
MANY = 60
LARGE = (20, 60, 60)
PATIENCE_S = 60


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(values), path)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two cases with the labels liver and spleen; the second prediction lacks the spleen."""
    made = tmp_path / "with space and ümläut"
    made.mkdir()
    values = np.zeros(SHAPE, np.uint8)
    values[1:4, 1:5, 1:5] = 1
    values[1:4, 1:5, 7:10] = 2
    write(made / "truth" / "a.nii.gz", values)
    write(made / "found" / "a.nii.gz", np.roll(values, 1, axis=2))
    write(made / "truth" / "b.nii.gz", values)
    write(made / "found" / "b.nrrd", np.where(values == 1, 1, 0).astype(np.uint8))
    (made / "truth" / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "spleen": 2}}')
    return made


@pytest.fixture
def evaluate(call, folder):
    """Evaluate the folder's cases in this process, with further words."""

    def run(*words):
        words = ("-o", folder / "figures", *words) if "-o" not in words else words
        return call("evaluate", folder / "truth", folder / "found", "--jobs", "1", *words)

    return run


def test_files_and_lines(evaluate, folder):
    done = evaluate()
    assert done.status == 0
    assert names_in(folder / "figures") == FILES
    assert len(done.err) == 1
    assert done.err[0].startswith("umamba: warning: labels that one of the two maps lacks: spleen in 1 of 2")
    assert done.out[0].split() == ["Dice", "NSD", "HD95"]
    assert [line.split()[0] for line in done.out[1:4]] == ["liver", "spleen", "all"]
    figures = json.loads((folder / "figures" / "results.json").read_text())
    assert {"cases", "mean"} <= set(figures)
    assert figures["mean"]["labels"]["liver"]["Dice"] == pytest.approx((0.75 + 1) / 2)
    assert float(done.out[1].split()[1]) == figures["mean"]["labels"]["liver"]["Dice"]
    with (folder / "figures" / "results.csv").open(newline="") as file:
        assert [(row["case"], row["label"]) for row in csv.DictReader(file)] == [
            (case, label) for case in "ab" for label in ("liver", "spleen")
        ]


def test_every_option(evaluate, folder):
    (folder / "figures").mkdir()
    (folder / "figures" / "notes.txt").write_text("mine")
    done = evaluate("--tolerance", "1,spleen=0.5", "--quiet", "--convention", "default", "--allow-missing")
    assert (done.status, done.out) == (0, [])
    assert names_in(folder / "figures") == sorted([*FILES, "notes.txt"])
    labels = json.loads((folder / "figures" / "results.json").read_text())["labels"]
    assert {name: facts["tolerance"] for name, facts in labels.items()} == {"liver": 1.0, "spleen": 0.5}
    done = evaluate("--instances", "--iou", "0.5,0.7", "--border", "1", "--overwrite")
    assert done.status == 0
    assert [line.split()[0] for line in done.out[1:4]] == ["0.5", "0.7", "all"]


def test_json_lines(evaluate, folder):
    done = evaluate("--json")
    events = [json.loads(line) for line in done.out]
    assert [event["event"] for event in events] == ["progress"] * 3 + ["log", "result"]
    assert events[2] | {"stage": "evaluate", "done": 2, "total": 2} == events[2]
    result = events[-1]
    assert result["cases"] == 2
    assert sorted(Path(path).name for path in result["files"].values()) == FILES
    assert result["mean"] == json.loads((folder / "figures" / "results.json").read_text())["mean"]


def test_results_are_replaced_only_when_asked(evaluate, folder):
    assert evaluate().status == 0
    before = (folder / "figures" / "results.json").stat().st_mtime_ns
    done = evaluate()
    assert (done.status, len(done.err)) == (2, 1)
    assert "exists; add --overwrite" in done.err[0]
    assert (folder / "figures" / "results.json").stat().st_mtime_ns == before
    assert evaluate("--overwrite").status == 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--tolerance", "liver"], "'liver' found, lengths in mm"),
        (["--tolerance", "1,2"], "'1,2' found, lengths in mm"),
        (["--tolerance", "liver=-1"], "'liver=-1' found, lengths in mm of at least 0"),
        (
            ["--tolerance", "kidney=1"],
            "tolerance for 'kidney': there is no such label; known are liver, spleen",
        ),
        (["--iou", "0"], "'0' found, numbers above 0"),
        (["--iou", "0.5"], "are for objects; add"),
        (["--instances", "--border", "x"], "'x' found, a whole number of pixels"),
        (["--jobs", "0"], "'0' found, a whole number"),
        (["--convention", "dice"], "--convention"),
        (["--convention", "mamba-unet", "--tolerance", "1"], "no part in the convention mamba-unet"),
        (["--model", "nothing-like-it"], "nothing-like-it"),
    ],
)
def test_wrong_requests(evaluate, folder, words, part):
    done = evaluate(*words)
    assert (done.status, done.out, len(done.err)) == (2, [], 1)
    assert part in done.err[0]
    assert not (folder / "figures").exists()


def test_wrong_folders(evaluate, folder, call):
    (folder / "file").write_text("x")
    for output, part in (
        (folder / "truth", "is REFERENCE; give another folder"),
        (folder / "found", "is PREDICTION; give another folder"),
        (folder / "file", "is a file; give a folder"),
        (folder / "no" / "such", "does not exist; create it first"),
    ):
        done = evaluate("-o", output)
        assert (done.status, len(done.err)) == (2, 1)
        assert part in done.err[0]
    done = call("evaluate", folder / "truth", folder / "nothing", "-o", folder / "figures")
    assert (done.status, done.err) == (
        2,
        ["umamba: error: nothing: cannot be read: it does not exist; check the path"],
    )
    assert names_in(folder) == ["file", "found", "truth"]


def test_another_grid_names_the_case_and_leaves_nothing(evaluate, folder):
    write(folder / "found" / "a.nii.gz", np.zeros((6, 10, 13), np.uint8))
    done = evaluate()
    assert (done.status, done.out, len(done.err)) == (2, [], 1)
    assert "case a: the reference has 12 x 10 x 6 voxels, the prediction 13 x 10 x 6" in done.err[0]
    assert not (folder / "figures").exists()


def test_a_missing_prediction(evaluate, folder):
    (folder / "found" / "b.nrrd").unlink()
    done = evaluate()
    assert (done.status, len(done.err)) == (2, 1)
    assert "found has no prediction of b" in done.err[0]
    done = evaluate("--allow-missing")
    assert done.status == 0
    assert done.err == ["umamba: warning: 1 reference has no prediction and was left out: b"]


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_nothing(tmp_path, jobs):
    values = (np.random.default_rng(0).random(LARGE) < 0.5).astype(np.uint8)
    for side in ("truth", "found"):
        write(tmp_path / side / "0.nii", values)
        for number in range(1, MANY):
            (tmp_path / side / f"{number}.nii").symlink_to(tmp_path / side / "0.nii")
    words = ["evaluate", "truth", "found", "-o", "figures", "--jobs", jobs, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "umamba", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while '"done": 1,' not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert err == "umamba: cancelled; nothing was written\n"
    assert json.loads(out.splitlines()[-1])["kind"] == "cancelled"
    assert names_in(tmp_path) == ["found", "truth"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_workers_do_not_outlive_their_parent(tmp_path):
    values = (np.random.default_rng(0).random(LARGE) < 0.5).astype(np.uint8)
    for side in ("truth", "found"):
        write(tmp_path / side / "0.nii", values)
        for number in range(1, MANY):
            (tmp_path / side / f"{number}.nii").symlink_to(tmp_path / side / "0.nii")
    words = ["evaluate", "truth", "found", "-o", "figures", "--jobs", "2", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "umamba", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while '"done": 1,' not in process.stdout.readline():
        assert process.poll() is None
    workers = children_of(process.pid)
    assert workers
    process.kill()
    process.wait()
    deadline = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.1)


def children_of(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split()]
