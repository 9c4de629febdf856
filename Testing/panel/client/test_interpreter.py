"""Which Python runs the engine, and in which environment."""

import json
import os
import stat
import sys

import pytest


@pytest.fixture
def interpreter(app):
    from UMambaSegmentationLib.client import interpreter

    return interpreter


def script(path, text):
    """A program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def answering(path, version, platform="linux-x86_64"):
    """A program that answers like a Python of that version."""
    return script(path, f"echo '{json.dumps([version, platform, ['/there/site-packages']])}'")


def test_slicers_own_is_the_default(interpreter, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    own = interpreter.current()
    assert (own.command, own.version, own.own) == ((sys.executable,), sys.version_info[:2], True)
    assert all(folder.endswith("-packages") for folder in own.sites)
    launcher = script(tmp_path / "PythonSlicer", "true")
    assert interpreter.current().command == (launcher,)


def test_the_launcher_beside_slicer(interpreter, app, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.setenv("PATH", str(tmp_path))
    (Path(app.slicerHome) / "bin").mkdir(exist_ok=True)
    launcher = script(Path(app.slicerHome) / "bin" / "PythonSlicer", "true")
    assert interpreter.current().command == (launcher,)
    Path(launcher).unlink()


def test_another_one_is_asked_once_and_remembered(interpreter, tmp_path, monkeypatch):
    path = answering(tmp_path / "python é", [3, 13])
    found = interpreter.choose(path)
    assert (found.command, found.version, found.own) == ((path,), (3, 13), False)
    assert (found.sites, found.name) == (("/there/site-packages",), "linux-x86_64-cp313")
    with monkeypatch.context() as asked:
        asked.setattr(interpreter, "_ask", None)  # not asked again
        assert interpreter.current() == found
    interpreter.choose("")
    assert interpreter.current().own


def test_a_chosen_one_that_is_gone_or_was_set_by_hand(interpreter, app, tmp_path):
    path = answering(tmp_path / "python", [3, 12])
    app.settings().setValue(interpreter.SETTING, path)
    assert (interpreter.current().version, interpreter.current().own) == ((3, 12), False)
    answering(tmp_path / "python", [3, 13])  # an upgrade in place
    os.utime(path, ns=(1, 1))
    assert interpreter.current().version == (3, 13)
    script(tmp_path / "python", "exit 1")
    os.utime(path, ns=(2, 2))
    assert interpreter.current().own
    assert not app.settings().contains(interpreter.SETTING)
    interpreter.choose(answering(tmp_path / "python", [3, 12]))
    (tmp_path / "python").unlink()
    assert interpreter.current().own


def test_what_is_refused(interpreter, tmp_path):
    with pytest.raises(
        interpreter.InterpreterError, match=r"This is Python 3.9; the engine needs 3.11 to 3.13\."
    ):
        interpreter.choose(answering(tmp_path / "old", [3, 9]))
    for path in (
        script(tmp_path / "silent", "exit 0"),
        script(tmp_path / "other", "echo hello"),
        str(tmp_path / "no"),
    ):
        with pytest.raises(interpreter.InterpreterError, match="not a Python"):
            interpreter.choose(path)
    assert interpreter.current().own


def test_one_that_never_answers_is_given_up(interpreter, tmp_path, monkeypatch):
    monkeypatch.setattr(interpreter, "PROBE_MS", 300)
    with pytest.raises(interpreter.InterpreterError):
        interpreter.choose(script(tmp_path / "slow", "exec sleep 100"))


def test_the_native_one_of_a_mac_is_started_natively(interpreter, tmp_path, monkeypatch):
    """Under an Intel Slicer on Apple silicon, a Python for both would start as an Intel program."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(interpreter.sysconfig, "get_platform", lambda: "macosx-10.13-x86_64")
    asked = []

    def ask(command):
        asked.append(command)
        return [[3, 12], "macosx-11.0-arm64", []] if "arch" in command[0] else None

    monkeypatch.setattr(interpreter, "_ask", ask)
    (tmp_path / "python3").touch()
    path = str(tmp_path / "python3")
    found = interpreter.choose(path)
    assert found.command == ("/usr/bin/arch", "-arm64", path)
    assert interpreter.current() == found
    start = interpreter.launch(found, "pip", ["--version"])
    assert (start.program, start.arguments[:2]) == ("/usr/bin/arch", ("-arm64", path))
    monkeypatch.setattr(interpreter, "_MAC_PYTHONS", (str(tmp_path / "python{0}"),))
    (tmp_path / "python3.12").touch()
    assert interpreter.suggestions() == (str(tmp_path / "python3.12"),)


def test_environments(interpreter, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer.util, "startupEnvironment", lambda: {"PATH": "/usr/bin", "PYTHONUTF8": "0"})
    monkeypatch.setenv("LD_LIBRARY_PATH", "/slicer/lib")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("UMAMBA_DEVICE", "cpu")
    before = dict(os.environ)
    own = interpreter.environment(interpreter.slicer_interpreter())
    assert own["LD_LIBRARY_PATH"] == "/slicer/lib"
    other = interpreter.environment(interpreter.Interpreter(("/p",), (3, 12), "", (), own=False))
    assert "LD_LIBRARY_PATH" not in other
    for made in (own, other):
        assert (made["PYTHONNOUSERSITE"], made["PYTHONUNBUFFERED"], made["PYTHONUTF8"]) == ("1", "1", "1")
        assert (made["HTTPS_PROXY"], made["UMAMBA_DEVICE"]) == ("http://proxy", "cpu")
    assert dict(os.environ) == before
