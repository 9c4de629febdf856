"""Running the parts of a computation on the computer's threads, as many as PyTorch was told to use.

The parts must be independent and release the GIL. One pool serves the process; a forked child makes its own.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

# Parts of the work for each thread, so that a thread that is held up does not hold up all.
PARTS_PER_THREAD = 4

_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_lock = threading.Lock()


def _forget_pool() -> None:
    """After a fork the pool's threads do not exist in the child."""
    global _pool, _pool_size, _lock
    _pool, _pool_size, _lock = None, 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _submit(work: Callable[[], None], count: int) -> list[Future[None]]:
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < count:
            if _pool is not None:
                _pool.shutdown(wait=False)  # what it was given it still does
            _pool, _pool_size = ThreadPoolExecutor(count, thread_name_prefix="umamba"), count
        try:
            return [_pool.submit(work) for _ in range(count)]
        except RuntimeError:  # the computer starts no thread just now: the caller does all the work
            _pool, _pool_size = None, 0
            return []


def run(part: Callable[[int], object], count: int, threads: int | None = None) -> None:
    """Call part(0) ... part(count - 1), each once, on `threads` threads (PyTorch's number when None).

    Returns when all are done; the first exception is raised then. The calling thread works too.
    """
    threads = min(count, threads or torch.get_num_threads())
    if threads <= 1:
        for index in range(count):
            part(index)
        return
    ticket = itertools.count()  # next() on it is atomic

    def work() -> None:
        while (index := next(ticket)) < count:
            part(index)

    futures = _submit(work, threads - 1)
    try:
        work()
    finally:
        for future in futures:
            future.exception()
    for future in futures:
        future.result()


def run_rows(kernel: Callable[..., object], arguments: tuple[object, ...], rows: int) -> None:
    """Call kernel(*arguments, first, last) for ranges that together cover `rows` rows."""
    parts = min(rows, PARTS_PER_THREAD * torch.get_num_threads())
    run(lambda part: kernel(*arguments, part * rows // parts, (part + 1) * rows // parts), parts)
