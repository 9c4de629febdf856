"""Folders of packages: staging, replacing by a rename, and removing in the background.

PyTorch has tens of thousands of files: removing them takes seconds, so a process of its own does it.
"""

from __future__ import annotations

import csv
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from UMambaSegmentationLib.client.child import Child
from UMambaSegmentationLib.client.interpreter import Interpreter, Launch, environment

_STAGING, _REMOVED = "s-", "r-"
# What a killed Slicer left is cleared by the next installation, but nothing that may still be worked on.
_LEFTOVER_SECONDS = 24 * 3600
_REMOVE = """
import os, shutil, sys, time
for folder in sys.argv[1:]:
    for attempt in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.25)
"""


def staging_name(parent: Path) -> Path:
    """A name for a folder beside the final one."""
    return parent / f"{_STAGING}{secrets.token_hex(3)}"


def replace(target: Path, new: Path | None) -> None:
    """Put `new` in the place of `target` (None: nothing); what was there is set aside, see `removed`.

    Raises:
        OSError: A file is in use, or the like; `target` is as it was.
    """
    aside = target.with_name(f"{_REMOVED}{secrets.token_hex(3)}")
    was_there = target.exists()
    if was_there:
        target.rename(aside)
    if new is None:
        return
    try:
        new.rename(target)
    except OSError:
        if was_there:
            aside.rename(target)
        raise


def removed(parent: Path) -> list[Path]:
    """What was set aside and still lies there."""
    return list(parent.glob(f"{_REMOVED}*"))


def clear_leftovers(interpreter: Interpreter, parent: Path) -> None:
    """Remove what an installation that was killed has left."""
    old = time.time() - _LEFTOVER_SECONDS
    stale = [folder for folder in parent.glob(f"{_STAGING}*") if _changed(folder) < old]
    remove_in_background(interpreter, [*removed(parent), *stale])


def remove_in_background(interpreter: Interpreter, folders: Sequence[Path]) -> None:
    """Remove folders with all that is in them; what cannot be removed is left for the next time."""
    there = [str(folder) for folder in folders if folder.exists()]
    if not there:
        return
    first, *others = interpreter.command
    start = Launch(first, (*others, "-c", _REMOVE, *there), environment(interpreter))

    child = Child(start, on_line=_ignore, on_error_line=_ignore, on_end=_ignore)
    child.start()
    child.release()


def free_bytes(folder: Path) -> int:
    """Free space on the disk of a folder, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def bytes_in(folder: Path, pattern: str, *, since: float) -> int:
    """Bytes of the files that match and are younger than a time."""
    total = 0
    for file in folder.glob(pattern):
        try:
            found = file.stat()
        except OSError:  # gone meanwhile
            continue
        total += found.st_size if found.st_mtime >= since else 0
    return total


def recorded_bytes(folder: Path) -> int:
    """Bytes of the packages in a folder, by their own lists of files: far quicker than looking at each."""
    total = 0
    for record in folder.glob("*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as lines:
            total += sum(int(row[2]) for row in csv.reader(lines) if len(row) == 3 and row[2].isdigit())
    return total


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()


def _ignore(_line: object) -> None:
    pass
