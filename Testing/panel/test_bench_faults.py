"""Faults that raise nowhere fail the test in which they happen; and the bench says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import qt
import slicer

from bench import environment, events, modules
from bench.faults import FAULTS

HERE = Path(__file__).resolve().parent

FAULTY = """
import pytest, qt, slicer, sys, vtk

def test_slot():
    button = qt.QPushButton("x")
    button.connect("clicked(bool)", lambda: 1 / 0)
    button.click()

def test_signal_attribute():
    button = qt.QPushButton("x")
    button.clicked.connect(lambda: 1 / 0)
    button.click()

def test_observer(scene):
    scene.AddObserver("ModifiedEvent", lambda caller, event: 1 / 0)
    scene.Modified()
    scene.RemoveAllObservers()

def test_vtk_error():
    reader = vtk.vtkXMLImageDataReader()
    reader.SetFileName("/nowhere/at/all.vti")
    reader.Update()

def test_vtk_warning():
    vtk.vtkOutputWindow.GetInstance().DisplayWarningText("careful")

def test_mrml_error():
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene).SetItemParent(5000, 6000)

def test_qt_warning():
    widget = qt.QWidget()
    layouts = [qt.QVBoxLayout(widget), qt.QVBoxLayout(widget)]

def test_process_left_running():
    process = qt.QProcess()
    process.start(sys.executable, ["-c", "import time; time.sleep(60)"])
    assert process.waitForStarted(5000)
    del process

def test_database():
    with pytest.raises(RuntimeError):
        slicer.dicomDatabase.fileForInstance("1.2.3")

def test_editor_order():
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSourceVolumeNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))

def test_clean():
    qt.QPushButton("x").click()
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What pytest says of each test above, run with the panel's own conftest in a process of its own."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "test_faulty.py").write_text(FAULTY, encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-rA", "-q"]
    run = subprocess.run(
        [*words, "--rootdir", folder, folder],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found: dict[str, list[str]] = {}
    for line in run.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("PASSED", "ERROR", "FAILED"):
            found.setdefault(rest.split("::")[-1].split(" ")[0], []).append(word)
    assert "test_clean" in found, run.stdout + run.stderr
    return found


def test_a_test_without_faults_passes(outcomes) -> None:
    assert outcomes["test_clean"] == ["PASSED"]


@pytest.mark.parametrize(
    "name", [line.split("(")[0][9:] for line in FAULTY.splitlines() if line.startswith("def test_")][:-1]
)
def test_a_fault_that_raises_nowhere_fails_its_test(outcomes, name: str) -> None:
    assert "ERROR" in outcomes[f"test_{name}"]


PUMPING = """
def pump(target):
    target.processEvents()
"""


def test_the_product_may_not_pump_events(app, monkeypatch, tmp_path) -> None:
    path = tmp_path / "product.py"
    code: dict = {}
    exec(compile(PUMPING, str(path), "exec"), code)
    code["pump"](app)  # someone else's code
    monkeypatch.setattr(events, "PRODUCT", tmp_path)
    for target in (app, qt.QCoreApplication, qt.QApplication, qt.QEventLoop()):
        with pytest.raises(RuntimeError, match="processEvents"):
            code["pump"](target)
    assert [fault.split(": ")[-1] for fault in FAULTS.take()] == ["product.py:3"] * 4


def test_spin_waits_and_gives_up(spin) -> None:
    done = []
    qt.QTimer.singleShot(30, lambda: done.append(1))
    spin(lambda: done, seconds=5)
    with pytest.raises(AssertionError, match=r"not so within 0\.05 s"):
        spin(lambda: False, seconds=0.05)


# Where the bench cannot stand -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "kind", "message"),
    [
        ("slicer", environment.BenchError, r"slicer-core is not installed .*; type: make setup"),
        ("PySide6", environment.BenchError, r"PySide6-Essentials is not installed; type: make setup"),
        ("PySide6.QtGui", environment.LibraryError, r"library \(libEGL.*; type: apt-get install .*libegl1"),
    ],
)
def test_what_is_missing_is_named_with_the_line_to_type(missing: str, kind: type, message: str) -> None:
    def load(name: str) -> object:
        if name == missing:
            raise ImportError("libEGL.so.1: cannot open shared object file")
        return sys.modules.get(name)

    with pytest.raises(kind, match=message):
        environment.check(load)


def test_a_session_without_slicer_stops_with_one_sentence(tmp_path) -> None:
    (tmp_path / "slicer.py").write_text("raise ImportError", encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--confcutdir", HERE, HERE]
    run = subprocess.run(
        words, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    said = run.stdout + run.stderr
    assert run.returncode == 4
    assert "the panel's tests cannot run: slicer-core is not installed" in said
    assert "skipped" not in said


@pytest.fixture
def machine(monkeypatch):
    """A computer whose Qt lacks a library until apt-get has run; `machine.root` says who sits at it."""
    state = types.SimpleNamespace(root=True, apt="/usr/bin/apt-get", lacking=True, ran=[], works=True)

    def check() -> None:
        if state.lacking:
            raise environment.LibraryError("Qt lacks a system library; type: apt-get")

    def run(words: list[str], **_: object) -> object:
        state.ran.append(words)
        state.lacking = state.lacking and not (state.works and "install" in words)
        return types.SimpleNamespace(returncode=0 if state.works else 100)

    monkeypatch.setattr(environment, "check", check)
    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0 if state.root else 1000)
    monkeypatch.setattr(environment.shutil, "which", lambda name: state.apt)
    return state


def test_setup_installs_system_libraries_where_it_may(machine) -> None:
    assert environment.main() == 0
    assert machine.ran[-1] == environment.APT_LINE.split()


@pytest.mark.parametrize("change", [{"root": False}, {"apt": None}, {"works": False}])
def test_setup_says_what_to_type_where_it_may_not(machine, capsys, change: dict) -> None:
    vars(machine).update(change)
    assert environment.main() == 2
    assert environment.APT_LINE in capsys.readouterr().err


def test_another_pyside_is_refused() -> None:
    class Old:
        __version__ = "6.8.3"

    with pytest.raises(environment.BenchError, match=r"6\.8\.3 is installed, 6\.12\.0 is needed"):
        environment.check(lambda name: Old)


def test_a_database_that_a_test_gives_is_used(monkeypatch) -> None:
    class Database:
        def fileForInstance(self, uid: str) -> str:
            return f"/{uid}.dcm"

    assert isinstance(slicer.dicomDatabase, modules.NoDatabase)
    monkeypatch.setattr(slicer, "dicomDatabase", Database())
    assert slicer.dicomDatabase.fileForInstance("1.2") == "/1.2.dcm"
