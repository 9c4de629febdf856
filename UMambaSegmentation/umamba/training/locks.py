"""One preparation of a folder at a time, and one training of a fold: folds are often trained side by side."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from umamba.errors import InputError
from umamba.imaging.files import reason

LOCK_FILE, TRAINING_LOCK = "preparing.lock", "training.lock"
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


@contextmanager
def only_training(fold_folder: Path) -> Iterator[None]:
    """Keep others from training in a fold's folder until the block ends.

    Args:
        fold_folder: fold_<n>; made where it is missing.

    Raises:
        InputError: Another process trains there, or the folder cannot be written.
    """
    try:
        fold_folder.mkdir(parents=True, exist_ok=True)
        file = (fold_folder / TRAINING_LOCK).open("ab")
    except OSError as error:
        raise InputError(
            f"{fold_folder.name}: cannot be written: {reason(error)}; allow writing or choose another folder"
        ) from error
    with file:
        if not _taken(file):
            raise InputError(
                f"{fold_folder.name}: another process is training it in this folder; wait for its end, train "
                "another fold, or choose another folder"
            )
        yield


def _taken(file: BinaryIO) -> bool:
    try:
        _lock(file)
    except OSError as error:
        return error.errno not in _HELD
    return True
