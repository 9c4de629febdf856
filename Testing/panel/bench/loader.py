"""QUiLoader of the bench: stand-ins by class name, and a check of the file where Slicer would go on silently.

A fault inside `createWidget`, a None from it, and a setter that raises each end the process without a
trace; so they are remembered and raised when loading is over.
"""

from __future__ import annotations

import inspect
import xml.etree.ElementTree as ET
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from .widgets import STAND_INS, base

FOREIGN = ("ctk", "qMRML", "qSlicer")
LINE = "Line"  # Designer's own name for a QFrame
NOT_PROPERTIES = {"buddy"}  # of QLabel: the loader reads it itself


class UiError(RuntimeError):
    """The `.ui` names something that is not there."""


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a `.ui` file; connections that the file declares are made, those it forgot are not."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._problems: list[BaseException] = []
        self._made: list[QtWidgets.QWidget] = []

    def createWidget(
        self, name: str, parent: QtWidgets.QWidget | None = None, object_name: str = ""
    ) -> QtWidgets.QWidget:
        """One widget; a plain one in place of one that cannot be made, and the fault is kept."""
        try:
            if name in STAND_INS:
                widget = STAND_INS[name](parent)
                widget.setObjectName(object_name)
            else:
                widget = super().createWidget(name, parent, object_name)
        except Exception as error:
            self._problems.append(error)
            widget = QtWidgets.QWidget(parent)
        self._made.append(widget)
        return widget

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """Read the file. Raises UiError for an unknown widget, property, value, or end of a connection."""
        root = ET.fromstring(bytes(device.readAll().data()).decode("utf-8"))
        links = _take_connections(root)
        for element in root.iter("widget"):
            _check(element)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root, encoding="utf-8"))
        buffer.open(QtCore.QIODevice.ReadOnly)
        with base.Loading():
            top = super().load(buffer, parent)
        problems = [*self._problems, *base.PROBLEMS]
        self._problems = []
        if problems:
            raise problems[0]
        if top is None:
            raise UiError(f"Qt cannot read the file: {self.errorString()}")
        top._made = self._made  # Python's side of each stand-in lives as long as its window
        self._made = []
        _connect(top, links)
        return top


def _take_connections(root: ET.Element) -> list[tuple[str, str, str, str]]:
    """Their types, such as vtkMRMLScene*, are unknown to PySide6: they are made afterwards, by name."""
    found = root.find("connections")
    if found is None:
        return []
    root.remove(found)
    keys = ("sender", "signal", "receiver", "slot")
    return [tuple(link.findtext(key, "") for key in keys) for link in found.iter("connection")]


def _check(element: ET.Element) -> None:
    """A property that the class lacks would become a dynamic one, in Slicer too, and change nothing."""
    name, object_name = element.get("class", ""), element.get("name", "")
    cls = STAND_INS.get(name) or getattr(QtWidgets, name, None)
    if name == LINE:
        return
    if cls is None:
        owner = "the bench has no stand-in for" if name.startswith(FOREIGN) else "Qt has no widget"
        raise UiError(f"{owner} {name} ({object_name})")
    for entry in element.findall("property"):
        key = entry.get("name", "")
        known = isinstance(inspect.getattr_static(cls, key, None), property | QtCore.Property)
        if not known and key not in NOT_PROPERTIES and entry.get("stdset") != "0":
            raise UiError(f"{name} {object_name} has no property {key}")
        for value in [*entry.iter("enum"), *entry.iter("set")]:
            if any(part.count("::") > 1 for part in (value.text or "").split("|")):
                raise UiError(f"{object_name}.{key}: Qt 5 reads no scoped value {value.text}")
            if name in STAND_INS and _is_own(cls, key):
                _to_number(value, cls)


def _is_own(cls: Any, key: str) -> bool:
    return any(isinstance(base_class.__dict__.get(key), QtCore.Property) for base_class in cls.__mro__)


def _to_number(value: ET.Element, cls: Any) -> None:
    """Python properties carry no C++ enum: give the stand-in the number that the names stand for."""
    total = 0
    for part in (value.text or "").split("|"):
        scope, _, name = part.strip().rpartition("::")
        owner = cls if scope in ("", cls.__name__) else getattr(QtCore, scope, None)
        owner = owner or getattr(QtWidgets, scope)
        member = getattr(owner, name)
        total |= member if isinstance(member, int) else member.value
    value.tag, value.text = "number", str(total)


def _connect(top: QtWidgets.QWidget, links: list[tuple[str, str, str, str]]) -> None:
    everything = [top, *top.findChildren(QtCore.QObject)]
    named = {child.objectName: child for child in everything if child.objectName}
    for sender, signal, receiver, slot in links:
        for end in (sender, receiver):
            if end not in named:
                raise UiError(f"a connection of the file names {end}, which is not there")
        name, _, arguments = slot.partition("(")
        target = getattr(named[receiver], name, None)
        if not callable(target):
            raise UiError(f"{receiver} has no slot {slot}")
        named[sender].connect(signal, _call_with(target, 0 if arguments == ")" else arguments.count(",") + 1))


def _call_with(target: Any, count: int) -> Any:
    return lambda *values: target(*values[:count])
