"""The bench answers as Slicer's binding does: where it did not, a fault of the panel would go unseen."""

from __future__ import annotations

import functools
import sys

import pytest
import qt
import slicer

from bench.faults import FAULTS

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
