"""The bench answers as Slicer's binding does: where it did not, a fault of the panel would go unseen."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import qt
import slicer

from bench import environment, modules
from bench.faults import FAULTS

HERE = Path(__file__).resolve().parent


# Attributes -------------------------------------------------------------------------------------------------


def test_a_property_is_an_attribute() -> None:
    label = qt.QLabel("one")
    assert label.text == "one"
    label.text = "two"
    assert label.text == "two"
    with pytest.raises(TypeError, match="not callable"):
        label.text()


def test_setters_and_is_functions_stay() -> None:
    button = qt.QPushButton("x")
    button.setEnabled(False)
    assert button.enabled is False
    assert button.isEnabled() is False


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("enable", False, "none can be added"),
        ("setText", None, "is a slot"),
        ("width", 30, "cannot be written"),
        ("maximumWidth", "wide", "does not take"),
    ],
)
def test_a_wrong_assignment_is_an_error(name: str, value: object, message: str) -> None:
    button = qt.QPushButton("x")
    with pytest.raises(AttributeError, match=message):
        setattr(button, name, value)


def test_an_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'txet'"):
        _ = qt.QLabel("x").txet


def test_every_class_is_closed(app: object) -> None:
    for thing in (qt.QTimer(), qt.QVBoxLayout(), qt.QProcess(), slicer.qMRMLWidget(), app):
        with pytest.raises(AttributeError):
            thing.invented = 1


def test_a_python_subclass_is_open() -> None:
    class Filter(qt.QObject):
        def __init__(self) -> None:
            super().__init__()
            self.seen = 1

    assert Filter().seen == 1


def test_children_and_dynamic_properties_are_attributes() -> None:
    window = qt.QWidget()
    child = qt.QLabel("x", window)
    child.name = "inside"
    assert child.objectName == child.name == "inside"
    assert window.inside.text == "x"
    window.setProperty("mode", "dark")
    window.mode = "light"
    assert window.property("mode") == "light"
    assert child.className() == "QLabel"


def test_virtual_sizes_and_static_functions_stay_functions() -> None:
    done = []
    label = qt.QLabel("x")
    assert label.sizeHint().width() > 0
    qt.QTimer.singleShot(0, lambda: done.append(1))
    qt.QCoreApplication.processEvents()
    assert done == [1]


# Signals ----------------------------------------------------------------------------------------------------


@pytest.fixture
def button() -> object:
    return qt.QPushButton("x")


def test_an_unknown_signal_is_an_error(button) -> None:
    for signal in ("pressed(bool)", "clickd()", "currentNodeChanged(vtkMRMLNode*)"):
        with pytest.raises(AttributeError, match="has no signal"):
            button.connect(signal, lambda: None)
        with pytest.raises(AttributeError, match="has no signal"):
            button.disconnect(signal, lambda: None)


def test_a_signal_without_arguments_in_its_name_is_an_error(button) -> None:
    with pytest.raises(TypeError, match="argument list"):
        button.connect("clicked", lambda: None)


def test_something_that_cannot_be_called_is_no_slot(button) -> None:
    with pytest.raises(TypeError, match="no slot"):
        button.connect("clicked()", None)


def test_arguments_are_cut_to_what_a_slot_takes(button) -> None:
    got = []

    class Receiver:
        def method(self) -> None:
            got.append(("method",))

        def __call__(self, *values: object) -> None:
            got.append(("object", *values))

    def default(value: object = None) -> None:
        got.append(("default", value))

    receiver = Receiver()
    slots = [
        lambda: got.append(("none",)),
        lambda checked: got.append(("one", checked)),
        default,
        receiver.method,
        receiver,
        functools.partial(lambda *values: got.append(values), "partial"),
    ]
    for slot in slots:
        button.connect("clicked(bool)", slot)
    button.click()
    assert got == [
        ("none",),
        ("one", False),
        ("default", False),
        ("method",),
        ("object", False),
        ("partial", False),
    ]


def test_a_slot_that_wants_more_than_there_is_fails(button) -> None:
    button.connect("clicked()", lambda checked: None)
    button.click()
    assert "missing 1 required positional argument" in "".join(FAULTS.take())


def test_disconnect_takes_methods_and_says_whether_there_was_one(button) -> None:
    class Receiver:
        clicks = 0

        def on_click(self) -> None:
            self.clicks += 1

    receiver = Receiver()
    button.connect("clicked(bool)", receiver.on_click)
    button.click()
    assert button.disconnect("clicked(bool)", receiver.on_click)
    assert not button.disconnect("clicked(bool)", receiver.on_click)
    button.click()
    assert receiver.clicks == 1


def test_a_connection_holds_its_slot(button) -> None:
    got = []

    class Receiver:
        def on_click(self) -> None:
            got.append(1)

    button.connect("clicked(bool)", Receiver().on_click)
    button.click()
    assert got == [1]


def test_overloads_and_enum_types_are_told_apart(spin) -> None:
    got = []
    process = qt.QProcess()
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: got.append((code, status)))
    process.connect("readyReadStandardOutput()", lambda: got.append(process.readAllStandardOutput().data()))
    process.start(sys.executable, ["-c", "print('x', end='')"])
    spin(lambda: len(got) == 2)
    assert got == [b"x", (0, qt.QProcess.NormalExit)]


def test_a_third_argument_names_the_slot(button) -> None:
    box = qt.QCheckBox()
    box.connect("toggled(bool)", button, "setDisabled(bool)")
    box.setChecked(True)
    assert button.enabled is False


# Faults -----------------------------------------------------------------------------------------------------

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
    from bench import events

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
