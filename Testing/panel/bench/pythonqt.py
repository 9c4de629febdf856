"""PySide6 made to behave like PythonQt, the binding in Slicer, wherever the panel could tell the difference.

- A Qt property is an attribute holding the value (`w.text`), and there is no getter of that name.
- An attribute that the C++ class does not have cannot be read or written; PySide6 would create it silently.
- `w.connect("clicked(bool)", f)` and `w.disconnect(...)`: see signals.py.
- Module `qt` is one flat namespace of all Qt classes.
"""

from __future__ import annotations

import ctypes
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from shiboken6 import Shiboken

from . import signals

QT_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
# The layout asks a widget's Python side for the first two; the last is a static function of the same name.
NOT_AS_PROPERTY = {"sizeHint", "minimumSizeHint", "singleShot"}


def apply() -> None:
    """Patch every wrapped QObject class, once in a process."""
    if getattr(QtCore.QObject, "_bench_applied", False):
        return
    _keep_singletons()
    classes = list(_qobject_classes())
    # Each wrapped class has attribute slots of its own: collect all originals before the first is replaced.
    readers = [(cls, cls.__getattribute__) for cls in classes]
    for cls in classes:
        _turn_properties_into_attributes(cls)
    QtCore.QObject.name = property(_reader("objectName"), _writer("objectName", True))
    QtCore.QObject.className = lambda self: self.metaObject().className()
    for cls, plain in readers:
        cls.__getattribute__ = _attribute_reader(plain)
        cls.__setattr__ = _set_attribute
    QtCore.QObject._bench_applied = True


def _keep_singletons() -> None:
    """Before Python 3.12 None, True and False are counted, and PySide6 gives back more than it takes.

    Without this the process ends with "none_dealloc" or "bool_dealloc", at the latest when it ends anyway.
    """
    if sys.version_info < (3, 12):
        for single in (None, True, False):
            ctypes.c_ssize_t.from_address(id(single)).value += 1 << 40


def qt_module(loader: type) -> types.ModuleType:
    """Module `qt`: every `Q*` name, `Signal`, and the loader that makes stand-ins."""
    module = types.ModuleType("qt", "Qt's classes in one namespace, as PythonQt has them")
    for source in QT_MODULES:
        for name in dir(source):  # not vars(): PySide6 makes its classes when they are first asked for
            if name.startswith("Q"):
                setattr(module, name, getattr(source, name))
    module.Signal = QtCore.Signal
    module.QUiLoader = loader
    return module


def is_cxx(cls: type) -> bool:
    """Whether a class is one of Qt's or a stand-in for a C++ class, not a Python subclass of either."""
    return cls.__module__.startswith("PySide6") or "CXX_CLASS" in cls.__dict__


def _qobject_classes() -> Iterator[type]:
    seen = set()
    for module in QT_MODULES:
        for name in dir(module):
            cls = getattr(module, name, None)
            if isinstance(cls, type) and issubclass(cls, QtCore.QObject) and cls not in seen:
                seen.add(cls)
                yield cls


def _turn_properties_into_attributes(cls: type) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        found = meta.property(index)
        name = found.name()
        if name not in NOT_AS_PROPERTY and not name.startswith("_"):
            setattr(cls, name, property(_reader(name), _writer(name, found.isWritable())))


def _reader(name: str) -> Callable[[QtCore.QObject], Any]:
    return lambda self: QtCore.QObject.property(self, name)


def _writer(name: str, writable: bool) -> Callable[[QtCore.QObject, Any], None]:
    def write(self: QtCore.QObject, value: Any) -> None:
        if not writable:
            raise AttributeError(f"property '{name}' of {type(self).__name__} cannot be written")
        if not QtCore.QObject.setProperty(self, name, value):
            raise AttributeError(f"property '{name}' of {type(self).__name__} does not take {value!r}")

    return write


def _attribute_reader(plain: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """What PySide6 answers, except for connect and disconnect: it looks those up before the class."""

    def read(self: QtCore.QObject, name: str) -> Any:
        if name == "connect":
            return types.MethodType(signals.connect, self)
        if name == "disconnect":
            return types.MethodType(signals.disconnect, self)
        try:
            return plain(self, name)
        except AttributeError:
            return _fallback(self, name)

    return read


def _fallback(self: QtCore.QObject, name: str) -> Any:
    """Dynamic properties, then children by object name, as PythonQt looks for them."""
    if not name.startswith("_"):
        if name.encode() in [entry.data() for entry in QtCore.QObject.dynamicPropertyNames(self)]:
            return QtCore.QObject.property(self, name)
        for child in QtCore.QObject.children(self):
            if QtCore.QObject.property(child, "objectName") == name:
                return child
    raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")


def _set_attribute(self: QtCore.QObject, name: str, value: Any) -> None:
    cls = type(self)
    there = inspect.getattr_static(cls, name, None)
    if isinstance(there, QtCore.Property):  # of a stand-in
        if there.fset is None:
            raise AttributeError(f"property '{name}' of {cls.__name__} cannot be written")
        there.fset(self, value)
    elif (
        name.startswith("_")
        or not is_cxx(cls)
        or isinstance(there, property)
        or isinstance(value, QtCore.SignalInstance)  # PySide6 keeps bound signals on the object
    ):
        # object.__setattr__ and the class's own former slot both refuse: "can't apply this __setattr__".
        Shiboken.Object.__setattr__(self, name, value)
    elif isinstance(value, QtCore.QObject) and QtCore.QObject.property(value, "objectName") == name:
        pass  # PySide6's loader hangs every named child on the top widget; PythonQt's does not
    elif there is not None:
        raise AttributeError(f"'{name}' of {cls.__name__} is a slot and cannot be overwritten")
    elif name.encode() in [entry.data() for entry in self.dynamicPropertyNames()]:
        self.setProperty(name, value)
    else:
        raise AttributeError(f"{cls.__name__} has no attribute '{name}', and none can be added")
