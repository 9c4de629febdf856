"""The thread pool: every part once, exceptions raised, nested use and forks survived."""

import os
import threading
import time
from collections import Counter

import pytest

from umamba.ops import threads


@pytest.mark.parametrize("count", [0, 1, 2, 100])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_every_part_runs_once(count: int, number: int) -> None:
    done: list[int] = []
    threads.run(done.append, count, number)
    assert Counter(done) == Counter(range(count))


def test_two_threads_work_at_once() -> None:
    meeting = threading.Barrier(2, timeout=30)
    threads.run(lambda _: meeting.wait(), 2, 2)  # would raise if one thread did both


def test_an_exception_is_raised_after_all_threads_have_stopped() -> None:
    running: list[int] = []

    def part(index: int) -> None:
        running.append(index)
        if index == 1:
            raise ArithmeticError("part 1")
        running.remove(index)

    with pytest.raises(ArithmeticError, match="part 1"):
        threads.run(part, 20, 3)
    assert running == [1]


def test_several_callers_share_the_pool_while_it_grows() -> None:
    done: list[tuple[int, int]] = []

    def call(caller: int) -> None:
        threads.run(lambda part: done.append((caller, part)), 50, caller + 2)

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert Counter(done) == Counter((caller, part) for caller in range(6) for part in range(50))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    threads.run(lambda _: time.sleep(0), 4, 2)  # the parent's pool exists now
    child = os.fork()
    if child == 0:
        try:
            done: list[int] = []
            threads.run(done.append, 10, 2)
            os._exit(0 if len(done) == 10 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_without_a_new_thread_the_caller_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pool", None)
    monkeypatch.setattr(threads, "_pool_size", 0)
    monkeypatch.setattr("threading.Thread.start", refuse)
    done: list[int] = []
    threads.run(done.append, 5, threads=2)
    assert sorted(done) == [0, 1, 2, 3, 4]
