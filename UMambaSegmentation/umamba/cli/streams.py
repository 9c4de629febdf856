"""Standard output and standard error of the command line."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def prepare() -> None:
    """Let a terminal that lacks a character show its code instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def write_line(text: str) -> None:
    """Print to standard output. A reader that has left (`| head`) is no fault: the rest is dropped."""
    _write(text, sys.stdout)


def error_line(text: str) -> None:
    """Print to standard error: a warning or an error."""
    _write(f"umamba: {text}", sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
