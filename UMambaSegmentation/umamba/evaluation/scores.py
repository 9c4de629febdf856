"""What every convention is asked and what it answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from umamba.errors import InputError
from umamba.evaluation.labels import Label, Naming

# By the name of the measure; None where it is not defined.
Scores = dict[str, float | None]

DEFAULT_TOLERANCE_MM = 2.0


@dataclass(frozen=True)
class Tolerances:
    """Distances up to which a surface counts as right, in mm (pixels for images without spacing).

    Attributes:
        general: For every label that has none of its own.
        by_label: For the labels called so, by name or value.
    """

    general: float = DEFAULT_TOLERANCE_MM
    by_label: Mapping[str, float] = field(default_factory=dict)

    def of(self, label: Label) -> float:
        """The tolerance of a label."""
        return next((mm for name, mm in self.by_label.items() if label.is_called(name)), self.general)

    def check(self, labels: Sequence[Label] | None) -> None:
        """Raise InputError where a tolerance is no length, or is given to a label that is not there."""
        for mm in (self.general, *self.by_label.values()):
            if not (math.isfinite(mm) and mm >= 0):
                raise InputError(f"tolerance {mm:g} mm: a length of at least 0 is wanted")
        for name in self.by_label:
            known = name.isdecimal() if labels is None else any(label.is_called(name) for label in labels)
            if not known:
                known_ones = "no names are known here: give the label's value, as in 2=5"
                if labels is not None:
                    known_ones = f"known are {', '.join(label.name for label in labels)}"
                raise InputError(f"tolerance for {name!r}: there is no such label; {known_ones}")


@dataclass(frozen=True)
class Settings:
    """What is to be scored, and how.

    Attributes:
        naming: The labels.
        tolerances: For the surfaces, where the convention leaves them open.
        thresholds: Least IoU at which an object counts as found.
        border: Objects that touch the outer so many pixels are left out on both sides.
    """

    naming: Naming = field(default_factory=lambda: Naming(None))
    tolerances: Tolerances = field(default_factory=Tolerances)
    thresholds: tuple[float, ...] = (0.5,)
    border: int = 0


@dataclass(frozen=True)
class CaseScores:
    """The figures of one case.

    Attributes:
        rows: Of each label by its name, or of each threshold ("0.5").
        own: Of the case as a whole; empty where it is the mean over the rows.
        warnings: What the reader should know of this case.
        unnamed: Values found that none of the named labels has.
        absent: Figures of a label that is in neither map, where labels are those that occur in some case.
    """

    rows: Mapping[str, Scores]
    own: Scores = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unnamed: tuple[int, ...] = ()
    absent: Scores | None = None


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are defined, None of nothing."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
