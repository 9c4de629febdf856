"""The worker's loop: one thread reads, the main thread computes, one run after the other."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from umamba.errors import Cancelled, InputError
from umamba.messages import error_event, log_event
from umamba.worker.jobs import Jobs, greet
from umamba.worker.requests import Request, decode, parse, request_id

log = logging.getLogger(__name__)

# What still waits when the input ends is carried out if it takes next to no time.
QUICK = ("models", "doctor", "remove")


class Sender(Protocol):
    """Where events go."""

    def send(self, event: Mapping[str, Any]) -> None:
        """Send one event.

        Raises:
            OSError: Nobody reads any more.
        """


class Server:
    """Answers requests until its input ends, its reader leaves, or it is told to shut down.

    Every request but `cancel` is answered by exactly one `ready`, `plan`, `result` or `error`; long ones
    send `plan`, `progress` and `log` events before. `hello`, `cancel` and `shutdown` act at once, whatever
    goes on: silence after `hello` means that the process hangs.
    """

    def __init__(self, lines: Iterable[bytes], output: Sender) -> None:
        self._lines = lines
        self._output = output
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._open: dict[str | int, bool] = {}  # id of a queued or running request -> asked to stop
        self._lock = threading.Lock()

    def run(self) -> None:
        """Serve; returns when the work is over."""
        threading.Thread(target=self._read, name="umamba-worker-reader", daemon=True).start()
        with Jobs() as jobs:
            while (request := self._waiting.get()) is not None:
                self._answer(request, jobs)

    def _answer(self, request: Request, jobs: Jobs) -> None:
        def send(event: Mapping[str, Any]) -> None:
            self._send({"id": request.id, **event})

        def cancelled() -> bool:
            return self._ending.is_set() or self._open[request.id]

        try:
            if self._open[request.id] or (request.do not in QUICK and self._ending.is_set()):
                raise Cancelled("cancelled before it began")
            last = jobs.run(request, send, cancelled)
        except (Cancelled, InputError) as error:
            last = error_event(error)
        except Exception as error:  # the worker outlives a fault of one run; the log has the place
            log.exception("request %r", request.id)
            last = error_event(error)
        with self._lock:
            del self._open[request.id]
        send(last)

    def _read(self) -> None:
        """Take lines; what cannot wait behind a run (cancel, the end) acts at once."""
        try:
            for line in self._lines:
                if line.strip() and not self._take(line):
                    break
        finally:
            self._ending.set()
            self._waiting.put(None)

    def _take(self, line: bytes) -> bool:
        """Queue or carry out one message; False when it was the last."""
        message = None
        try:
            message = decode(line)
            request = parse(message)
            if request.do == "hello":
                self._send({"id": request.id, **greet()})
            elif request.do == "cancel":
                self._cancel(request.id)
            elif request.do == "shutdown":
                self._send({"id": request.id, "event": "result"})
                return False
            else:
                self._queue(request)
        except InputError as error:
            self._send({"id": request_id(message), **error_event(error)})
        return True

    def _queue(self, request: Request) -> None:
        with self._lock:
            if request.id in self._open:
                raise InputError(f"id {request.id!r} is already in use; wait for its answer")
            self._open[request.id] = False
        self._waiting.put(request)

    def _cancel(self, identity: str | int) -> None:
        with self._lock:
            known = identity in self._open
            if known:
                self._open[identity] = True
        if not known:
            self._send({"id": identity, **log_event("nothing to cancel: it has ended already", "info")})

    def _send(self, event: Mapping[str, Any]) -> None:
        try:
            self._output.send(event)
        except OSError:  # the panel is gone: stop what runs, then leave
            if not self._ending.is_set():
                self._ending.set()
                self._waiting.put(None)
