"""Requests that cannot be met: unknown device, model, label, fold; a region outside; no room on the disk."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from engine.bad_input.desk import check_refusal, check_warning, contents, finish, start
from image_builders import nifti_bytes


@pytest.mark.parametrize(
    ("words", "found", "advice"),
    [
        (("--device", "abacus"), "device 'abacus' is unknown", "auto, cpu, cuda, cuda:N and mps are known"),
        (("--device", "cuda:99"), "device cuda:99: no such GPU", "take --device cpu"),
        (("--model", "no-such-model"), "there is no model 'no-such-model'", "umamba models list"),
        (("--model", "no/such/folder"), "folder: there is no such folder", "umamba models list"),
        (("--labels", "unicorn"), "'unicorn' is not a label", "it has structure_1, structure_2, structure_3"),
        (("--labels", "4"), "'4' is not a label", "it has structure_1"),
        (("--folds", "7"), "has no fold '7'", "it has 0"),
        (("--roi", "900,901,900,901,900,901"), "no voxel of the image lies in the box", "the image covers"),
        (("--roi", "-900,-901,-900,-901,-900,-901"), "no voxel of the image lies in the box", "covers"),
        (("--roi", "0,1,0,1"), "'0,1,0,1' found", "six numbers X0,X1,Y0,Y1,Z0,Z1 in mm (LPS) wanted"),
        (("--roi", "0,nan,0,1,0,1"), "'0,nan,0,1,0,1' found", "six numbers"),
        (("--around", "-900,0,0"), "the point lies outside the image", "which covers"),
        (("--around", "0,0"), "'0,0' found", "three numbers X,Y,Z"),
        (("--roi", "0,1,0,1,0,1", "--around", "0,0,0"), "not allowed with", "--help"),
        (("--step", "0"), "'0' found", "a number above 0 and at most 1 wanted"),
        (("--step", "nan"), "'nan' found", "a number above 0 and at most 1"),
        (("--threads", "0"), "'0' found", "a whole number of at least 1 wanted"),
        (("--max-memory", "0"), "'0' found", "more than 0 GB wanted"),
        (("--max-memory", "0.01"), "0.01 GB is too little", "needs at least"),
        (("--series", "1.2.3"), "is one image", "a series can be chosen from a DICOM folder only"),
        (("--no-such-option",), "unrecognized arguments: --no-such-option", "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_request_that_cannot_be_met(desk, mr, scan, words, found, advice):
    desk.refuses_image(scan, mr, found, advice, *words)


@pytest.mark.parametrize("name", ["scan.jpg", "scan", "scan.txt"])
def test_image_of_an_unknown_kind(desk, mr, name):
    desk.refuses_image(desk.save(name, b"x" * 500), mr, "cannot be read", "known are .nii.gz, .nii, .nrrd")


def test_image_that_is_not_there(desk, mr):
    desk.refuses_image(desk.inputs / "scan.nii", mr, "scan.nii: cannot be read", "check the path")


@pytest.mark.parametrize(
    ("name", "found", "advice"),
    [
        ("labels.xyz", "labels cannot be written as .xyz", "known are .nii.gz"),
        ("labels", "cannot be written as a file without an ending", "known are .nii.gz"),
        ("labels.png", "this is a volume", "write .nii.gz or .nrrd"),
        ("labels.tif", "would lose the volume's grid", "write .nii.gz or .nrrd"),
        ("labels.dcm", "DICOM SEG comes in a later release", "write .seg.nrrd or .nii.gz"),
    ],
)
def test_output_of_a_kind_that_cannot_hold_it(desk, mr, scan, name, found, advice):
    desk.refuses(["segment", scan, "-o", desk.outputs / name, "--model", mr], found, advice)


def test_no_room_on_the_disk_for_the_output(desk, mr, scan, monkeypatch):
    usage = shutil.disk_usage(desk.outputs)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    desk.refuses_image(scan, mr, "has 0 MB left", "make room or choose another folder")


def test_no_room_on_the_disk_for_a_model(desk, mr, monkeypatch):
    usage = shutil.disk_usage(desk.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    answer = desk.run("models", "import", mr)
    assert (answer.status, answer.out, len(answer.err)) == (2, [], 1)
    assert "make room or set UMAMBA_HOME to another disk" in answer.err[0]
    assert not list((desk.home / "models").iterdir())


@pytest.mark.parametrize("command", ["show", "export", "remove", "verify"])
def test_model_that_is_not_there(desk, command):
    words = ["models", command, "nobody", *([desk.outputs / "a.zip"] if command == "export" else [])]
    desk.refuses(words, "there is no model 'nobody'", "umamba models list")


@pytest.mark.parametrize("command", ["import", "install"])
def test_model_file_that_is_not_there(desk, command):
    desk.refuses(["models", command, desk.inputs / "no.zip"], "no.zip", "there is no such")


@pytest.mark.parametrize("words", [[], ["segmnt"], ["models", "lst"], ["batch", "a", "b"], ["segment"]])
def test_command_that_is_none(desk, words):
    desk.refuses(words, "", "")


def test_processes_of_their_own(desk, mr, image, tmp_path):
    """E and W as the shell sees them: exit status, one line, nothing left, not even beside the process."""
    constant = desk.save("constant.nii", nifti_bytes(np.full_like(image, 3)))
    empty = desk.save("empty.nii.gz", b"")
    before = contents(desk.inputs, desk.temporary, desk.home)
    output = desk.outputs / "labels.nrrd"
    words = ["-o", output, "--model", mr, "--device", "cpu", "--no-mirror"]
    running = [start(["segment", path, *words, "--json"], cwd=tmp_path) for path in (empty, constant)]
    refused, warned = (finish(process) for process in running)
    assert [event["kind"] for event in refused.events] == ["input"]
    check_refusal(replace(refused, out=[]), "empty.nii.gz: the file is empty", "export it again")
    check_warning(warned, "all voxels have the same value (3)")
    assert contents(desk.inputs, desk.temporary, desk.home) == before
    assert [path.name for path in desk.outputs.iterdir()] == [output.name]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
