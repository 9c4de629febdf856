"""Starts a module in the engine's Python: `umamba` (the worker) or `pip`. Runs outside Slicer's process.

    start_worker.py [--path FOLDER]... MODULE [ARGUMENT]...

Slicer's launcher puts Slicer's own folders first on Python's path, whatever the environment says; so the
folders are put before them here. It also starts the real Python as a child of itself; so this process leads a
group of its own and tells its number in the first line of its output, for the panel to end it with all its
children.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

STDOUT = 1


def main(words: list[str]) -> None:
    """Announce this process, arrange the path and become the module."""
    folders = []
    while words[0] == "--path":
        folders.append(words[1])
        words = words[2:]
    _announce()
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (pathlib would be loaded for this)
    sys.path[:] = folders + [path for path in sys.path if os.path.abspath(path or ".") != here]  # noqa: PTH100
    # Slicer tells ITK to load Slicer's own plug-ins; the engine's ITK is another one.
    os.environ.pop("ITK_AUTOLOAD_PATH", None)  # lint: this process is not Slicer's
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def _announce() -> None:
    group = hasattr(os, "setsid")
    if group:
        try:
            os.setsid()
        except OSError:  # it leads a group already
            group = os.getpgid(0) == os.getpid()
    line = json.dumps({"event": "started", "pid": os.getpid(), "group": group})
    os.write(STDOUT, line.encode("ascii") + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
