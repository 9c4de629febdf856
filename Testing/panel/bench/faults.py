"""Faults that raise nowhere: errors in slots and observers, messages of Qt and VTK."""

from __future__ import annotations

import re
import sys
import threading
import traceback
from types import TracebackType

import vtk
from PySide6 import QtCore

# Lines that nothing of ours can cause or silence.
ALLOWED_QT = (  # the off-screen window's, the last two when a list of completions pops up
    r"This plugin does not support propagateSizeHints",
    r"This plugin does not support raise\(\)",
    r"This plugin does not support grabbing the keyboard",
)
ALLOWED_VTK = ()


class Faults:
    """A list that hooks of Python, Qt and VTK write to, and a test's end reads."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._before: tuple = ()

    def add(self, text: str) -> None:
        """Remember one fault."""
        self._found.append(text)

    def take(self) -> list[str]:
        """All faults since the last call, oldest first; the list is empty afterwards."""
        found, self._found = self._found, []
        return found

    def watch(self) -> None:
        """Put the hooks in place. Python's are put back by `release`."""
        self._before = (sys.excepthook, sys.unraisablehook, threading.excepthook)
        sys.excepthook = self._python
        sys.unraisablehook = lambda found: self._python(found.exc_type, found.exc_value, found.exc_traceback)
        threading.excepthook = lambda found: self._python(
            found.exc_type, found.exc_value, found.exc_traceback
        )
        QtCore.qInstallMessageHandler(self._qt)
        self._window = vtk.vtkOutputWindow()
        self._window.SetDisplayModeToNever()
        for event in ("ErrorEvent", "WarningEvent"):
            self._window.AddObserver(event, self._vtk)
        vtk.vtkOutputWindow.SetInstance(self._window)

    def release(self) -> None:
        """Give Python and Qt their own hooks back."""
        sys.excepthook, sys.unraisablehook, threading.excepthook = self._before
        QtCore.qInstallMessageHandler(None)

    def _python(self, kind: type, value: BaseException | None, trace: TracebackType | None) -> None:
        self.add("".join(traceback.format_exception(kind, value, trace)).strip())

    def _qt(self, kind: QtCore.QtMsgType, context: object, text: str) -> None:
        serious = (QtCore.QtMsgType.QtWarningMsg, QtCore.QtMsgType.QtCriticalMsg, QtCore.QtMsgType.QtFatalMsg)
        if kind in serious and not any(re.search(line, text) for line in ALLOWED_QT):
            self.add(f"Qt: {text}")

    @vtk.calldata_type("string0")
    def _vtk(self, caller: object, event: str, text: str) -> None:
        if not any(re.search(line, text) for line in ALLOWED_VTK):
            self.add(f"VTK: {text.strip()}")


FAULTS = Faults()
