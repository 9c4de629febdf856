"""The engine as the panel and the logic use it: requests go in, jobs come out, one warm worker behind.

One request is with the worker at a time, the others wait here: so a cancelled one can be given up at once,
and a worker that must be replaced takes no other request with it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.client.connection import WorkerConnection, is_last, plain
from UMambaSegmentationLib.client.interpreter import worker_launch
from UMambaSegmentationLib.client.job import DONE, Job
from UMambaSegmentationLib.client.packages import Packages, packages_in_use
from UMambaSegmentationLib.logs import log

# The protocol that this panel speaks (docs/worker-protocol.md).
PROTOCOL = 1
_TICK_MS = 200
_READ_MS = 50


class Engine:
    """Sends requests to a worker that it starts when needed and keeps warm for a while.

    Attributes:
        version: The engine's version, once a worker has said it.
    """

    def __init__(self, *, packages: Packages | None = None) -> None:
        """Nothing starts yet.

        Args:
            packages: The Python and the folder of packages; by default what the settings say at each start.
        """
        self.version: str | None = None
        self._packages = packages
        self._keep_warm_minutes = 10.0
        self._worker: WorkerConnection | None = None
        self._leaving: list[WorkerConnection] = []
        self._ready = False
        self._hello = 0  # number of the first request, which asks the worker who it is
        self._waiting: deque[Job] = deque()
        self._job: Job | None = None  # with the worker; perhaps cancelled already, and still being stopped
        self._number = 0
        self._trouble: str | None = None  # why no worker could be started, to be told from the event loop
        self._idle_since: float | None = None
        self._last_tick = time.monotonic()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._connected = False

    @property
    def warm(self) -> bool:
        """Whether a worker is there, so that the next run starts at once."""
        return self._worker is not None and self._ready

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs."""
        return bool(self._waiting) or (self._job is not None and not self._job.ended)

    @property
    def keep_warm_minutes(self) -> float:
        """Idle time after which the worker is let go, in minutes; 0: right after a run."""
        return self._keep_warm_minutes

    @keep_warm_minutes.setter
    def keep_warm_minutes(self, minutes: float) -> None:
        self._keep_warm_minutes = float(minutes)
        self._schedule()

    def submit(
        self,
        do: str,
        *,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        on_end: Callable[[Job], None] | None = None,
        **keys: Any,  # noqa: ANN401  (the request's own)
    ) -> Job:
        """Ask the engine for something; starts the worker if need be, and returns at once.

        Args:
            do: A request of docs/worker-protocol.md.
            on_event, on_end: As `Job.on_event` and `Job.on_end`; neither is called before this returns.
            keys: Its further keys, plain values, paths or arrays; those that are None are left out.

        Raises:
            TypeError, ValueError: A key's value cannot be sent as JSON.
        """
        job = Job(self, do, plain({name: value for name, value in keys.items() if value is not None}))
        if on_event is not None:
            job.on_event(on_event)
        if on_end is not None:
            job.on_end(on_end)
        self._waiting.append(job)
        self._go_on()
        return job

    def cancel(self, job: Job) -> None:
        """End a job now; what it was for is stopped in the background. `Job.cancel` calls this."""
        waiting = job in self._waiting
        if waiting:
            self._waiting.remove(job)
        elif job is self._job and self._worker is not None:
            self._worker.cancel(self._number)
        self._schedule()
        job.fail("cancelled", _("Cancelled."))
        if waiting:
            job.release()

    def close(self) -> None:
        """End everything: jobs are cancelled, the worker is asked to end and after two seconds is killed.

        No process, timer or connection is left; a later `submit` begins anew.
        """
        self._timer.stop()
        self._disconnect()
        jobs = [job for job in (self._job, *self._waiting) if job is not None]
        workers = [worker for worker in (self._worker, *self._leaving) if worker is not None]
        self._waiting.clear()
        self._leaving.clear()
        self._worker, self._job, self._ready = None, None, False
        self._idle_since, self._trouble = None, None
        for worker in workers:
            worker.close()
        for job in jobs:
            job.fail("cancelled", _("Cancelled: the engine was closed."))
            job.release()

    def read_until(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Without an event loop: carry on until `done()`, at most so long. `Job.wait` calls this."""
        end = None if seconds is None else time.monotonic() + seconds
        while not done() and (end is None or time.monotonic() < end):
            if self._worker is not None:
                self._worker.read(_READ_MS)
            self._tick()

    def _go_on(self) -> None:
        """Give the worker the next job, if it can take one."""
        if self._job is None and self._waiting:
            self._idle_since = None
            if self._worker is None:
                self._start_worker()
            elif self._ready:
                self._send(self._waiting.popleft())
        elif self._job is None and self._worker is not None and self._idle_since is None and self._ready:
            self._idle_since = time.monotonic()
        self._schedule()

    def _send(self, job: Job) -> None:
        assert self._worker is not None
        log(f"{job.do}: begun")
        self._job = job
        job.begin()
        self._number = self._worker.ask(job.do, job.keys)

    def _start_worker(self) -> None:
        packages = self._packages or packages_in_use()
        status = packages.status()
        if not status.ready:
            self._trouble = _(
                "The engine is not installed (missing: {names}); press Install under Set-up."
            ).format(names=", ".join(status.missing) or "umamba")
            return
        self._ready = False
        worker = WorkerConnection(
            worker_launch(packages.interpreter, packages.folder),
            on_event=self._take_event,
            on_end=lambda reason: self._lose_worker(worker, reason),
        )
        self._worker = worker
        self._connect()
        worker.start()
        if self._worker is worker:
            self._hello = worker.ask("hello")

    def _take_event(self, number: int, event: dict[str, Any]) -> None:
        if number == self._hello and not self._ready and is_last(event, "hello"):
            self._meet(event)
        elif number == self._number and self._job is not None:
            job = self._job
            last = is_last(event, job.do)
            if last:
                self._job = None
                log(f"{job.do}: {event.get('kind', 'done') if event['event'] == 'error' else 'done'}")
            if not job.ended:
                job.take(event)
            if last:
                self._end_job(job, event)
        self._go_on()

    def _end_job(self, job: Job, event: dict[str, Any]) -> None:
        if event["event"] == "error":
            job.fail(str(event.get("kind", "fault")), str(event.get("message", "")))
        else:
            job.end(DONE, event, None)
        job.release()

    def _meet(self, event: dict[str, Any]) -> None:
        """The worker says who it is."""
        theirs = event.get("protocol")
        self.version = str(event.get("version", "?"))
        if theirs == PROTOCOL:
            self._ready = True
            return
        if not isinstance(theirs, int) or theirs < PROTOCOL:
            text = _("The engine (version {version}) is older than this panel; update the extension.")
        else:
            text = _("This panel is older than the engine (version {version}); restart Slicer.")
        self._retire()
        self._fail_waiting(text.format(version=self.version))

    def _lose_worker(self, worker: WorkerConnection, reason: str) -> None:
        """A worker has gone, by itself or because it did not behave."""
        if worker in self._leaving:
            self._leaving.remove(worker)
        elif worker is self._worker:
            log(reason)
            job, self._job, self._worker = self._job, None, None
            if job is not None:
                job.fail("fault", reason)
                job.release()
            elif not self._ready:  # it never came up: starting it again for each waiting job would not help
                self._trouble = reason
            self._ready = False
        self._schedule()

    def _fail_waiting(self, message: str) -> None:
        jobs = list(self._waiting)
        self._waiting.clear()
        for job in jobs:
            job.fail("fault", message)
            job.release()

    def _retire(self) -> None:
        """Let the worker go, in the background."""
        worker, self._worker, self._ready, self._idle_since = self._worker, None, False, None
        if worker is not None:
            self._leaving.append(worker)
            worker.retire()

    def _tick(self) -> None:
        now = time.monotonic()
        # A window that was busy, or a computer that slept, is no silence of the worker's.
        passed = min(now - self._last_tick, 2 * _TICK_MS / 1000)
        self._last_tick = now
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            self._fail_waiting(trouble)
        for worker in (self._worker, *self._leaving):
            if worker is not None:
                worker.tick(passed)
        if self._idle_since is not None and now - self._idle_since >= 60 * self._keep_warm_minutes:
            self._retire()
        self._go_on()

    def _schedule(self) -> None:
        """Have `_tick` called when it is next needed."""
        workers = [worker for worker in (self._worker, *self._leaving) if worker is not None]
        if not workers and self._trouble is None and not self._waiting:
            self._timer.stop()
            self._disconnect()
            return
        self._connect()
        if self._trouble is not None or (self._waiting and not workers):
            wait_ms = 0
        elif any(worker.watched for worker in workers) or self._idle_since is None:
            wait_ms = _TICK_MS
        else:
            left = 60 * self._keep_warm_minutes - (time.monotonic() - self._idle_since)
            wait_ms = max(0, min(round(1000 * left), 3_600_000))
        if not self._timer.active or self._timer.remainingTime > wait_ms:
            self._timer.start(wait_ms)

    def _connect(self) -> None:
        if not self._connected:
            self._connected = True
            self._last_tick = time.monotonic()
            self._timer.connect("timeout()", self._tick)
            slicer.app.connect("aboutToQuit()", self.close)

    def _disconnect(self) -> None:
        if self._connected:
            self._connected = False
            self._timer.disconnect("timeout()", self._tick)
            slicer.app.disconnect("aboutToQuit()", self.close)


_shared: Engine | None = None


def shared_engine() -> Engine:
    """The engine that panel and logic share. Its `close` belongs into the panel's cleanup at reload."""
    global _shared
    if _shared is None:
        _shared = Engine()
    return _shared
