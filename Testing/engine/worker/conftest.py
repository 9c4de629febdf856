"""A worker to talk to, as the panel does."""

import json
import os
import queue
import subprocess
import sys
import threading

import pytest

# Loading PyTorch and compiling kernels on a busy machine; a test that waits longer has failed.
PATIENCE_S = 120.0


class Worker:
    """A `umamba worker` process, its events read by a thread so that no test can hang."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "umamba", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def say(self, **message):
        self.write(json.dumps(message).encode() + b"\n")

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def event(self):
        """The next event; None when the worker has closed its output."""
        line = self._lines.get(timeout=PATIENCE_S)
        return None if line is None else json.loads(line)

    def events_until(self, *kinds):
        """Events up to and with the first of one of these kinds."""
        events = [self.event()]
        while events[-1] is not None and events[-1]["event"] not in kinds:
            events.append(self.event())
        return events

    def end(self):
        """Close its input, wait, and give its exit status."""
        self.process.stdin.close()
        return self.process.wait(timeout=PATIENCE_S)


@pytest.fixture
def worker():
    running = Worker()
    yield running
    running.process.kill()
    running.process.wait(timeout=PATIENCE_S)
    for stream in (running.process.stdin, running.process.stdout, running.process.stderr):
        stream.close()
