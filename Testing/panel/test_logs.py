"""The log: written, rotated, private, and never in the way."""

import logging
from pathlib import Path

import pytest

from UMambaSegmentationLib import logs


@pytest.fixture(autouse=True)
def _closed():
    yield
    logs.close_log()


def test_a_message_is_one_entry_with_time_and_level():
    logs.log("worker ended\nTraceback\n  line 2", logging.ERROR)
    lines = logs.log_file().read_text("utf-8").splitlines()
    assert lines[0].endswith("ERROR worker ended")
    assert lines[1:] == ["    Traceback", "      line 2"]


def test_the_persons_home_is_not_named(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane.doe")
    logs.log("python at /home/jane.doe/Slicer/bin/PythonSlicer")
    text = logs.log_file().read_text("utf-8")
    assert "jane.doe" not in text
    assert "~/Slicer/bin" in text


def test_it_is_rotated_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 2_000)
    for number in range(400):
        logs.log(f"entry {number:04d} " + "x" * 50)
    files = sorted(logs.logs_folder().iterdir())
    assert [file.name for file in files] == ["panel.log", "panel.log.1", "panel.log.2", "panel.log.3"]
    assert all(file.stat().st_size <= 2_000 for file in files)
    assert "entry 0399" in logs.log_file().read_text("utf-8")


def test_where_rotation_fails_it_goes_on_in_the_same_file(monkeypatch):
    """As on Windows, where another Slicer holds the file open."""
    monkeypatch.setattr(logs, "MAX_BYTES", 200)

    def refuse(*_names):
        raise PermissionError("in use")

    monkeypatch.setattr("logging.handlers.os.rename", refuse)
    for number in range(10):
        logs.log(f"entry {number} " + "x" * 60)
    assert [line.split()[4] for line in logs.log_file().read_text("utf-8").splitlines()] == list("0123456789")


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UMAMBA_HOME", str(tmp_path / "file"))
    logs.log("lost")
    monkeypatch.setenv("UMAMBA_HOME", str(tmp_path / "home"))
    logs.log("kept")
    assert "kept" in logs.log_file().read_text("utf-8")
    assert capsys.readouterr().err == ""


def test_nothing_reaches_the_applications_own_log(caplog):
    logs.log("for our file only \udcff")
    assert not caplog.records
    assert "\\udcff" in logs.log_file().read_text("utf-8")


def test_closing_lets_the_file_go():
    logs.log("one")
    logs.close_log()
    assert not logging.getLogger(logs.LOGGER_NAME).handlers
    Path(logs.log_file()).unlink()
    logs.log("two")
    assert logs.log_file().read_text("utf-8").count("\n") == 1
