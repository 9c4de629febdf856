"""Output files appear whole or not at all; inputs that cannot be read are told in one line."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from umamba.errors import InputError
from umamba.imaging.files import atomic_write, check_space, checked_input, suffix_of, write_json

OLD, NEW = b"what was there before", b"what was written"
# Processes that all want to write the same file.
WRITERS = 6


def write(path, overwrite=False, then=lambda hidden: None):
    """Write NEW through a hidden file; `then` happens before the block ends."""
    with atomic_write(path, overwrite) as hidden:
        hidden.write_bytes(NEW)
        then(hidden)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.nii.gz", "a b.nrrd", "ärzte.mha", "脳 スキャン.nii.gz", "🧠.seg.nrrd"])
def test_a_file_appears_whole(tmp_path, name):
    path = tmp_path / name
    with atomic_write(path) as hidden:
        assert suffix_of(hidden) == suffix_of(path)
        assert hidden.name.startswith(".")
        hidden.write_bytes(NEW)
        assert not path.exists()
    assert path.read_bytes() == NEW
    assert names(tmp_path) == [name]


def test_an_existing_file_is_left_alone(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(OLD)
    with pytest.raises(InputError, match=r"^a\.nii\.gz: exists already"), atomic_write(path):
        raise AssertionError("the block must not run")
    assert path.read_bytes() == OLD
    with atomic_write(path, overwrite=True) as hidden:
        hidden.write_bytes(NEW)
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["a.nii.gz"]


def test_a_file_that_came_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "a.nii.gz"
    with pytest.raises(InputError, match="by someone else meanwhile"):
        write(path, then=lambda hidden: path.write_bytes(OLD))
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["a.nii.gz"]


@pytest.mark.parametrize("links", [True, False])
def test_file_systems_without_hard_links(tmp_path, monkeypatch, links):
    def no_links(*_):
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a.nii.gz"
    with atomic_write(path) as hidden:
        hidden.write_bytes(NEW)
    assert path.read_bytes() == NEW
    with pytest.raises(InputError, match=r"exists|meanwhile"):
        write(tmp_path / "b", then=lambda hidden: (tmp_path / "b").write_bytes(OLD))
    assert (tmp_path / "b").read_bytes() == OLD
    assert names(tmp_path) == ["a.nii.gz", "b"]


@pytest.mark.parametrize("error", [RuntimeError("fault"), KeyboardInterrupt(), InputError("other")])
@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_raised_inside_leaves_nothing_behind(tmp_path, error, overwrite):
    path = tmp_path / "a.nii.gz"
    if overwrite:
        path.write_bytes(OLD)

    def fail(hidden):
        raise error

    with pytest.raises(type(error)):
        write(path, overwrite, then=fail)
    assert names(tmp_path) == (["a.nii.gz"] if overwrite else [])
    assert not overwrite or path.read_bytes() == OLD


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk(tmp_path, monkeypatch, code):
    def full(_):
        raise OSError(code, "full")

    path = tmp_path / "a.nii.gz"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(InputError, match=r"a\.nii\.gz: .*the disk is full"),
        atomic_write(path, True) as hidden,
    ):
        hidden.write_bytes(NEW)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["a.nii.gz"]


def test_a_file_larger_than_allowed(tmp_path):
    """The operating system's own refusal in the middle of the writing, in a process of its own."""
    code = (
        "import resource, sys\n"
        "from umamba.errors import InputError\n"
        "from umamba.imaging.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with atomic_write(sys.argv[1]) as hidden:\n"
        "        hidden.write_bytes(bytes(100_000))\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.nii")], capture_output=True, text=True, check=True
    )
    assert "the disk is full" in run.stdout
    assert names(tmp_path) == []


def test_a_folder_that_went_away(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()

    def vanish(hidden):
        hidden.unlink()
        folder.rmdir()

    with pytest.raises(InputError, match="does not exist"):
        write(folder / "a.nii", then=vanish)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/a.nii", "its folder does not exist"),
        ("file.txt/a.nii", "not a folder|does not exist"),
        ("folder", "is a folder"),
        ("x" * 300 + ".nii.gz", "name is too long"),
        ("y" * 250 + ".nii.gz", "name is too long"),
        ("/proc/umamba.nii", "no permission|does not exist|cannot be written"),
        ("zero\0byte.nii", "null"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, path, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").touch()
    before = names(tmp_path)
    with pytest.raises(InputError, match=message) as caught, atomic_write(tmp_path / path):
        raise AssertionError("the block must not run")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"), atomic_write(tmp_path / "a.nii"):
        raise AssertionError("the block must not run")
    tmp_path.chmod(0o700)


def test_a_long_name_that_fits(tmp_path):
    path = tmp_path / ("z" * 248 + ".nii.gz")
    with atomic_write(path) as hidden:
        hidden.write_bytes(NEW)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_many_writers_one_wins(tmp_path, overwrite):
    code = (
        "import sys\n"
        "from umamba.errors import InputError\n"
        "from umamba.imaging.files import atomic_write\n"
        "path, number, overwrite = sys.argv[1], sys.argv[2], sys.argv[3] == 'True'\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    with atomic_write(path, overwrite) as hidden:\n"
        "        hidden.write_text(number * 1_000_000)\n"
        "    print('won')\n"
        "except InputError as error:\n"
        "    print('lost', error)\n"
    )
    path = tmp_path / "a.txt"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(number), str(overwrite)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    results = [writer.communicate()[0] for writer in writers]
    won = [number for number, result in enumerate(results) if result == "won\n"]
    content = path.read_text()
    assert len(content) == 1_000_000
    assert len(set(content)) == 1
    assert int(content[0]) in won
    assert names(tmp_path) == ["a.txt"]
    assert len(won) == (WRITERS if overwrite else 1)


def test_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"größe": [1, 2.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"größe": [1, 2.5, None]}
    with pytest.raises(InputError, match="exists already"):
        write_json(path, {})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"x": float("nan")}, overwrite=True)
    assert names(tmp_path) == ["a.json"]


def test_space(tmp_path):
    check_space(tmp_path, 1)
    with pytest.raises(InputError, match=r"MB are free on its disk, .* MB are needed"):
        check_space(tmp_path, 10**18)
    with pytest.raises(InputError, match="does not exist"):
        check_space(tmp_path / "missing", 1)


def test_inputs_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.nii").touch()
    (tmp_path / "loop.nii").symlink_to(tmp_path / "pool.nii")
    (tmp_path / "pool.nii").symlink_to(tmp_path / "loop.nii")
    os.mkfifo(tmp_path / "pipe.nii")
    for name, message in {
        "missing.nii": "does not exist",
        "empty.nii": "file is empty",
        "loop.nii": "links lead back",
        "pipe.nii": "neither a file nor a folder",
        "x" * 300: "name is too long",
        "zero\0byte": "null",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            checked_input(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert checked_input(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("A.NII.GZ", ".nii.gz"), ("a.b.seg.nrrd", ".seg.nrrd"), ("x.nrrd", ".nrrd"), ("x.gz", ".gz"), ("x", "")],
)
def test_suffixes(name, suffix):
    assert suffix_of(Path("folder.nii") / name) == suffix
