"""Tasks in several processes: whatever becomes of them, nobody waits for ever."""

import os
from operator import truediv

import pytest

from umamba.errors import Cancelled, InputError
from umamba.evaluation.workers import run_all


def nothing():
    return None


@pytest.mark.parametrize("jobs", [1, 2])
def test_outcomes_come_with_their_numbers(jobs):
    tasks = [(6.0, float(number)) for number in (1, 2, 3)]
    assert dict(run_all(truediv, tasks, jobs, nothing)) == {0: 6.0, 1: 3.0, 2: 2.0}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_of_a_task_is_raised(jobs):
    with pytest.raises(ZeroDivisionError):
        dict(run_all(truediv, [(1.0, 0.0), (1.0, 1.0)], jobs, nothing))


def test_a_process_that_dies_is_told():
    with pytest.raises(InputError, match="a process ended before its case was done"):
        dict(run_all(os._exit, [(3,), (3,)], 2, nothing))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_request_to_stop_ends_the_work(jobs):
    def stop():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        dict(run_all(truediv, [(1.0, 1.0)] * 9, jobs, stop))
