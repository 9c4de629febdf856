"""What U-Mamba's scripts for the endoscopy dataset (704) compute: one Dice and one NSD an image.

Their rules, kept as they are: the labels of an image are the values of both maps, each without the smallest
one that it has (the background as a rule; where an image has none, its first label is dropped). A label
that only the prediction has scores 0. Surfaces are those of a volume of one slice with voxels of 1 x 1 x 1,
so that the flat sides of a label count as surface; the tolerance is 2 pixels. The mean over the labels is
rounded to four decimals. With nothing in both maps the script ends with an error, so that the image has no
figures.
"""

from __future__ import annotations

import numpy as np

from umamba.evaluation.by_label import LabelFinder, Masks
from umamba.evaluation.case import LabelMaps
from umamba.evaluation.labels import Label
from umamba.evaluation.scores import CaseScores, Scores, Settings, mean
from umamba.evaluation.umamba_abdomen import DECIMALS, nsd

TOLERANCE_PX = 2.0
SPACING_PX = (1.0, 1.0, 1.0)
_NAMES = (
    "bipolar forceps",
    "prograsp forceps",
    "large needle driver",
    "vessel sealer",
    "grasping retractor",
    "monopolar curved scissors",
    "ultrasound probe",
)
LABELS = tuple(Label(name, (value,)) for value, name in enumerate(_NAMES, start=1))
MEASURES = ("Dice", "NSD")


def score_endoscopy(maps: LabelMaps, settings: Settings) -> CaseScores:
    """Dice and NSD of each label that the image has, and their rounded means as the image's own."""
    values = sorted({int(v) for array in (maps.reference, maps.prediction) for v in np.unique(array)[1:]})
    if not values:
        return CaseScores(
            {},
            dict.fromkeys(MEASURES),
            warnings=("the published script stops here, so there are no figures: both maps are empty",),
        )
    finder = LabelFinder(maps, maps.reference.size)
    names = {label.values[0]: label.name for label in LABELS}
    labels = [Label(names.get(value, str(value)), (value,)) for value in values]
    rows = {label.name: _score(finder.masks(label)) for label in labels}
    means = {name: mean(scores[name] for scores in rows.values()) for name in MEASURES}
    return CaseScores(
        rows, {name: None if value is None else round(value, DECIMALS) for name, value in means.items()}
    )


def _score(masks: Masks | None) -> Scores:
    if masks is None or not masks.reference.any():
        return {"Dice": 0.0, "NSD": 0.0}
    return {"Dice": masks.counts().dice, "NSD": nsd(masks, SPACING_PX, TOLERANCE_PX)}
