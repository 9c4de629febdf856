"""The engine's worker at the other end of its pipes: JSON lines, and what to do when it does not behave."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from UMambaSegmentationLib.client.child import Child, Ending
from UMambaSegmentationLib.client.interpreter import Launch
from UMambaSegmentationLib.logs import log

_LAST = ("ready", "result", "error")


class WorkerConnection:
    """One worker. Callbacks come from the event loop, from `read` and from `tick`.

    Attributes:
        quiet_seconds: A request is open and nothing comes for so long: the worker is asked for a sign.
        answer_seconds: It gives none for so long: it hangs.
        grace_seconds: What was asked politely (cancel, shutdown) has not happened: the worker is terminated;
            after as long again it is killed.
    """

    quiet_seconds = 15.0
    answer_seconds = 60.0
    grace_seconds = 2.0

    def __init__(
        self,
        launch: Launch,
        *,
        on_event: Callable[[int, dict[str, Any]], None],
        on_end: Callable[[str], None],
    ) -> None:
        """Prepare it; nothing starts yet.

        Args:
            launch: The worker.
            on_event: Gets each event with the number of its request.
            on_end: Gets, once, a sentence that says why there are no further answers.
        """
        self._on_event, self._on_end = on_event, on_end
        self._child = Child(launch, on_line=self._line, on_error_line=log, on_end=self._ended)
        self._program = launch.program
        self._numbers = 0
        self._open: dict[int, str] = {}  # number -> what was asked
        self._cancelled = 0  # number of the request that was asked to stop
        self._heard = False
        self._silent = 0.0
        self._sign_asked = False
        self._patience: float | None = None  # seconds until the next step of ending it
        self._asked_to_end = False
        self._over = False

    @property
    def pid(self) -> int:
        """Number of the worker's process, 0 while it is not known."""
        return self._child.pid

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._open)

    @property
    def watched(self) -> bool:
        """Whether `tick` has anything to do."""
        return not self._over and (self.busy or self._patience is not None)

    def start(self) -> None:
        """Start the worker."""
        self._child.start()

    def ask(self, do: str, keys: Mapping[str, Any] | None = None) -> int:
        """Send a request, its keys as `plain` gives them, and return its number."""
        self._numbers += 1
        number = self._numbers
        self._send({"id": number, "do": do, **(keys or {})})
        if not self._open:
            self._silent, self._sign_asked = 0.0, False
        self._open[number] = do
        return number

    def cancel(self, number: int) -> None:
        """Ask for the end of a request, and see to it."""
        self._send({"id": number, "do": "cancel"})
        self._cancelled = number
        self._patience = self.grace_seconds

    def retire(self) -> None:
        """Let the worker end, and see to it; returns at once."""
        self.ask("shutdown")
        self._child.close_input()
        self._asked_to_end = True
        self._patience = self.grace_seconds

    def close(self) -> None:
        """End the worker before this returns: politely, or by force after `grace_seconds`."""
        self._on_event, self._on_end = _no_event, _no_end
        if not self._over and not self._asked_to_end:
            self.retire()
        if not self._child.wait(round(1000 * self.grace_seconds)):
            self._child.kill()
            self._child.wait(round(1000 * self.grace_seconds))
        self._over = True

    def read(self, milliseconds: int) -> None:
        """Without an event loop: wait for an event at most so long."""
        self._child.read(milliseconds)

    def tick(self, seconds: float) -> None:
        """So much time has passed in which events could have come."""
        if self._over:
            return
        if self._patience is not None:
            self._patience -= seconds
            if self._patience <= 0:
                self._insist()
        if self._open and not self._over:
            self._silent += seconds
            if self._sign_asked and self._silent >= self.quiet_seconds + self.answer_seconds:
                self._give_up(
                    _("The engine did not answer any more and was ended; the next run starts it anew.")
                )
            elif not self._sign_asked and self._silent >= self.quiet_seconds:
                self._sign_asked = True
                self.ask("hello")

    def _insist(self) -> None:
        """The next step: terminate, then kill."""
        if not self._asked_to_end:
            self._asked_to_end = True
            self._patience = self.grace_seconds
            log("the worker did not do what it was asked in time: terminated")
            self._child.terminate()
        else:
            self._give_up(_("The engine had to be ended."))

    def _send(self, message: Mapping[str, Any]) -> None:
        self._child.write(json.dumps(message).encode("ascii") + b"\n")

    def _line(self, line: bytes) -> None:
        if self._over:
            return
        if not self._child.pid:  # before ours begins, whatever starts Python may print a greeting
            log("before the worker: " + line[:200].decode("utf-8", "replace"))
            return
        event = _decoded(line)
        number = event.get("id") if event else None
        if event is None or not isinstance(number, int) or not 0 < number <= self._numbers:
            log(f"no event: {line[:200]!r}")
            self._give_up(
                _("The engine gave an answer that makes no sense and was ended; the log says more.")
            )
            return
        self._silent, self._sign_asked, self._heard = 0.0, False, True
        if is_last(event, self._open.get(number, "")):
            self._open.pop(number, None)
            if number == self._cancelled and not self._asked_to_end:
                self._patience = None
        self._on_event(number, event)

    def _ended(self, ending: Ending) -> None:
        log(f"the worker ended: {ending.text}")
        if not ending.started:
            reason = _("The engine's Python, {program}, could not be started; check it under Set-up.").format(
                program=self._program
            )
        elif not self._heard:
            reason = _(
                "The engine could not be started ({how}); see the log, and install it again under Set-up."
            ).format(how=ending.text)
        else:
            reason = _(
                "The engine stopped unexpectedly ({how}); if it happens again, choose a smaller region or a "
                "lower memory limit, and see the log."
            ).format(how=ending.text)
        self._finish(reason)

    def _give_up(self, reason: str) -> None:
        self._child.abandon()
        self._finish(reason)

    def _finish(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._open.clear()
            self._on_end(reason)


def is_last(event: Mapping[str, Any], do: str) -> bool:
    """Whether an event ends a request; a plan ends only a request for a plan."""
    return event["event"] in _LAST or (event["event"] == "plan" and do == "plan")


def _decoded(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def plain(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a request as JSON carries them: paths become texts, arrays lists.

    Raises:
        TypeError, ValueError: A value has no such form.
    """
    return json.loads(json.dumps(dict(keys), default=_plain, allow_nan=False))


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be sent to the engine")


def _no_event(_number: int, _event: dict[str, Any]) -> None:
    pass


def _no_end(_reason: str) -> None:
    pass
