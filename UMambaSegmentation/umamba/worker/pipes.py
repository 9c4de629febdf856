"""The worker's pipes: lines of bytes in, lines of bytes out, and nothing else on standard output."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from umamba.messages import json_line

STDIN, STDOUT, STDERR = 0, 1, 2
CHUNK_BYTES = 65_536


class Output:
    """The only writer to the pipe that was standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, event: Mapping[str, Any]) -> None:
        """Write one event as one line.

        Raises:
            OSError: Nobody reads any more.
        """
        waiting = memoryview(json_line(event).encode("ascii") + b"\n")
        with self._lock:
            while waiting:
                waiting = waiting[os.write(self._descriptor, waiting) :]


def take_standard_output() -> Output:
    """Keep standard output for events; whatever else prints there, in C code too, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    sys.stdout = sys.stderr
    return Output(kept)


def read_lines(descriptor: int = STDIN) -> Iterator[bytes]:
    """Lines until the other end closes; a last line without its end is given too.

    Reads the descriptor itself: a thread that waits in Python's buffered reader would hold its lock
    when the process ends.
    """
    rest = b""
    while chunk := os.read(descriptor, CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest
