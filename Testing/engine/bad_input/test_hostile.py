"""Rows 27 and 28: zips and checkpoints that want to do something. Nothing is run, nothing lands anywhere."""

from __future__ import annotations

import json
import pickle
import shutil
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.bad_input.samples import CHECKPOINT
from engine.models import hostile_files as hostile

BOMB_BYTES = 300_000_000
LOCAL_HEADER_BYTES = 30


@pytest.fixture(autouse=True)
def no_canary(desk, tmp_path_factory, monkeypatch):
    """Run in an empty folder; the canary is made nowhere that a payload of these tests can reach."""
    work = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(work)
    yield
    assert not list(work.iterdir())
    reachable = (work, *work.parents, Path.home(), desk.inputs, desk.outputs, desk.temporary, desk.home)
    assert not [folder for folder in reachable if (folder / hostile.CANARY).exists()]
    assert not [path for path in desk.home.rglob("*") if path.is_file()]


def refuses_archive(desk, file: Path, found: str) -> None:
    """Neither installed nor imported."""
    (desk.home / "models").mkdir(exist_ok=True)
    for command in ("install", "import"):
        desk.refuses(["models", command, file], found, ";")


MEMBERS = {
    "parent": ("../PWNED", "leads out of the folder"),
    "parent inside": ("tiny/../../PWNED", "leads out of the folder"),
    "absolute": ("/tmp/PWNED", "has an absolute path"),
    "drive": ("C:PWNED", "a drive"),
    "drive and folder": ("C:/PWNED", "a drive"),
    "backslash": ("..\\PWNED", "a backslash"),
    "share": ("//server/share/PWNED", "has an absolute path"),
    "device": ("tiny/NUL.json", "some computers cannot hold"),
    "dot at the end": ("tiny/PWNED.", "some computers cannot hold"),
    "line break": ("tiny/PW\nNED", "forbidden character"),
    "stream": ("tiny/card.json:PWNED", "forbidden character"),
    "zip inside": ("tiny/PWNED.zip", "is an archive in the archive"),
    "very long": ("tiny/" + "x" * 300, "too long a name"),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_row_27_names_of_members(desk, case):
    name, found = MEMBERS[case]
    file = hostile.write_zip(desk.inputs / "model.zip", {"tiny/card.json": b"{}", name: b"x"})
    refuses_archive(desk, file, found)


def test_row_27_link(desk):
    file = desk.inputs / "model.zip"
    link = zipfile.ZipInfo("tiny/link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny/card.json", "{}")
        archive.writestr(link, "/tmp")
        archive.writestr("tiny/link/PWNED", "x")
    refuses_archive(desk, file, "is a link or a device")


SAME_NAMES = {
    "file": ("tiny/card.json", "tiny/CARD.json"),
    "folder": ("Tiny/card.json", "tiny/a.txt"),
    "composed letters": ("tiny/caf\u00e9", "tiny/cafe\u0301"),
}


@pytest.mark.parametrize(("one", "two"), SAME_NAMES.values(), ids=SAME_NAMES)
def test_row_27_names_that_differ_in_case_only(desk, one, two):
    file = hostile.write_zip(desk.inputs / "model.zip", {one: b"{}", two: b"x"})
    refuses_archive(desk, file, "are one file on some computers")


def test_row_27_member_twice(desk):
    file = desk.inputs / "model.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny/card.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("tiny/card.json", "x")
    refuses_archive(desk, file, "stands twice")


@pytest.mark.parametrize(
    ("command", "name"),
    [("install", "tiny/fold_0.safetensors"), ("import", "x__y__3d_fullres/fold_0/checkpoint_final.pth")],
)
def test_row_27_bomb(desk, command, name):
    (desk.home / "models").mkdir()
    members = {"tiny/card.json": b"{}"} if command == "install" else {}
    file = desk.inputs / "model.zip"
    hostile.write_zip(file, members | {name: bytes(BOMB_BYTES)}, zipfile.ZIP_DEFLATED)
    desk.refuses(["models", command, file], "grow more than 200-fold", ";")


def test_row_27_cut(desk, mr):
    file = Path(shutil.make_archive(str(desk.inputs / "model"), "zip", mr))
    file.write_bytes(file.read_bytes()[:-30])
    refuses_archive(desk, file, "cut off")


def test_row_27_no_zip(desk):
    refuses_archive(desk, desk.save("model.zip", b"x" * 100), "not a zip file")


ZIPS = ("nested_zip", "parent_member", "absolute_member", "symlink_member")


@pytest.mark.parametrize("name", ZIPS)
def test_row_27_archives_of_the_reference_data(desk, oracle, name):
    refuses_archive(desk, oracle / "malicious" / f"{name}.zip", f"{name}.zip")


CHECKPOINTS = (
    *("os_system", "builtins_eval", "io_open", "global_plain_function", "os_system_old_format"),
    *("plain_pickle_exec", "truncated", "tensor_larger_than_storage", "stride_outside_storage"),
    "storage_record_too_short",
)


def refuses_checkpoint(desk, folder: Path, scan: Path, found: str) -> None:
    """A results folder is neither imported nor run."""
    (desk.home / "models").mkdir(exist_ok=True)
    desk.refuses(["models", "import", folder], found, ";")
    desk.refuses_image(scan, folder, found, ";")


@pytest.fixture
def results(desk, mr) -> Path:
    """A results folder whose checkpoint will be replaced."""
    folder = desk.inputs / mr.name
    shutil.copytree(mr, folder)
    return folder


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize("place", ["alone", "in a results folder"])
def test_row_28_checkpoints_of_the_reference_data(desk, oracle, results, scan, name, place):
    source = oracle / "malicious" / f"{name}.pth"
    if place == "alone":
        refuses_checkpoint(desk, source, scan, f"{name}.pth")
    else:
        shutil.copy(source, results / CHECKPOINT)
        refuses_checkpoint(desk, results, scan, "checkpoint_final.pth")


def test_row_28_class_path_in_the_plans(desk, oracle, results, scan):
    plans = json.loads((oracle / "malicious" / "plans_class_path_os_system.json").read_text())
    configurations = plans["configurations"]
    plans["configurations"] = {"3d_fullres": next(iter(configurations.values()))}
    (results / "plans.json").write_text(json.dumps(plans))
    refuses_checkpoint(desk, results, scan, "os.system")


class Touch:
    """Pickles as a call of os.system."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {hostile.CANARY}",)


class Foreign:
    """A class that no checkpoint of nnU-Net holds."""


def _own(weights: dict[str, torch.Tensor], **changes: object) -> dict[str, Any]:
    return hostile.checkpoint_content(weights, **changes)


WEIGHTS = {"w": torch.zeros(2)}
CONTENTS = {
    "os.system among the weights": lambda: _own(WEIGHTS | {"v": Touch()}),
    "os.system in the log": lambda: _own(WEIGHTS, logging={"a": [Touch()]}),
    "os.system as a key": lambda: {Touch(): 1} | _own(WEIGHTS),
    "nested pickle": lambda: _own(WEIGHTS, logging=NestedPickle()),
    "foreign class": lambda: _own(WEIGHTS, trainer_name=Foreign()),
    "foreign class as optimizer": lambda: _own(WEIGHTS, optimizer_state=Foreign()),
    "a whole network": lambda: torch.nn.Linear(2, 2),
    "a function": lambda: _own(WEIGHTS, trainer_name=print),
}


class NestedPickle:
    """Pickles as a call of pickle.loads on a hostile pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (pickle.dumps(Touch()),)


@pytest.mark.parametrize("case", CONTENTS)
def test_row_28_pickles(desk, results, scan, case):
    torch.save(CONTENTS[case](), results / CHECKPOINT)
    refuses_checkpoint(desk, results, scan, "refused, for it holds")


@pytest.mark.parametrize("member", ["data.pkl", "data/0"])
def test_row_28_member_with_a_bad_checksum(desk, results, scan, member):
    """One bit of the pickle, or of the weights, is not what it was."""
    path = results / CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        (entry,) = [entry for entry in archive.infolist() if entry.filename.endswith(f"/{member}")]
    content = path.read_bytes()
    name_length, extra_length = struct.unpack_from("<2H", content, entry.header_offset + 26)
    start = entry.header_offset + LOCAL_HEADER_BYTES + name_length + extra_length
    damaged = bytearray(content)
    damaged[start + 5] ^= 1
    path.write_bytes(bytes(damaged))
    refuses_checkpoint(desk, results, scan, "damaged")
