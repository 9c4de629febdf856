"""Ctrl-C and a polite kill, turned into the engine's `cancel`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from umamba.errors import Cancelled

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While entered, SIGINT and SIGTERM raise KeyboardInterrupt; within `gently()` the first only asks.

    Called, it says whether a signal came: this is the `cancel` of `umamba.segment`. Outside the main
    thread, where Python gives no signals, it never says so.
    """

    def __init__(self) -> None:
        self._asked = False
        self._gentle = False
        self._before: list[tuple[signal.Signals, Any]] = []

    def __call__(self) -> bool:
        """Whether the user wants to stop."""
        return self._asked

    def check(self) -> None:
        """Raise `Cancelled` if the user wants to stop."""
        if self._asked:
            raise Cancelled("cancelled; nothing was written")

    @contextmanager
    def gently(self) -> Iterator[Callable[[], bool]]:
        """Within this, the first signal waits for the engine to ask; a second one interrupts at once."""
        self._gentle = True
        try:
            yield self
        finally:
            self._gentle = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again = self._asked
        self._asked = True
        if again or not self._gentle:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = [(name, signal.signal(name, self._receive)) for name in SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handler in self._before:
            signal.signal(name, handler)
