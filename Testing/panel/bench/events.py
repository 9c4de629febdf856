"""Waiting in a test, and forbidding the product to pump events itself.

`processEvents` inside a callback lets the user close the scene in the middle of it; only a test may call it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from PySide6 import QtCore, QtWidgets

from .faults import FAULTS

PRODUCT = Path(__file__).resolve().parents[3] / "UMambaSegmentation"
TESTING = Path(__file__).resolve().parents[2]
_process = QtCore.QCoreApplication.processEvents


def spin(until: Callable[[], object], seconds: float = 10.0) -> None:
    """Process events until a condition holds; fail when it does not within the time."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"not so within {seconds:g} s: {_described(until)}"
        _process(QtCore.QEventLoop.AllEvents, 20)
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        time.sleep(0.002)


def forbid_pumping() -> None:
    """From now on `processEvents` raises, and leaves a fault, when the product's code is what calls it."""

    def checked(*arguments: object) -> None:
        place = caller_in_product()
        if place is not None:
            FAULTS.add(f"processEvents called from the product: {place}")
            raise RuntimeError("processEvents may not be called here")
        _process(*arguments)

    plain_loop = QtCore.QEventLoop.processEvents

    def checked_loop(self: QtCore.QEventLoop, *arguments: object) -> object:
        place = caller_in_product()
        if place is not None:
            FAULTS.add(f"processEvents called from the product: {place}")
            raise RuntimeError("processEvents may not be called here")
        return plain_loop(self, *arguments)

    for cls in (QtCore.QCoreApplication, QtWidgets.QApplication):
        cls.processEvents = staticmethod(checked)
    QtCore.QEventLoop.processEvents = checked_loop


def caller_in_product() -> str | None:
    """`file:line` of the product's frame that led here without a test's frame in between, or None."""
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PRODUCT):
            return f"{path.relative_to(PRODUCT)}:{frame.f_lineno}"
        if path.is_relative_to(TESTING):
            return None
        frame = frame.f_back
    return None


def _described(condition: Callable[[], object]) -> str:
    import inspect

    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):
        return repr(condition)
