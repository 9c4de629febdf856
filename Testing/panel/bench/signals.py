"""connect and disconnect as PythonQt has them: by signature, checked, arguments cut to what the slot takes.

PythonQt prints a line on an unknown signal and goes on; here it is an error, since nobody reads that line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore
from shiboken6 import Shiboken

Slot = Callable[..., Any]

_relays: dict[tuple[int, str], list[tuple[Slot, Slot]]] = {}  # (C++ address, signal) -> [(slot, relay)]


def normalized(signature: str) -> str:
    """`sig(const QString &)` as Qt writes it: `sig(QString)`. Raises TypeError without an argument list."""
    if not signature.endswith(")") or "(" not in signature:
        raise TypeError(f"a signal is named with its argument list, such as clicked(bool): {signature!r}")
    name, _, arguments = signature[:-1].partition("(")
    parts = [part.replace("const ", "").replace("&", "").replace(" ", "") for part in arguments.split(",")]
    return f"{name.strip()}({','.join(part for part in parts if part)})"


def declared_signals(target: QtCore.QObject) -> dict[str, str]:
    """Signature -> attribute of every signal that the C++ class has.

    A stand-in lists its own in CXX_SIGNALS: Python signals cannot carry C++ types such as vtkMRMLNode*.
    """
    found: dict[str, str] = {}
    hidden: set[str] = set()
    for cls in type(target).__mro__:
        own = cls.__dict__.get("CXX_SIGNALS", {})
        found = own | found
        hidden |= set(own.values())
    meta = target.metaObject()
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if method.methodType() == QtCore.QMetaMethod.Signal:
            signature = bytes(method.methodSignature().data()).decode()
            name = signature.partition("(")[0]
            if name not in hidden:
                found.setdefault(signature, name)
    return found


def taken(slot: Slot) -> int | None:
    """How many arguments a slot takes; None: all (partials, builtins, callable objects, *args)."""
    if inspect.ismethod(slot) and inspect.isfunction(slot.__func__):
        code, bound = slot.__func__.__code__, 1
    elif inspect.isfunction(slot):
        code, bound = slot.__code__, 0
    else:
        return None
    return None if code.co_flags & inspect.CO_VARARGS else code.co_argcount - bound


def _relay(slot: Slot, given: int) -> Slot:
    """A function of exactly `given` arguments, from which Qt's binding chooses the overload."""
    takes = taken(slot)
    keep = given if takes is None else min(takes, given)
    names = [f"a{index}" for index in range(given)]
    source = f"lambda {', '.join(names)}: slot({', '.join(names[:keep])})"
    return eval(source, {"slot": slot})


def connect(self: QtCore.QObject, signal: str, target: Any, method: str | None = None) -> bool:
    """`w.connect("clicked(bool)", f)` or `w.connect("clicked(bool)", other, "setEnabled(bool)")`.

    Raises:
        AttributeError: the class has no such signal.
        TypeError: the signature has no argument list, or the slot cannot be called.
    """
    if isinstance(signal, QtCore.QObject):  # PySide6's own QTimer.singleShot asks a timer so
        return bool(QtCore.QObject.connect(signal, target, method))
    slot = target if method is None else getattr(target, method.partition("(")[0])
    if not callable(slot):
        raise TypeError(f"{slot!r} is no slot: it cannot be called")
    name = normalized(signal)
    attribute = declared_signals(self).get(name)
    if attribute is None:
        raise AttributeError(f"{type(self).__name__} has no signal {signal}")
    arguments = name.partition("(")[2][:-1]
    relay = _relay(slot, len(arguments.split(",")) if arguments else 0)
    if name.startswith(f"{attribute}(") and not _is_stand_in_signal(self, name):
        QtCore.QObject.connect(self, QtCore.SIGNAL(name), relay)
    else:
        getattr(self, attribute).connect(relay)
    _relays.setdefault((_address(self), name), []).append((slot, relay))
    return True


def disconnect(self: QtCore.QObject, signal: str, target: Any = None, method: str | None = None) -> bool:
    """Undo `connect`; without a target, every slot of that signal. False where there was none."""
    slot = target if method is None else getattr(target, method.partition("(")[0])
    name = normalized(signal)
    attribute = declared_signals(self).get(name)
    if attribute is None:
        raise AttributeError(f"{type(self).__name__} has no signal {signal}")
    made = _relays.get((_address(self), name), [])
    ended = [pair for pair in made if slot is None or pair[0] == slot]
    for pair in ended:
        made.remove(pair)
        if name.startswith(f"{attribute}(") and not _is_stand_in_signal(self, name):
            QtCore.QObject.disconnect(self, QtCore.SIGNAL(name), pair[1])
        else:
            getattr(self, attribute).disconnect(pair[1])
    return bool(ended)


def _is_stand_in_signal(target: QtCore.QObject, name: str) -> bool:
    return any(name in cls.__dict__.get("CXX_SIGNALS", {}) for cls in type(target).__mro__)


def _address(target: QtCore.QObject) -> int:
    return int(Shiboken.getCppPointer(target)[0])
