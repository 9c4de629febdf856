"""One preparation of a folder at a time: the folds of a dataset are often trained side by side."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LOCK_FILE = "preparing.lock"
# What the system answers while another has the lock; other answers come from disks that know no locks.
_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
# How often one that waits looks again.
_PATIENCE_S = 0.2

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def one_at_a_time(root: Path, check: Callable[[], None]) -> Iterator[None]:
    """Wait until no other process prepares `root`, then keep others waiting until the block ends.

    The system takes the lock back from a process that died; the file itself stays and means nothing.

    Args:
        root: The training's working folder; made where it is missing.
        check: Called while waiting; what it raises ends the wait.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK_FILE).open("ab") as file:
        while not _taken(file):
            check()
            time.sleep(_PATIENCE_S)
        yield  # closing the file gives the lock back


def _taken(file: BinaryIO) -> bool:
    try:
        _lock(file)
    except OSError as error:
        return error.errno not in _HELD
    return True
