"""The files that tell of finished epochs, written together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from umamba.errors import InputError
from umamba.training.curves import draw_curves
from umamba.training.log import (
    CURVES,
    LOG,
    EpochRecord,
    append_line,
    read_progress,
    write_progress,
)


def tell(folder: Path, records: Sequence[EpochRecord]) -> None:
    """Add the last epoch's line to training.log; write progress.json and the curves anew."""
    append_line(folder, records[-1].line())
    write_progress(folder, records)
    draw_curves(folder / CURVES, records)


def tell_again(folder: Path, records: Sequence[EpochRecord]) -> None:
    """Make up for what a run did not write that was killed between the checkpoint and these files."""
    if not records or list(records) == _told(folder):
        return
    log, line = folder / LOG, records[-1].line()
    if not log.is_file() or line not in log.read_text(encoding="utf-8"):
        append_line(folder, line)
    write_progress(folder, records)
    draw_curves(folder / CURVES, records)


def _told(folder: Path) -> list[EpochRecord] | None:
    """What stands in progress.json; None where that is damaged."""
    try:
        return read_progress(folder)
    except InputError:
        return None
