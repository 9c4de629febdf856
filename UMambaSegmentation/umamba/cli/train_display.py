"""What `umamba train` shows while it trains: a bar in a terminal, else a line for each epoch, or events."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from umamba import messages
from umamba.cli.report import Report

if TYPE_CHECKING:
    from umamba.events import Progress
    from umamba.training.log import EpochRecord

# A training has hundreds of thousands of steps; as events they come this far apart.
EVENT_INTERVAL_S = 1.0


class Display:
    """Shows steps and epochs in one of its three ways."""

    def __init__(self, report: Report, epochs: int, bar: Any = None) -> None:  # noqa: ANN401  (rich's Progress)
        self._report = report
        self._epochs = epochs
        self._bar = bar
        self._task = None if bar is None else bar.add_task("begins", total=None, figures="", left="")
        self._told = -EVENT_INTERVAL_S

    def begin(self, text: str) -> None:
        """The training begins, or goes on."""
        self._report.event(messages.log_event(text, "info"))
        self._report.line(text)

    def step(self, progress: Progress) -> None:
        """A step is to be done."""
        if self._report.as_json and time.monotonic() - self._told >= EVENT_INTERVAL_S:
            self._told = time.monotonic()
            self._report.event(messages.progress_event(progress))
        if self._bar is not None:
            from umamba.inference.runplan import human_seconds

            left = progress.seconds_left
            self._bar.update(
                self._task,
                description=f"epoch {self._running(progress)} of {self._epochs}",
                completed=progress.done,
                total=progress.total,
                left="" if left is None else f"{human_seconds(left)} left",
            )

    def _running(self, progress: Progress) -> int:
        """The epoch that a step is of, from 1."""
        return min(progress.done * self._epochs // progress.total + 1, self._epochs)

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is done."""
        self._report.event({"event": "epoch", **record.as_dict()})
        if self._bar is None:
            self._report.line(record.line())
            return
        from umamba.training.log import figure

        self._bar.update(
            self._task,
            figures=f"loss {figure(record.training_loss)}, Dice {figure(record.smooth_dice)}",
        )


@contextmanager
def displayed(report: Report, epochs: int) -> Iterator[Display]:
    """A display of a training of so many epochs, for as long as the block lasts."""
    if report.as_json or report.quiet or not sys.stderr.isatty():
        yield Display(report, epochs)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[figures]}"),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Display(report, epochs, bar)
