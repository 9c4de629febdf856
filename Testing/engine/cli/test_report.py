"""What a run tells: a bar where a terminal is, JSON lines for programs, otherwise lines."""

import io
import json
import sys

import pytest

from umamba.cli.report import Report
from umamba.events import Progress

STEP = Progress("predict", 3, 8, 42.0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(report: Report) -> None:
    with report.progress() as show:
        show(STEP)


def test_a_terminal_gets_a_bar_with_stage_and_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", terminal)
    shown(Report(as_json=False, quiet=False))
    text = terminal.getvalue()
    assert "predict" in text
    assert "3/8" in text
    assert "42 s left" in text


@pytest.mark.parametrize("quiet", [True, False])
def test_a_pipe_gets_none(capsys, quiet):
    shown(Report(as_json=False, quiet=quiet))
    assert capsys.readouterr() == ("", "")


def test_a_quiet_terminal_gets_none(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    shown(Report(as_json=False, quiet=True))
    assert terminal.getvalue() == ""


def test_a_program_gets_lines_of_json(capsys):
    shown(Report(as_json=True, quiet=False))
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "event": "progress",
        "stage": "predict",
        "done": 3,
        "total": 8,
        "seconds_left": 42.0,
    }
    assert told.err == ""


def test_a_warning_is_told_whatever_is_asked(capsys):
    Report(as_json=True, quiet=True).warning("two\nlines")
    told = capsys.readouterr()
    assert told.err == "umamba: warning: two lines\n"
    assert json.loads(told.out) == {"event": "log", "level": "warning", "message": "two lines"}
