"""What a run tells the user: lines for a person, or JSON lines for a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from umamba import messages
from umamba.cli.streams import error_line, write_line

if TYPE_CHECKING:
    from umamba.events import Progress
    from umamba.inference.runplan import RunPlan


class Report:
    """Standard output has the plan and the result, standard error warnings and the progress bar."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet

    def event(self, event: messages.Event) -> None:
        """Print an event, with --json only."""
        if self.as_json:
            write_line(messages.json_line(event))

    def line(self, text: str) -> None:
        """Print a line for a person."""
        if not (self.as_json or self.quiet):
            write_line(text)

    def plan(self, plan: RunPlan) -> None:
        """Say what the run will take."""
        self.event(messages.plan_event(plan))
        self.line(plan.line())

    def warning(self, text: str) -> None:
        """One line on standard error, also with --quiet: a warning is about the result."""
        text = " ".join(text.split())
        self.event(messages.log_event(text))
        error_line(f"warning: {text}")

    @contextmanager
    def progress(self) -> Iterator[Callable[[Progress], None]]:
        """The callback of a run: JSON lines, a bar in a terminal, or nothing."""
        if self.as_json:
            yield lambda progress: self.event(messages.progress_event(progress))
        elif self.quiet or not sys.stderr.isatty():
            yield lambda progress: None
        else:
            with _bar() as show:
                yield show


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    from umamba.inference.runplan import human_seconds

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    # A line for standard output goes above the bar where both are the terminal, else to where it belongs.
    above = sys.stdout.isatty()
    with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=above) as bar:
        task = bar.add_task("starting", total=None, left="")

        def show(progress: Progress) -> None:
            left = progress.seconds_left
            bar.update(
                task,
                description=progress.stage,
                completed=progress.done,
                total=progress.total,
                left="" if left is None else f"{human_seconds(left)} left",
            )

        yield show
