"""What an evaluation gives: figures of each case and their means, and the files they are written to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.conventions import Convention
from umamba.evaluation.scores import Scores, mean
from umamba.imaging.files import suffix_of
from umamba.version import __version__

Figures = dict[str, Any]
Statistic = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Case:
    """One pair of files.

    Attributes:
        name: The reference's name without its suffix.
        reference, prediction: Names of the files.
        rows: Figures of each label by its name, or of each threshold ("0.5").
        own: Figures of the case as a whole.
    """

    name: str
    reference: str
    prediction: str
    rows: Mapping[str, Scores]
    own: Scores

    def as_dict(self, rows: str) -> Figures:
        """Plain values; `rows` is what the rows are called."""
        return {
            "case": self.name,
            "reference": self.reference,
            "prediction": self.prediction,
            **self.own,
            rows: {name: dict(scores) for name, scores in self.rows.items()},
        }


@dataclass(frozen=True)
class Evaluation:
    """The outcome of `umamba.evaluate`.

    Attributes:
        convention: How the figures were computed.
        unit: Of distances: "mm", "px" or "voxels".
        labels: What is known of the rows: values and tolerance of each label by its name.
        settings: Further options of the run, for the record.
        cases: In the order of their names.
        warnings: What the reader should know, one line each.
    """

    convention: Convention
    unit: str
    labels: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    cases: tuple[Case, ...]
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of all rows, in order."""
        return tuple(dict.fromkeys(name for case in self.cases for name in case.rows))

    def values(self, row: str, measure: str) -> list[float]:
        """A measure of a row in all cases in which it is defined."""
        found = (case.rows[row].get(measure) for case in self.cases if row in case.rows)
        return [value for value in found if value is not None]

    @property
    def mean(self) -> Figures:
        """Means over the cases: of each row under "labels" or "thresholds", and of all.

        What is not defined in a case is left out. That of all is the mean of the rows' means, in conventions
        that give one figure an image the mean of these.
        """
        figures = self._statistic(statistics.fmean)
        if not self.convention.mean_of_cases:
            rows = figures[self.convention.rows].values()
            figures |= {name: mean(row[name] for row in rows) for name in self.convention.own}
        return figures

    @property
    def sd(self) -> Figures:
        """Standard deviations over the cases (n - 1), as `mean`; those of all from the cases' own figures."""
        return self._statistic(statistics.stdev, least=2)

    @property
    def median(self) -> Figures:
        """Medians over the cases, as `sd`."""
        return self._statistic(statistics.median)

    @property
    def counted(self) -> Figures:
        """In how many cases each figure is defined."""
        return self._statistic(len, least=0)

    def _statistic(self, statistic: Statistic, least: int = 1) -> Figures:
        def of(values: Iterable[float | None]) -> float | None:
            known = [value for value in values if value is not None]
            return statistic(known) if len(known) >= least else None

        own: Figures = {name: of(case.own.get(name) for case in self.cases) for name in self.convention.own}
        own[self.convention.rows] = {
            row: {name: of(self.values(row, name)) for name in self.convention.columns} for row in self.rows
        }
        return own

    def as_dict(self) -> Figures:
        """Everything as plain JSON values, as results.json has it."""
        return {
            "umamba": __version__,
            "convention": self.convention.name,
            "unit": self.unit,
            **self.settings,
            "labels": {name: dict(facts) for name, facts in self.labels.items()},
            "cases": [case.as_dict(self.convention.rows) for case in self.cases],
            "mean": self.mean,
            "sd": self.sd,
            "median": self.median,
            "counted": self.counted,
            "warnings": list(self.warnings),
        }

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write a file, whole or not at all: .json all, .csv a line for each case and row, .png a plot.

        Raises:
            InputError: Another suffix; the file exists; it cannot be written.
        """
        from umamba.imaging.files import atomic_write, write_json

        suffix = suffix_of(path)
        if suffix == ".json":
            write_json(path, self.as_dict(), overwrite)
            return
        if suffix not in (".csv", ".png"):
            raise InputError(f"{Path(path).name}: an evaluation is written as .json, .csv or .png")
        with atomic_write(path, overwrite) as hidden:
            if suffix == ".csv":
                from umamba.evaluation.table import write_csv

                write_csv(hidden, self)
            else:
                from umamba.evaluation.boxplot import draw_boxplot

                draw_boxplot(hidden, self)
