"""Many independent tasks, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from typing import Any, TypeVar

from umamba.errors import InputError

Outcome = TypeVar("Outcome")
# How long a request to stop may go unheard.
PATIENCE_S = 0.2


def run_all(
    function: Callable[..., Outcome], tasks: Sequence[tuple[Any, ...]], jobs: int, check: Callable[[], None]
) -> Iterator[tuple[int, Outcome]]:
    """Call `function` with each task's arguments; give each outcome with the task's number, as they come.

    Args:
        function, tasks: Of names and values that can be pickled, if `jobs` is above 1.
        jobs: Processes; with 1 all is done in this one.
        check: Called again and again; what it raises ends the work.

    Raises:
        InputError: A process died, which the system does to those that take too much memory.
        Whatever `function` or `check` raises; the other tasks are dropped then, begun or not.
    """
    if jobs == 1:
        for number, task in enumerate(tasks):
            check()
            yield number, function(*task)
        return
    # A fresh interpreter each: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(told,))
    done = False
    try:
        numbers = {pool.submit(function, *task): number for number, task in enumerate(tasks)}
        yield from _as_they_come(numbers, check)
        done = True
    except BrokenProcessPool as error:
        raise InputError(
            "a process ended before its case was done, perhaps for lack of memory; give fewer with --jobs"
        ) from error
    finally:
        if not done:
            tell.send_bytes(b"stop")
        pool.shutdown(wait=True, cancel_futures=True)
        told.close()
        tell.close()


def _as_they_come(
    numbers: dict[Future[Outcome], int], check: Callable[[], None]
) -> Iterator[tuple[int, Outcome]]:
    waiting = set(numbers)
    while waiting:
        check()
        done, waiting = wait(waiting, timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=numbers.__getitem__):
            yield numbers[future], future.result()


def _begin(told: Connection) -> None:
    """In a new process: Ctrl-C is the parent's affair; its end, or its word, is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    ends = [told] if parent is None else [told, parent.sentinel]
    threading.Thread(target=_end_with, args=(ends,), daemon=True).start()


def _end_with(ends: Sequence[Connection | int]) -> None:
    wait_for_any(ends)
    os._exit(1)
