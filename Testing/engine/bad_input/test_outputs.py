"""Rows 22 and 25: a full disk, an output that exists, a folder that vanishes, two processes at once."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import umamba.inference.run as engine_run
from engine.bad_input.desk import PROCESS_PATIENCE_S, check_refusal, contents, labels_of, start
from image_builders import nifti_bytes
from umamba.models.safetensors_file import sha256_of

OLD = b"what was there before"
FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd")
SIDES = {
    "--preview": "a.png",
    "--volumes": "a.csv",
    "--provenance": "a.json",
    "--uncertainty": "a.nrrd",
    "--probabilities": "a.npz",
}
# Less than any label map or side output of these tests takes.
FULL_AT_BYTES = 50
RACES = 5


@contextmanager
def full_disk(limit_bytes: int = FULL_AT_BYTES) -> Iterator[None]:
    """The system refuses to let a file grow beyond the limit, as a full disk or a quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def words(mr, scan, expected) -> list[object]:
    """The run but for its outputs."""
    return ["segment", scan, "--model", mr, "--device", "cpu", "--no-mirror", "--quiet"]


@pytest.fixture
def lines(monkeypatch) -> list[str]:
    """What would go to standard error, whose captured file the limit would cut as well."""
    found: list[str] = []
    monkeypatch.setattr("umamba.cli.main.error_line", found.append)
    return found


def fails_on_a_full_disk(desk, call: list[object], lines: list[str], monkeypatch) -> None:
    """The disk is full when the network is done; everything stays as it was."""
    compute = engine_run.run
    before = contents(desk.inputs, desk.outputs, desk.temporary, desk.home)
    with ExitStack() as stack:

        def fill(*arguments):
            result = compute(*arguments)
            stack.enter_context(full_disk())
            return result

        monkeypatch.setattr(engine_run, "run", fill)
        assert desk.run(*call).status == 2
    (line,) = lines
    assert "the disk is full" in line
    assert contents(desk.inputs, desk.outputs, desk.temporary, desk.home) == before


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("exists", [False, True])
def test_row_22_disk_full(desk, words, lines, monkeypatch, suffix, exists):
    output = desk.outputs / f"labels{suffix}"
    if exists:
        output.write_bytes(OLD)
    fails_on_a_full_disk(desk, [*words, "-o", output, "--overwrite"], lines, monkeypatch)


@pytest.mark.parametrize("option", SIDES)
def test_row_22_disk_full_for_a_side_output(desk, words, lines, monkeypatch, option):
    """None of the files is replaced when one cannot be."""
    output, side = desk.outputs / "labels.nrrd", desk.outputs / SIDES[option]
    output.write_bytes(OLD)
    side.write_bytes(OLD)
    monkeypatch.setattr("umamba.inference.result.Result.write", lambda self, path: path.write_bytes(b"new"))
    fails_on_a_full_disk(desk, [*words, "-o", output, "--overwrite", option, side], lines, monkeypatch)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_row_22_disk_of_temporary_files_full(desk, mr, image, lines, suffix):
    path = desk.inputs / f"scan{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(image), path)
    with full_disk():
        assert desk.run("segment", path, "-o", desk.outputs / "a.nrrd", "--model", mr).status == 2
    assert "the folder for temporary files cannot be written: the disk is full; make room" in lines[0]
    assert not list(desk.temporary.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_row_22_disk_that_fails_when_the_file_is_flushed(desk, words, monkeypatch, code):
    output = desk.outputs / "labels.nii.gz"
    output.write_bytes(OLD)

    def fail(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    told = os.strerror(errno.EIO) if code == errno.EIO else "the disk is full"
    desk.refuses([*words, "-o", output, "--overwrite"], told, "")
    assert output.read_bytes() == OLD


def test_row_22_disk_full_for_a_model(desk, mr, lines):
    with full_disk():
        assert desk.run("models", "import", mr).status == 2
    assert "cannot be written to the model store" in lines[0]
    assert not list((desk.home / "models").iterdir())


def test_row_22_disk_full_for_an_export(desk, mr, lines):
    assert desk.run("models", "import", mr, "--id", "tiny").status == 0
    target = desk.outputs / "a.zip"
    target.write_bytes(OLD)
    with full_disk():
        assert desk.run("models", "export", "tiny", target, "--overwrite").status == 2
    assert "a.zip: cannot be written" in lines[0]
    assert [path.name for path in desk.outputs.iterdir()] == ["a.zip"]
    assert target.read_bytes() == OLD


@pytest.mark.parametrize("option", ["-o", *SIDES])
def test_row_22_output_that_exists(desk, words, option):
    output = desk.outputs / "labels.nrrd"
    side = desk.outputs / SIDES.get(option, "labels.nrrd")
    side.write_bytes(OLD)
    call = [*words, "-o", output, *([] if option == "-o" else [option, side])]
    desk.refuses(call, f"{option} {side} exists", "add --overwrite to replace it")
    assert desk.run(*call, "--overwrite").status == 0
    assert side.read_bytes() != OLD


def test_row_22_record_beside_the_output_that_exists(desk, words):
    (desk.outputs / "labels.json").write_bytes(OLD)
    desk.refuses([*words, "-o", desk.outputs / "labels.nii"], "labels.json exists", "add --overwrite")


def test_row_22_export_that_exists(desk, mr):
    assert desk.run("models", "import", mr, "--id", "tiny").status == 0
    (desk.outputs / "a.zip").write_bytes(OLD)
    desk.refuses(["models", "export", "tiny", desk.outputs / "a.zip"], "a.zip: exists already", "--overwrite")


def test_row_22_file_that_comes_into_being_during_the_run(desk, words, monkeypatch):
    output = desk.outputs / "labels.nrrd"
    compute = engine_run.run

    def late(*arguments):
        output.write_bytes(OLD)
        return compute(*arguments)

    monkeypatch.setattr(engine_run, "run", late)
    answer = desk.run(*words, "-o", output)
    check_refusal(answer, "has come into being meanwhile", "it was left as it is")
    assert [(path.name, path.read_bytes()) for path in desk.outputs.iterdir()] == [("labels.nrrd", OLD)]


@pytest.mark.parametrize("vanishes", ["before", "after"])
def test_row_22_folder_that_vanishes_during_the_run(desk, words, monkeypatch, vanishes):
    folder = desk.outputs / "folder"
    folder.mkdir()
    compute = engine_run.run

    def vanish(*arguments):
        if vanishes == "before":
            shutil.rmtree(folder)
        result = compute(*arguments)
        if vanishes == "after":
            folder.rename(desk.outputs / "elsewhere")
        return result

    monkeypatch.setattr(engine_run, "run", vanish)
    answer = desk.run(*words, "-o", folder / "labels.nii.gz")
    check_refusal(answer, "it does not exist", "")
    assert not [entry for entry in desk.outputs.rglob("*") if entry.is_file() or entry == folder]


def test_row_22_image_that_vanishes_during_the_run(desk, words, scan, monkeypatch, expected):
    """It is in memory by then."""
    compute = engine_run.run

    def vanish(*arguments):
        scan.unlink()
        return compute(*arguments)

    monkeypatch.setattr(engine_run, "run", vanish)
    assert desk.run(*words, "-o", desk.outputs / "labels.nrrd").status == 0
    np.testing.assert_array_equal(labels_of(desk.outputs / "labels.nrrd"), expected)


def test_row_22_model_that_vanishes_during_the_run(desk, scan, mr, monkeypatch):
    folder = desk.inputs / "model"
    shutil.copytree(mr, folder)
    compute = engine_run.run

    def vanish(*arguments):
        shutil.rmtree(folder)
        return compute(*arguments)

    monkeypatch.setattr(engine_run, "run", vanish)
    answer = desk.run("segment", scan, "-o", desk.outputs / "a.nrrd", "--model", folder, "--quiet")
    check_refusal(answer, "checkpoint_final.pth", "")
    assert not list(desk.outputs.iterdir())


# Takes a JSON list of words a line, answers [status, standard error] a line.
SERVANT = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
import umamba.inference.run, umamba.models.importer, umamba.models.exchange, umamba.models.strict
from umamba.cli.main import main
for line in sys.stdin:
    home, words = json.loads(line)
    os.environ["UMAMBA_HOME"] = home
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as err:
        status = main(words)
    print(json.dumps([status, err.getvalue().splitlines()]), flush=True)
"""


@pytest.fixture(scope="module")
def servants() -> Iterator[list[Any]]:
    """Two processes that wait for command lines."""
    running = [start([], command=[sys.executable, "-c", SERVANT], stdin=subprocess.PIPE) for _ in range(2)]
    yield running
    for process in running:
        process.communicate(timeout=PROCESS_PATIENCE_S)
        assert process.returncode == 0


def together(desk, servants, *calls: list[object]) -> list[tuple[int, list[str]]]:
    """Status and standard error of command lines that both processes begin at the same time."""
    for process, call in zip(servants, calls, strict=True):
        process.stdin.write(json.dumps([str(desk.home), [str(word) for word in call]]) + "\n")
    for process in servants:
        process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for process in servants]
    return [(status, err) for status, err in answers]


@pytest.mark.parametrize("overwrite", [False, True])
def test_row_25_two_processes_write_the_same_output(desk, servants, words, image, mr, expected, overwrite):
    """Two images, so that it can be told whose labels lie there."""
    other = desk.save("other.nii", nifti_bytes(image[::-1].copy()))
    theirs = desk.good(other, mr, name="theirs.nrrd")
    output = desk.outputs / "labels.nrrd"
    extra = ["--overwrite"] if overwrite else []
    calls = [[*words, "-o", output, *extra], [words[0], other, *words[2:], "-o", output, *extra]]
    answers = together(desk, servants, *calls)
    if overwrite:
        assert answers == [(0, []), (0, [])]
    else:
        assert sorted(status for status, _ in answers) == [0, 2]
        ((line,),) = [err for status, err in answers if status == 2]
        assert "meanwhile" in line or "exists" in line
    labels = labels_of(output)
    winners = [np.array_equal(labels, wanted) for wanted in (expected, theirs)]
    assert winners.count(True) == 1
    if not overwrite:
        assert answers[winners.index(True)][0] == 0
    assert sorted(path.name for path in desk.outputs.iterdir()) == ["labels.nrrd", "theirs.nrrd"]


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in folder.iterdir()}


def test_row_25_two_processes_install_the_same_model(desk, servants, mr):
    assert desk.run("models", "import", mr, "--id", "tiny").status == 0
    stored = desk.home / "models" / "tiny"
    file, wanted = desk.outputs / "tiny.zip", hashes(stored)
    assert desk.run("models", "export", "tiny", file).status == 0
    for _ in range(RACES):
        assert desk.run("models", "remove", "tiny").status == 0
        install = ["models", "install", file]
        assert together(desk, servants, install, install) == [(0, []), (0, [])]
        assert hashes(stored) == wanted
        assert [path.name for path in stored.parent.iterdir()] == ["tiny"]
    assert desk.run("models", "verify", "tiny").status == 0


def test_row_25_two_processes_install_different_models_of_one_id(desk, servants, mr, ct):
    answers = together(
        desk, servants, ["models", "import", mr, "--id", "tiny"], ["models", "import", ct, "--id", "tiny"]
    )
    assert sorted(status for status, _ in answers) == [0, 2]
    (loser,) = [err for status, err in answers if status == 2]
    assert "another model 'tiny' lies in the store already" in loser[0]
    assert [path.name for path in (desk.home / "models").iterdir()] == ["tiny"]
    assert desk.run("models", "verify", "tiny").status == 0
