"""A process of the engine's Python: its output by lines, and its end with all its children."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

import qt
import slicer

from UMambaSegmentationLib.client.interpreter import Launch

# A line longer than this is no line; what there is of it is handed on as one.
LONGEST_LINE = 64 * 1024 * 1024
_WINDOWS = sys.platform == "win32"
_LAST_MS = 3_000
# Processes that nobody asks any more, and such as have just ended: a process object may not be deleted while
# its process runs, nor in the middle of its own signals.
_kept: set[Child] = set()


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Attributes:
        started: False if the program could not be started at all.
        code: Its exit status.
        crashed: Whether it was ended from outside, or by a fault of its own.
    """

    started: bool
    code: int
    crashed: bool

    @property
    def good(self) -> bool:
        """Whether it ended by itself and says that all went well."""
        return self.started and not self.crashed and self.code == 0

    @property
    def text(self) -> str:
        """For the log."""
        if not self.started:
            return "could not be started"
        return f"was ended, status {self.code}" if self.crashed else f"exit status {self.code}"


class Child:
    """One process. Its callbacks come from the event loop, or from `read`.

    on_line: Each line of its standard output, without the line break.
    on_error_line: Each line of its standard error.
    on_end: Its end, once, after its last line.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        on_line: Callable[[bytes], None],
        on_error_line: Callable[[str], None],
        on_end: Callable[[Ending], None],
    ) -> None:
        self.pid = 0  # of the Python itself; 0 until it says so: the program may be a launcher
        self.running = False
        self._launch = launch
        self._on_line, self._on_error_line, self._on_end = on_line, on_error_line, on_end
        self._output, self._errors = bytearray(), bytearray()
        self._leads_group = False
        self._killer: qt.QProcess | None = None
        self._process = qt.QProcess()

    def start(self) -> None:
        """Start it. A failure is told through `on_end`, perhaps before this returns."""
        variables = qt.QProcessEnvironment()
        for name, text in self._launch.environment.items():
            variables.insert(name, text)
        self._process.setProcessEnvironment(variables)
        for sent, slot in self._slots():
            self._process.connect(sent, slot)
        self.running = True
        self._process.start(self._launch.program, list(self._launch.arguments))

    def write(self, data: bytes) -> None:
        """Queue bytes for its standard input."""
        if self.running:
            self._process.write(data)

    def close_input(self) -> None:
        """Close its standard input when what is queued is written."""
        if self.running:
            self._process.closeWriteChannel()

    def read(self, milliseconds: int) -> None:
        """Without an event loop: wait for output, or the end, at most so long; callbacks come meanwhile."""
        if self.running:
            self._process.waitForReadyRead(int(milliseconds))

    def wait(self, milliseconds: int) -> bool:
        """Without an event loop: wait for the end, at most so long. Whether it has ended."""
        if self.running:
            self._process.waitForFinished(int(milliseconds))
        return not self.running

    def terminate(self) -> None:
        """Ask the system to end it. On Windows, where a console program does not hear that: kill it."""
        if not self.running:
            return
        if _WINDOWS:
            self.kill()
        elif not self._signal_group(signal.SIGTERM):
            self._process.terminate()

    def kill(self) -> None:
        """End it and its children, now. Its end is still told through `on_end`, when it has come."""
        if not self.running:
            return
        if _WINDOWS:
            if self._killer is None:
                self._killer = qt.QProcess()
                self._killer.start("taskkill", ["/T", "/F", "/PID", str(self._process.processId())])
            return
        self._signal_group(signal.SIGKILL)
        self._process.kill()  # the launcher, where there is one

    def release(self) -> None:
        """Hear nothing more of it; it goes on by itself. When Slicer ends, it has some seconds left."""
        self._on_line = self._on_error_line = self._on_end = _ignore
        if self.running:
            _keep(self)

    def abandon(self) -> None:
        """Kill it and hear nothing more of it."""
        self.release()
        self.kill()

    def _slots(self) -> tuple[tuple[str, Callable[..., None]], ...]:
        return (
            ("readyReadStandardOutput()", self._read_output),
            ("readyReadStandardError()", self._read_errors),
            ("finished(int,QProcess::ExitStatus)", self._finished),
            ("errorOccurred(QProcess::ProcessError)", self._failed),
        )

    def _signal_group(self, number: int) -> bool:
        if not (self.pid and self._leads_group):
            return False
        try:
            os.killpg(self.pid, number)
        except OSError:  # it has just ended
            return False
        return True

    def _read_output(self) -> None:
        self._take(self._output, self._process.readAllStandardOutput().data(), self._line)

    def _read_errors(self) -> None:
        self._take(self._errors, self._process.readAllStandardError().data(), self._error_line)

    def _take(self, rest: bytearray, chunk: bytes, give: Callable[[bytes], None]) -> None:
        """Cut lines; what follows the last line break is kept for the next time."""
        rest += chunk
        if b"\n" not in chunk and len(rest) <= LONGEST_LINE:
            return
        *lines, last = bytes(rest).split(b"\n")
        if len(last) > LONGEST_LINE:
            lines, last = [*lines, last], b""
        rest[:] = last
        for line in lines:
            give(line.rstrip(b"\r"))

    def _line(self, line: bytes) -> None:
        if not self.pid and line.startswith(b'{"event": "started"'):
            said = json.loads(line)
            self.pid, self._leads_group = int(said["pid"]), bool(said["group"])
        elif line:
            self._on_line(line)

    def _error_line(self, line: bytes) -> None:
        if line.strip():
            self._on_error_line(line.decode("utf-8", "replace"))

    def _failed(self, error: object) -> None:
        if error == qt.QProcess.FailedToStart:  # after any other fault `finished` follows
            self._end(Ending(False, -1, False))

    def _finished(self, code: int, status: object) -> None:
        self._read_output()
        self._read_errors()
        ending = Ending(True, int(code), status != qt.QProcess.NormalExit)
        if self._output and ending.good:  # else it was cut off in the middle of a line
            self._line(bytes(self._output))
        self._error_line(bytes(self._errors))
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        if not self.running:
            return
        self.running = False
        for sent, slot in self._slots():
            self._process.disconnect(sent, slot)
        _keep(self)
        qt.QTimer.singleShot(0, lambda: _drop(self))
        self._on_end(ending)


def _keep(child: Child) -> None:
    if not _kept:
        slicer.app.connect("aboutToQuit()", end_kept)
    _kept.add(child)


def _drop(child: Child) -> None:
    _kept.discard(child)
    if not _kept:
        slicer.app.disconnect("aboutToQuit()", end_kept)


def end_kept() -> None:
    """Slicer ends: wait some seconds for processes that nobody asks any more, then kill them."""
    for child in list(_kept):
        if not child.wait(_LAST_MS):
            child.kill()
            child.wait(_LAST_MS)


def _ignore(_something: object) -> None:
    pass
