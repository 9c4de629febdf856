"""One request to the engine, and its answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.engine import Engine

WAITING, RUNNING, DONE, CANCELLED, FAILED = "waiting", "running", "done", "cancelled", "failed"


class JobError(Exception):
    """Why there is no result.

    Attributes:
        kind: "input" (the image or the request), "model" (its files), "cancelled" or "fault" (ours).
        message: One sentence for the person.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Job:
    """One request to the worker and its answer. Made by `Engine.submit`.

    Attributes:
        do: What was asked, such as "segment".
        keys: Its further keys.
        state: "waiting", "running", "done", "cancelled" or "failed".
        result: The last event of a job that is done.
        error: Why there is no result.
    """

    def __init__(self, engine: Engine, do: str, keys: dict[str, Any]) -> None:
        self.do = do
        self.keys = keys
        self.state = WAITING
        self.result: dict[str, Any] | None = None
        self.error: JobError | None = None
        self._engine = engine
        self._released = False
        self._event_callbacks: list[Callable[[dict[str, Any]], None]] = []
        self._end_callbacks: list[Callable[[Job], None]] = []
        self._release_callbacks: list[Callable[[Job], None]] = []

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in (DONE, CANCELLED, FAILED)

    def cancel(self) -> None:
        """End it now. The worker is asked to stop, then made to, while this has returned."""
        if not self.ended:
            self._engine.cancel(self)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long. Whether it has come; without it, the job goes on.

        With a main window its events are handled meanwhile, so that it stays alive.
        """
        if not self.ended:
            if slicer.util.mainWindow() is None:
                self._engine.read_until(lambda: self.ended, seconds)
            else:
                self._wait_in_event_loop(seconds)
        return self.ended

    def check(self) -> dict[str, Any]:
        """The result.

        Raises:
            JobError: There is none.
        """
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise JobError("fault", _("The engine has not answered yet."))
        return self.result

    def on_event(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """Call with every event of this job, the last included."""
        self._event_callbacks.append(callback)

    def on_end(self, callback: Callable[[Job], None]) -> None:
        """Call once, when it has ended; at once if it has."""
        self._add(callback, self._end_callbacks, self.ended)

    def on_release(self, callback: Callable[[Job], None]) -> None:
        """Call once, when the worker has let go of the job's files; at once if it has.

        A cancelled job ends at once, but its files may be open until the worker has heard of it.
        """
        self._add(callback, self._release_callbacks, self._released)

    def begin(self) -> None:
        """For the engine: the worker has it."""
        self.state = RUNNING

    def take(self, event: dict[str, Any]) -> None:
        """For the engine: hand on an event."""
        self._call(self._event_callbacks, event)

    def end(self, state: str, result: dict[str, Any] | None, error: JobError | None) -> None:
        """For the engine: the end, once; later ones are dropped."""
        if self.ended:
            return
        self.state, self.result, self.error = state, result, error
        callbacks, self._end_callbacks = self._end_callbacks, []
        self._call(callbacks, self)

    def fail(self, kind: str, message: str) -> None:
        """For the engine: the end without a result."""
        self.end(CANCELLED if kind == "cancelled" else FAILED, None, JobError(kind, message))

    def release(self) -> None:
        """For the engine: the worker needs its files no more."""
        if not self._released:
            self._released = True
            callbacks, self._release_callbacks = self._release_callbacks, []
            self._call(callbacks, self)

    def _add(self, callback: Callable[[Job], None], waiting: list[Callable[[Job], None]], late: bool) -> None:
        if late:
            callback(self)
        else:
            waiting.append(callback)

    def _call(self, callbacks: list[Callable[[Any], None]], argument: object) -> None:
        """A callback that fails is reported as any fault in a slot is, and harms nobody else."""
        for callback in list(callbacks):
            try:
                callback(argument)
            except Exception:
                sys.excepthook(*sys.exc_info())

    def _wait_in_event_loop(self, seconds: float | None) -> None:
        loop = qt.QEventLoop()
        limit = qt.QTimer()
        limit.setSingleShot(True)
        limit.connect("timeout()", lambda: loop.quit())
        if seconds is not None:
            limit.start(max(0, round(1000 * seconds)))

        def leave(_job: Job) -> None:
            loop.quit()

        self._end_callbacks.append(leave)
        loop.exec()  # lint: nested loop
        limit.stop()
        if leave in self._end_callbacks:
            self._end_callbacks.remove(leave)
