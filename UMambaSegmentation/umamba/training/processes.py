"""Child processes of a training do not outlive it, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait
from typing import Any


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended; a main process is left alone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class EndWithParent:
    """A transform that changes nothing, and lets the process that augments end with the training's.

    nnU-Net's augmenting processes wait for ever for somebody to take their batches when the training was
    killed. They run nothing of ours but the transforms.
    """

    def __init__(self) -> None:
        self._watched = os.getpid()  # where it is made, nothing is to be watched

    def __call__(self, **data: Any) -> dict[str, Any]:  # noqa: ANN401
        """Give the data back."""
        if self._watched != os.getpid():
            self._watched = os.getpid()
            end_with_parent()
        return data
