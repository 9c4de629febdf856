"""What a running job says of itself, and how it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from umamba.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """One report of a run.

    Attributes:
        stage: Of a run "read", "preprocess", "predict" or "write"; of a model that is stored or exported
            "unpack", "check" or "write".
        done, total: Steps of this stage.
        seconds_left: Estimate for the whole run, None while unknown.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON line."""
        return asdict(self)


ProgressCallback = Callable[[Progress], None]
CancelCallback = Callable[[], bool]


class Monitor:
    """Carries the callbacks of one run; every step goes through `step`, which is where cancel acts."""

    def __init__(
        self, progress: ProgressCallback | None = None, cancel: CancelCallback | None = None
    ) -> None:
        self._progress = progress
        self._cancel = cancel
        self._started: dict[str, float] = {}
        self._first: dict[str, tuple[float, int]] = {}  # when a stage had done its first steps, and how many
        self.stage_seconds: dict[str, float] = {}

    def step(self, stage: str, done: int, total: int) -> None:
        """Report `done` of `total` steps of `stage`.

        Raises:
            Cancelled: `cancel()` said so.
        """
        self.check()
        now = time.monotonic()
        started = self._started.setdefault(stage, now)
        self.stage_seconds[stage] = now - started
        if self._progress is not None:
            self._progress(Progress(stage, done, total, self._seconds_left(stage, now, done, total)))

    def _seconds_left(self, stage: str, now: float, done: int, total: int) -> float | None:
        """By the steps after the first, which may have waited for kernels to be compiled."""
        if done >= total:
            return 0.0
        if not done:
            return None
        since, first = self._first.setdefault(stage, (now, done))
        return (now - since) / (done - first) * (total - done) if done > first else None

    def check(self) -> None:
        """Raise `Cancelled` if the caller wants to stop."""
        if self._cancel is not None and self._cancel():
            raise Cancelled("cancelled; nothing was written")
