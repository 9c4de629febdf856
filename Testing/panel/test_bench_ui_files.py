"""The bench reads a `.ui` as Slicer does, and says what is wrong in it where Slicer would go on silently."""

from __future__ import annotations

from pathlib import Path

import ctk
import numpy as np
import pytest
import slicer

from bench import loader

SELECTOR = """
<widget class="qMRMLNodeComboBox" name="selector">
  <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
</widget>"""
FILE = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Top</class>
<widget class="qMRMLWidget" name="Top"><layout class="QVBoxLayout" name="rows"><item>{inside}</item></layout>
</widget><customwidgets/><connections>{links}</connections></ui>"""


def widget(cls: str, name: str = "", value: str = "") -> str:
    """A widget with one property."""
    entry = f'<property name="{name}">{value}</property>' if name else ""
    return f'<widget class="{cls}" name="x">{entry}</widget>'


def link(
    signal: str = "mrmlSceneChanged(vtkMRMLScene*)",
    slot: str = "setMRMLScene(vtkMRMLScene*)",
    receiver: str = "selector",
) -> str:
    """A connection from the top to a widget."""
    ends = {"sender": "Top", "signal": signal, "receiver": receiver, "slot": slot}
    return f"<connection>{''.join(f'<{key}>{value}</{key}>' for key, value in ends.items())}</connection>"


@pytest.fixture
def load(tmp_path: Path, scene):
    """`load(inside, links)`: the widgets of a file, with the scene set as a module's panel sets it."""

    def read(inside: str, links: str = ""):
        path = tmp_path / "Top.ui"
        path.write_text(FILE.format(inside=inside, links=links), encoding="utf-8")
        top = slicer.util.loadUI(str(path))
        top.setMRMLScene(scene)
        found = slicer.util.childWidgetVariables(top)
        found.top = top
        return found

    return read


@pytest.fixture
def volume(volume_from):
    return volume_from(np.zeros((2, 2, 2), np.int16))


def test_a_connected_selector_lists_the_scene(load, volume) -> None:
    ui = load(SELECTOR, link())
    assert ui.selector.enabled
    assert ui.selector.nodeTypes == ["vtkMRMLScalarVolumeNode"]
    assert ui.selector.nodeFromIndex(0) == volume


def test_a_selector_that_the_file_forgot_to_connect_stays_empty(load, volume) -> None:
    ui = load(SELECTOR)
    assert ui.selector.nodeCount() == 0
    assert not ui.selector.enabled


WRONG = {
    "unknown ctk widget": (widget("ctkNowhere"), "", "no stand-in for ctkNowhere"),
    "unknown Slicer widget": (widget("qSlicerNowhere"), "", "no stand-in for qSlicerNowhere"),
    "unknown Qt widget": (widget("QNowhere"), "", "no widget QNowhere"),
    "property of a stand-in": (
        widget("qMRMLNodeComboBox", "nonEnabled", "<bool>true</bool>"),
        "",
        "no property nonEnabled",
    ),
    "property of Qt": (widget("QLabel", "txet", "<string>a</string>"), "", "no property txet"),
    "value that Qt 5 cannot read": (
        widget("QLabel", "alignment", "<set>Qt::AlignmentFlag::AlignTop</set>"),
        "",
        "scoped value",
    ),
    "order of properties": (
        widget("qMRMLNodeComboBox", "baseName", "<string>a</string>"),
        "",
        "before nodeTypes",
    ),
    "signal": (SELECTOR, link(signal="sceneChanged(vtkMRMLScene*)"), "no signal sceneChanged"),
    "slot": (SELECTOR, link(slot="setScene(vtkMRMLScene*)"), "no slot setScene"),
    "receiver": (SELECTOR, link(receiver="slector"), "slector, which is not there"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_file_has_wrong_is_an_error(load, case: str) -> None:
    inside, links, message = WRONG[case]
    with pytest.raises((loader.UiError, AttributeError, ValueError), match=message):
        load(inside, links)


def test_enums_of_stand_ins_are_read(load) -> None:
    value = "<set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Readable</set>"
    ui = load(widget("ctkPathLineEdit", "filters", value))
    assert ui.x.filters == ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Readable


def test_qt_widgets_are_connected_too(load) -> None:
    inside = (
        '<widget class="QCheckBox" name="box"><property name="checked"><bool>true</bool></property></widget>'
    )
    other = "</item><item>" + widget("QLabel", "text", "<string>a</string>")
    both = link("windowTitleChanged(QString)", "setText(QString)", "x")
    both += link("windowTitleChanged(QString)", "toggle()", "box")
    ui = load(inside + other, both)
    ui.top.windowTitle = "b"
    assert ui.x.text == "b"
    assert ui.box.checked is False


def test_a_stand_in_that_fails_does_not_take_the_process_with_it(load, monkeypatch) -> None:
    def fail(parent: object) -> None:
        raise ValueError("cannot be made")

    monkeypatch.setitem(
        loader.STAND_INS, "ctkComboBox", type("ctkComboBox", (), {"__new__": lambda c, p: fail(p)})
    )
    with pytest.raises(ValueError, match="cannot be made"):
        load(widget("ctkComboBox"))
