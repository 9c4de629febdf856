"""Files of a run: refused before it where they cannot be written, moved to their places all or none."""

import errno
from pathlib import Path

import pytest

from umamba.cli.outputs import Outputs
from umamba.errors import Cancelled, InputError

# More than any disk has.
TOO_MUCH_BYTES = 10**18


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_all(outputs: Outputs, texts: dict[Path, str], then: BaseException | None = None) -> None:
    with outputs.staged() as staging:
        for path, text in texts.items():
            staging.path(path).write_text(text)
        if then is not None:
            raise then
        staging.commit()


def test_all_files_appear_at_commit_and_nothing_else(tmp_path):
    (tmp_path / "other").mkdir()
    outputs = Outputs(overwrite=False)
    first = outputs.add("-o", tmp_path / "a.nii.gz", (".nii.gz",))
    second = outputs.add("--volumes", tmp_path / "other" / "a.csv")
    with outputs.staged() as staging:
        staging.path(first).write_text("labels")
        staging.path(second).write_text("volumes")
        assert not first.exists()
        staging.commit()
    assert (first.read_text(), second.read_text()) == ("labels", "volumes")
    assert names_in(tmp_path) == ["a.nii.gz", "other"]
    assert names_in(tmp_path / "other") == ["a.csv"]


@pytest.mark.parametrize("reason", [Cancelled("stop"), KeyboardInterrupt(), InputError("bad"), ValueError()])
def test_nothing_is_left_when_the_run_ends_before_commit(tmp_path, reason):
    outputs = Outputs(overwrite=False)
    path = outputs.add("-o", tmp_path / "a.nrrd")
    with pytest.raises(type(reason)):
        write_all(outputs, {path: "half"}, then=reason)
    assert names_in(tmp_path) == []


def test_a_file_that_came_meanwhile_is_kept_and_the_others_are_taken_back(tmp_path):
    outputs = Outputs(overwrite=False)
    first, second = (outputs.add("-o", tmp_path / name) for name in ("a.nrrd", "b.csv"))
    second.write_text("theirs")
    with pytest.raises(InputError, match="meanwhile"):
        write_all(outputs, {first: "ours", second: "ours"})
    assert names_in(tmp_path) == ["b.csv"]
    assert second.read_text() == "theirs"


def test_replaced_files_come_back_when_a_later_one_fails(tmp_path):
    first, second = tmp_path / "a.nrrd", tmp_path / "b.csv"
    first.write_text("old")
    outputs = Outputs(overwrite=True)
    outputs.add("-o", first)
    outputs.add("--volumes", second)
    second.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(InputError, match="cannot be written"):
        write_all(outputs, {first: "new", second: "new"})
    assert first.read_text() == "old"
    assert names_in(tmp_path) == ["a.nrrd", "b.csv"]


def test_overwriting_replaces(tmp_path):
    path = tmp_path / "a.nrrd"
    path.write_text("old")
    outputs = Outputs(overwrite=True)
    outputs.add("-o", path)
    write_all(outputs, {path: "new"})
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["a.nrrd"]


def test_a_full_disk_is_told_in_one_line(tmp_path):
    outputs = Outputs(overwrite=False)
    path = outputs.add("-o", tmp_path / "a.nrrd")
    with pytest.raises(InputError, match="disk is full"):
        write_all(outputs, {path: "half"}, then=OSError(errno.ENOSPC, "No space left on device"))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gif", r"unknown suffix; choose \.nrrd"),
        ("missing/a.nrrd", "does not exist; create it first"),
        ("there.nrrd", "add --overwrite"),
        ("folder.nrrd", "is a folder"),
        ("x" * 300 + ".nrrd", "name is too long"),
        ("zero\0byte.nrrd", "cannot be written"),
    ],
)
def test_what_is_refused_before_the_run(tmp_path, name, message):
    (tmp_path / "there.nrrd").touch()
    (tmp_path / "folder.nrrd").mkdir()
    before = names_in(tmp_path)
    with pytest.raises(InputError, match=message):
        Outputs(overwrite=False).add("-o", tmp_path / name, (".nrrd",))
    assert names_in(tmp_path) == before


def test_two_outputs_of_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = Outputs(overwrite=True)
    outputs.add("-o", Path("a.nrrd"))
    with pytest.raises(InputError, match=r"--classes and -o name the same file"):
        outputs.add("--classes", tmp_path / "." / "a.nrrd")


def test_an_output_that_is_an_input(tmp_path):
    scan = tmp_path / "scan.nii.gz"
    scan.touch()
    (tmp_path / "link.nii.gz").symlink_to(scan)
    outputs = Outputs(overwrite=True)
    outputs.add("-o", scan)
    with pytest.raises(InputError, match="is an input"):
        outputs.keep_apart_from([tmp_path / "link.nii.gz"])


def test_room_on_the_disk(tmp_path):
    outputs = Outputs(overwrite=False)
    outputs.check_space({tmp_path / "a": 1, tmp_path / "b": 1})
    with pytest.raises(InputError, match="MB left"):
        outputs.check_space({tmp_path / "a": 1, tmp_path / "b": TOO_MUCH_BYTES})
