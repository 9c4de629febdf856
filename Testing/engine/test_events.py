"""Progress and the time that is left."""

from __future__ import annotations

import pytest

from umamba import events


def test_a_slow_first_step_does_not_count_for_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It compiles kernels: minutes for the first tile, then a tenth of a second each."""
    clock = iter((0.0, 100.0, 100.1, 100.2, 100.9))
    monkeypatch.setattr(events.time, "monotonic", lambda: next(clock))
    told: list[events.Progress] = []
    monitor = events.Monitor(told.append)
    for done in (0, 1, 2, 3, 10):
        monitor.step("predict", done, 10)
    assert [progress.seconds_left for progress in told] == [
        None,
        None,
        pytest.approx(0.8),
        pytest.approx(0.7),
        0.0,
    ]
