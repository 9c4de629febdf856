"""Observers of VTK objects that end with the widget that set them, as a C++ destructor sees to."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import vtk
from PySide6 import QtCore

Seen = tuple[Any, int]


class Observers:
    """What one widget observes. It holds the widget weakly: observing alone keeps no widget alive."""

    def __init__(self, widget: QtCore.QObject) -> None:
        self._seen: list[Seen] = []
        seen = self._seen
        widget.destroyed.connect(lambda *_: _end(seen))

    def add(self, target: Any, event: Any, method: Callable[..., None], data: Any = None) -> Seen:
        """Call a method of the widget at each event; `data` is the kind of the event's data, if any."""
        weak = weakref.WeakMethod(method)

        def call(*arguments: Any) -> None:
            bound = weak()
            if bound is not None:
                bound(*arguments)

        if data is not None:
            call = vtk.calldata_type(data)(call)
        self._seen.append((target, target.AddObserver(event, call)))
        return self._seen[-1]

    def remove(self, seen: Seen) -> None:
        """Undo one `add`."""
        self._seen.remove(seen)
        _end([seen])

    def clear(self) -> None:
        """Undo all."""
        _end(self._seen)


def _end(seen: list[Seen]) -> None:
    while seen:
        target, tag = seen.pop()
        target.RemoveObserver(tag)
