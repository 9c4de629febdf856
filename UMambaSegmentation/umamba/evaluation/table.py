"""The figures as a table: one line for each case and label (or threshold)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umamba.evaluation.result import Evaluation

ROW_TITLE = {"labels": "label", "thresholds": "iou"}


def write_csv(path: Path, evaluation: Evaluation) -> None:
    """Columns case, label (or iou), then the measures; a figure that is not defined is an empty cell."""
    convention = evaluation.convention
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("case", ROW_TITLE[convention.rows], *convention.columns))
        for case in evaluation.cases:
            for name, scores in case.rows.items():
                cells = (_cell(scores.get(measure)) for measure in convention.columns)
                rows.writerow((case.name, name, *cells))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
