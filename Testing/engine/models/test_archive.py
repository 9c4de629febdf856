"""Unpacking: hostile zips leave nothing anywhere, harmless ones arrive whole."""

import shutil
import stat
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from engine.models.hostile_files import files_below, write_zip
from umamba.errors import InputError, ModelError
from umamba.models import archive
from umamba.models.archive import pack, unpack

GOOD = {"model/plans.json": b"{}", "model/fold_0/a.bin": bytes(range(256)) * 40}


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty folder to unpack into, with one above it that must stay empty too."""
    folder = tmp_path / "above" / "below"
    folder.mkdir(parents=True)
    return folder


def refused(path: Path, folder: Path, said: str) -> None:
    with pytest.raises(ModelError, match=said) as refusal:
        unpack(path, folder, lambda names: names)
    assert "\n" not in str(refusal.value)
    assert not files_below(folder.parent) - {folder}


def test_harmless_members_arrive(tmp_path, folder):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = write_zip(tmp_path / "a.zip", GOOD, method)
        unpack(path, folder, lambda names: names)
        for name, content in GOOD.items():
            assert (folder / name).read_bytes() == content
        shutil.rmtree(folder / "model")


def test_only_the_chosen_members_arrive(tmp_path, folder):
    path = write_zip(tmp_path / "a.zip", GOOD)
    unpack(path, folder, lambda names: [name for name in names if name.suffix == ".json"])
    assert [entry.name for entry in files_below(folder) if entry.is_file()] == ["plans.json"]


NAMES = {
    "parent": "../PWNED",
    "parent inside": "model/../../PWNED",
    "parent at the end": "model/..",
    "this folder": "./PWNED",
    "absolute": "/tmp/PWNED",
    "double slash": "//host/PWNED",
    "empty part": "model//PWNED",
    "drive": "C:/PWNED",
    "drive without slash": "c:PWNED",
    "backslash": "..\\PWNED",
    "share": "\\\\host\\share\\PWNED",
    "stream": "plans.json:PWNED",
    "line break": "model/a\nPWNED",
    "escape": "model/\x1b[31mPWNED",
    "question mark": "model/PWNED?",
    "trailing dot": "model/PWNED.",
    "trailing space": "model /PWNED",
    "device": "model/NUL",
    "device with suffix": "model/com1.txt",
    "long": "model/" + "a" * 500,
    "long in bytes": "model/" + "ä" * 200,
    "deep and long": "model/" + "a/" * 300 + "PWNED",
    "nested zip": "model/inner.zip",
    "nested tar": "model/inner.TAR.GZ",
}


@pytest.mark.parametrize("case", NAMES, ids=str)
@pytest.mark.usefixtures("nothing_happens")
def test_names_that_could_do_harm_are_refused(tmp_path, folder, case):
    path = write_zip(tmp_path / "a.zip", {"model/plans.json": b"{}", NAMES[case]: b"x"})
    refused(path, folder, "nothing was unpacked")


def test_a_zero_byte_in_a_name_is_refused(tmp_path, folder):
    path = write_zip(tmp_path / "a.zip", {"model/planszjson": b"x"})
    path.write_bytes(path.read_bytes().replace(b"planszjson", b"plans\0json"))
    refused(path, folder, "forbidden character")


@pytest.mark.parametrize(
    "names",
    [
        ("model/a.json", "model/A.json"),
        ("model/a.json", "Model/b.json"),
        ("model/ä.json", "model/a\u0308.json"),  # one letter, or a letter and its dots
        ("model/ﬁ.json", "model/fi.json"),  # a ligature
        ("model/straße", "model/strasse"),
    ],
)
def test_names_that_are_one_file_somewhere_are_refused(tmp_path, folder, names):
    refused(write_zip(tmp_path / "a.zip", dict.fromkeys(names, b"x")), folder, "one file on some computers")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path, folder):
    path = write_zip(tmp_path / "a.zip", GOOD)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("model/plans.json", b"[]")
    refused(path, folder, "twice")


def test_a_file_below_a_file_is_refused(tmp_path, folder):
    refused(write_zip(tmp_path / "a.zip", {"model/a": b"x", "model/a/b": b"x"}), folder, "below a file")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path, folder, kind):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        entry = zipfile.ZipInfo("model/fold_0")
        entry.create_system = 3
        entry.external_attr = (kind | 0o777) << 16
        file.writestr(entry, "/tmp")
        file.writestr("model/fold_0/PWNED", "x")
    refused(path, folder, "link or a device")


def test_bombs_are_refused(tmp_path, folder):
    one = write_zip(tmp_path / "a.zip", {"model/a": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    refused(one, folder, "grow more than")
    many = {f"model/{n}": bytes(900_000) for n in range(20)}  # each small enough to be harmless
    refused(write_zip(tmp_path / "b.zip", many, zipfile.ZIP_DEFLATED), folder, "more than any model")


def test_a_small_file_of_zeros_is_no_bomb(tmp_path, folder):
    path = write_zip(tmp_path / "a.zip", {"model/a": bytes(900_000)}, zipfile.ZIP_DEFLATED)
    unpack(path, folder, lambda names: names)
    assert (folder / "model" / "a").stat().st_size == 900_000


def test_an_empty_label_map_that_is_not_wanted_does_no_harm(tmp_path, folder):
    members = GOOD | {"model/fold_0/validation/case.nii": bytes(5_000_000)}
    path = write_zip(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED)
    unpack(path, folder, lambda names: [name for name in names if name.suffix == ".json"])
    assert [entry.name for entry in files_below(folder) if entry.is_file()] == ["plans.json"]


def test_too_many_members_are_refused(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 10)
    refused(write_zip(tmp_path / "a.zip", {str(n): b"" for n in range(11)}), folder, "11 members")


def test_a_strange_compression_is_refused(tmp_path, folder):
    refused(write_zip(tmp_path / "a.zip", GOOD, zipfile.ZIP_LZMA), folder, "deflate")


def test_a_member_that_lies_about_its_size_is_refused(tmp_path, folder):
    """The directory says 10 bytes where 1,000 are packed: not one byte more than said is taken."""
    path = write_zip(tmp_path / "a.zip", {"model/a": bytes(1_000)}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.zip"):
        unpack(path, folder, lambda names: names)
    assert all(entry.stat().st_size <= 10 for entry in files_below(folder) if entry.is_file())


def test_a_wrong_checksum_is_found(tmp_path, folder):
    path = write_zip(tmp_path / "a.zip", GOOD)
    content = path.read_bytes()
    path.write_bytes(content.replace(bytes(range(256)), bytes(256), 1))
    with pytest.raises(ModelError, match="CRC"):
        unpack(path, folder, lambda names: names)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.99])
def test_a_truncated_zip_is_refused(tmp_path, folder, part):
    path = write_zip(tmp_path / "a.zip", GOOD)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refused(path, folder, r"a\.zip")


@pytest.mark.parametrize("file", ["parent_member", "absolute_member", "symlink_member", "nested_zip"])
@pytest.mark.usefixtures("nothing_happens")
def test_hostile_archives_are_refused(oracle, folder, file):
    refused(oracle / "malicious" / f"{file}.zip", folder, "nothing was unpacked")


def test_a_full_disk_is_seen_before(tmp_path, folder, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1_000))
    with pytest.raises(InputError, match="GB free"):
        unpack(write_zip(tmp_path / "a.zip", GOOD), folder, lambda names: names)
    assert not files_below(folder)


def test_a_disk_that_fills_up_is_one_line(tmp_path, folder):
    (folder / "model").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        unpack(write_zip(tmp_path / "a.zip", GOOD), folder, lambda names: names)


def test_packing_twice_gives_the_same_bytes(tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("hello")
    pack(tmp_path / "1.zip", [("m/a.txt", source)])
    source.chmod(0o600)
    source.touch()
    pack(tmp_path / "2.zip", [("m/a.txt", source)])
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as file:
        assert file.read("m/a.txt") == b"hello"
        assert file.testzip() is None
