"""The conventions by name: what each computes, from what, and how its means are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from umamba.evaluation import by_label, mamba_unet, umamba_abdomen, umamba_endoscopy
from umamba.evaluation.by_object import score_objects
from umamba.evaluation.case import LabelMaps
from umamba.evaluation.labels import Label
from umamba.evaluation.scores import CaseScores, Settings
from umamba.evaluation.umamba_cells import BORDER_PX, score_cells

DEFAULT = "default"
Score = Callable[[LabelMaps, Settings], CaseScores]
OBJECT_MEASURES = ("F1", "precision", "recall", "TP", "FP", "FN")
VOLUMES = ("reference_voxels", "prediction_voxels", "reference_ml", "prediction_ml")


@dataclass(frozen=True)
class Convention:
    """A way to compute figures.

    Attributes:
        name: As `--convention` has it.
        rows: What the figures of a case are sorted by.
        columns: Measures of a row.
        own: Measures of a case as a whole.
        plotted: Measures of a row that a plot shows.
        score: Computes them for one case.
        unit: Of distances, or "" for that of the files.
        tolerances: The tolerance of each label where the convention fixes it; None where the user may.
        labels: The convention's own; None where they are the user's.
        border: Objects at the border of so many pixels are left out unless the user says otherwise.
        mean_of_cases: The mean of all is that of the cases' own figures, not that of the rows.
        reference_ending: What references are called more than predictions.
    """

    name: str
    rows: Literal["labels", "thresholds"]
    columns: tuple[str, ...]
    own: tuple[str, ...]
    plotted: tuple[str, ...]
    score: Score
    unit: str = ""
    tolerances: Mapping[str, float] | None = None
    labels: tuple[Label, ...] | None = None
    border: int = 0
    mean_of_cases: bool = False
    reference_ending: str = ""

    @property
    def of_objects(self) -> bool:
        """Whether it counts objects; else it measures labels."""
        return self.rows == "thresholds"

    @property
    def takes_tolerances(self) -> bool:
        """Whether the user says how far a surface may be off."""
        return self.tolerances is None and not self.of_objects


_LABEL_MEASURES = tuple(name for name in by_label.ABSENT if name not in VOLUMES)

LABELS = Convention(
    DEFAULT,
    rows="labels",
    columns=(*_LABEL_MEASURES, *VOLUMES),
    own=_LABEL_MEASURES,
    plotted=("Dice", "NSD", "HD95"),
    score=by_label.score_labels,
)
OBJECTS = Convention(
    DEFAULT,
    rows="thresholds",
    columns=OBJECT_MEASURES,
    own=(*OBJECT_MEASURES, "Dice"),
    plotted=("F1", "precision", "recall"),
    score=score_objects,
    unit="px",
    mean_of_cases=True,
)
PUBLISHED = {
    convention.name: convention
    for convention in (
        Convention(
            "umamba-abdomen",
            rows="labels",
            columns=("Dice", "NSD"),
            own=("Dice", "NSD"),
            plotted=("Dice", "NSD"),
            score=umamba_abdomen.score_abdomen,
            tolerances=umamba_abdomen.TOLERANCES_MM,
            labels=umamba_abdomen.LABELS,
        ),
        Convention(
            "umamba-endoscopy",
            rows="labels",
            columns=("Dice", "NSD"),
            own=("Dice", "NSD"),
            plotted=("Dice", "NSD"),
            score=umamba_endoscopy.score_endoscopy,
            unit="px",
            tolerances={label.name: umamba_endoscopy.TOLERANCE_PX for label in umamba_endoscopy.LABELS},
            labels=umamba_endoscopy.LABELS,
            mean_of_cases=True,
        ),
        Convention(
            "umamba-cells",
            rows="thresholds",
            columns=OBJECT_MEASURES,
            own=(*OBJECT_MEASURES, "Dice"),
            plotted=("F1", "precision", "recall"),
            score=score_cells,
            unit="px",
            border=BORDER_PX,
            mean_of_cases=True,
            reference_ending="_label",
        ),
        Convention(
            "mamba-unet",
            rows="labels",
            columns=tuple(mamba_unet.ABSENT),
            own=tuple(mamba_unet.ABSENT),
            plotted=("Dice", "HD95"),
            score=mamba_unet.score_mamba_unet,
            unit="voxels",
            tolerances={},
        ),
    )
}
