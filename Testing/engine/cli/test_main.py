"""Exit status, one line for each error, and how soon the help is there."""

import json
import logging
import subprocess
import sys
import time

import pytest

from umamba.cli import doctor, main, stop
from umamba.errors import Cancelled, InputError
from umamba.version import __version__

# The promise is 0.5 s; a shared machine gets three tries.
HELP_SECONDS = 0.5
TRIES = 3
SEGMENT = ("segment", "a.nii.gz", "-o", "b.nii.gz", "--model", "m")
HEAVY = ("torch", "numba", "numpy", "SimpleITK", "scipy", "PIL", "rich", "jsonschema", "psutil")


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "umamba", *words], capture_output=True, text=True, timeout=60
    )


def error_lines(capsys):
    captured = capsys.readouterr()
    return captured.err.splitlines()


def test_help_is_there_at_once():
    seconds = []
    for _ in range(TRIES):
        start = time.perf_counter()
        done = run("--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0
        assert done.stdout.startswith("usage: umamba")
    assert min(seconds) < HELP_SECONDS


@pytest.mark.parametrize("words", [["--help"], ["segment", "--help"], ["models", "--help"], ["--version"]])
def test_no_heavy_library_is_loaded_to_help(words):
    code = f"from umamba.cli.main import main; code = main({words!r}); print(*sys.modules); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert set(HEAVY).isdisjoint(done.stdout.splitlines()[-1].split())


def test_version(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"umamba {__version__}\n"


@pytest.mark.parametrize("command", ["batch"])
def test_commands_of_later_versions(capsys, command):
    assert main.main([command, "x", "--anything"]) == 2
    (line,) = error_lines(capsys)
    assert line.startswith(f"umamba: error: `umamba {command}`")
    assert "later version" in line


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "no command given"),
        (["--json"], "no command given"),
        (["segmnt"], "unknown command 'segmnt'"),
        (["segment"], "required"),
        (["segment", "a.nii.gz", "-o", "b.nii.gz"], "--model"),
        ([*SEGMENT, "--colour"], "--colour"),
        (["segment", "a.nii.gz", "-o", "b.nii.gz", "--mod", "m"], "--mod"),
        ([*SEGMENT, "--roi", "1,2", "--quiet"], "--roi"),
        ([*SEGMENT, "--roi", "1,2,3,4,5,6", "--around", "1,2,3"], "--around"),
        ([*SEGMENT, "--threads", "0"], "--threads"),
        (["segment", __file__, "-o", "b.dcm", "--model", "m"], "DICOM SEG comes in a later release"),
        (["segment", __file__, "-o", "b.gif", "--model", "m"], "cannot be written as .gif"),
        (["segment", __file__, "-o", "b.nrrd", "--model", "m"], "no model 'm'"),
        (["segment", "a", "-o", "b.nrrd", "--model", "m"], "a: cannot be read"),
        (["plan", "CT=a", "--model", "m"], "a: cannot be read"),
        (["models"], "list, show"),
        (["models", "shw"], "unknown command 'shw'"),
        (["models", "show"], "ID"),
        (["doctor", "twice"], "twice"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(capsys, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    assert main.main(words) == 2
    (line,) = error_lines(capsys)
    assert line.startswith("umamba: error: ")
    assert part in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("raised", "status", "part"),
    [
        (InputError("wrong\nin two lines"), 2, "error: wrong in two lines"),
        (Cancelled(), 130, "cancelled"),
        (KeyboardInterrupt(), 130, "cancelled"),
        (ZeroDivisionError("by zero"), 1, "--debug"),
        (MemoryError(), 1, "MemoryError"),
    ],
)
def test_whatever_ends_a_command_is_one_line_and_a_status(capsys, monkeypatch, raised, status, part):
    def fail(words, stop):
        raise raised

    monkeypatch.setattr(doctor, "run", fail)
    assert main.main(["doctor"]) == status
    (line,) = error_lines(capsys)
    assert part in line


def test_debug_shows_where_a_fault_arose(capsys, monkeypatch):
    def fail(words, stop):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(doctor, "run", fail)
    assert main.main(["doctor", "--debug"]) == 1
    lines = error_lines(capsys)
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("umamba: error: a fault of this program: ZeroDivisionError: by zero")


def test_json_says_the_error_too(capsys, monkeypatch):
    def fail(words, stop):
        raise InputError("wrong")

    monkeypatch.setattr(doctor, "run", fail)
    assert main.main(["doctor", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"event": "error", "kind": "input", "message": "wrong"}
    assert captured.err == "umamba: error: wrong\n"


def test_a_reader_that_leaves_is_no_fault():
    command = f"{sys.executable} -m umamba --help | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_the_first_signal_asks_and_the_second_interrupts():
    with stop.Stop() as asked, asked.gently():
        stop.signal.raise_signal(stop.signal.SIGTERM)
        assert asked()
        with pytest.raises(Cancelled):
            asked.check()
        with pytest.raises(KeyboardInterrupt):
            stop.signal.raise_signal(stop.signal.SIGINT)


def test_outside_a_run_a_signal_interrupts_at_once():
    with stop.Stop() as asked, pytest.raises(KeyboardInterrupt):
        stop.signal.raise_signal(stop.signal.SIGINT)
    assert asked()


def test_what_debug_sets_up_ends_with_the_command(capsys):
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("umamba").level)
    assert main.main(["models", "shw", "--debug"]) == 2
    assert (root.handlers, root.level, logging.getLogger("umamba").level) == before
