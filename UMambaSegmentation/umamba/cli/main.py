"""The entry point: finds the command, runs it, and turns whatever ends it into an exit status.

Nothing heavy is imported here: every command's own file imports what it needs when it runs.
"""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from umamba.cli.parser import HELP, bind_signed_values, split_command
from umamba.cli.stop import Stop
from umamba.cli.streams import error_line, prepare, write_line
from umamba.errors import Cancelled, InputError
from umamba.messages import error_event, json_line, one_line
from umamba.version import __version__

DONE = 0
FAULT = 1
WRONG_REQUEST = 2
CANCELLED = 130

# What each command does; its file in this folder has `run(words, stop) -> exit status`.
COMMANDS = {
    "segment": "segment an image",
    "plan": "say what a run would take, and how, without running",
    "models": "list, show, import, export, install, remove and verify models",
    "package": "make one file of a trained model",
    "train": "train a model on images and labels",
    "convert": "make a published dataset one to train on",
    "evaluate": "compare segmentations with references",
    "doctor": "say what works on this computer, and how fast",
    "worker": "the process behind the 3D Slicer panel: JSON lines over its pipes",
}
LATER = {
    "batch": "segment many images",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's own) and return its exit status.

    0 done, 1 a fault of ours, 2 the input or the request is wrong, 130 cancelled.
    """
    prepare()
    words = bind_signed_values(sys.argv[1:] if argv is None else argv)
    with warnings.catch_warnings(), _logging("--debug" in words), Stop() as stop:
        try:
            return _run(words, stop)
        except SystemExit as leave:  # argparse, after --help
            return DONE if leave.code is None else int(leave.code)
        except (Cancelled, KeyboardInterrupt):
            return _fail(Cancelled("cancelled; nothing was written"), CANCELLED, words)
        except InputError as error:
            return _fail(error, WRONG_REQUEST, words)
        except Exception as error:  # the last resort: one line instead of a traceback
            return _fail(error, FAULT, words)


def _run(words: list[str], stop: Stop) -> int:
    if "--version" in words:
        write_line(f"umamba {__version__}")
        return DONE
    command, rest = split_command(words, (*COMMANDS, *LATER))
    if command is None:
        if any(word in HELP for word in words):
            write_line(_overview())
            return DONE
        raise InputError("no command given (see umamba --help)")
    if command in LATER:
        raise InputError(
            f"`umamba {command}` ({LATER[command]}) comes with a later version; this is {__version__}"
        )
    status: int = importlib.import_module(f"umamba.cli.{command}").run(rest, stop)
    return status


def _overview() -> str:
    width = max(len(name) for name in (*COMMANDS, *LATER)) + 2
    lines = [
        "usage: umamba COMMAND ...      (umamba COMMAND --help says more)",
        "",
        "U-Mamba and nnU-Net segmentation of medical images, on any computer.",
        "",
        *(f"  {name:<{width}}{about}" for name, about in COMMANDS.items()),
        "",
        "with a later version:",
        *(f"  {name:<{width}}{about}" for name, about in LATER.items()),
        "",
        "everywhere:",
        "  --debug    show the log and, after an error, where it arose",
        "  --version  show the version",
    ]
    return "\n".join(lines)


@contextmanager
def _logging(debug: bool) -> Iterator[None]:
    """With --debug the log goes to standard error, else only our own lines do; both until the block ends."""
    root, ours = logging.getLogger(), logging.getLogger("umamba")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    if debug:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        root.handlers = [handler]
        root.setLevel(logging.INFO)
        ours.setLevel(logging.DEBUG)
        logging.captureWarnings(True)
    else:
        warnings.simplefilter("ignore")
        if not handlers:
            root.addHandler(logging.NullHandler())
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        if debug:
            logging.captureWarnings(False)


def _fail(error: BaseException, status: int, words: list[str]) -> int:
    debug = "--debug" in words
    if debug:
        traceback.print_exc(file=sys.stderr)
    if "--json" in words:
        write_line(json_line(error_event(error)))
    text = one_line(error)
    if status == FAULT:
        advice = (
            "the lines above are for a bug report" if debug else "run again with --debug for a bug report"
        )
        text = f"a fault of this program: {text}; {advice}"
    error_line(text if status == CANCELLED else f"error: {text}")
    return status
