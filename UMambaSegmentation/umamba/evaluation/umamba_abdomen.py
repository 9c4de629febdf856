"""What U-Mamba's scripts for the abdomen datasets (701, 702) compute: Dice and NSD of 13 organs.

Their rules, kept as they are: an organ that is in neither map scores 1, one that only the prediction has
scores 0. Aorta, inferior vena cava and esophagus are scored within the reference's slices only, of which
the last is left out too. Figures are rounded to four decimals. Where the reference has one slice of such a
vessel nothing is left to compare: Dice is not a number (None here), and the script of NSD ends with an
error, so that the case has no NSD.
"""

from __future__ import annotations

import numpy as np

from umamba.evaluation.by_label import LabelFinder, Masks
from umamba.evaluation.case import LabelMaps
from umamba.evaluation.labels import Label
from umamba.evaluation.scores import CaseScores, Scores, Settings
from umamba.evaluation.surfaces import distances, elements

DECIMALS = 4
ORGANS = (
    ("liver", 5.0),
    ("right kidney", 3.0),
    ("spleen", 3.0),
    ("pancreas", 5.0),
    ("aorta", 2.0),
    ("inferior vena cava", 2.0),
    ("right adrenal gland", 2.0),
    ("left adrenal gland", 2.0),
    ("gallbladder", 2.0),
    ("esophagus", 3.0),
    ("stomach", 5.0),
    ("duodenum", 7.0),
    ("left kidney", 3.0),
)
LABELS = tuple(Label(name, (value,)) for value, (name, _) in enumerate(ORGANS, start=1))
TOLERANCES_MM = dict(ORGANS)
WITHIN_THE_REFERENCE = ("aorta", "inferior vena cava", "esophagus")


def score_abdomen(maps: LabelMaps, settings: Settings) -> CaseScores:
    """Dice and NSD of each of the 13 organs, whatever the maps hold besides."""
    finder = LabelFinder(maps, maps.reference.size)
    rows = {label.name: _score(finder.masks(label), label.name, maps.spacing) for label in LABELS}
    stops = [name for name, scores in rows.items() if "NSD" not in scores]
    if not stops:
        return CaseScores(rows)
    return CaseScores(
        {name: {**scores, "NSD": None} for name, scores in rows.items()},
        warnings=(
            "the published script stops here, so there is no NSD: the reference has the "
            f"{' and the '.join(stops)} in one slice only",
        ),
    )


def _score(masks: Masks | None, name: str, spacing: tuple[float, float, float]) -> Scores:
    """Dice and NSD; without NSD where the published script ends."""
    if masks is None:
        return {"Dice": 1.0, "NSD": 1.0}
    if not masks.reference.any():
        return {"Dice": 0.0, "NSD": 0.0}
    if name in WITHIN_THE_REFERENCE:
        slices = np.flatnonzero(masks.reference.any(axis=(1, 2)))
        kept = slice(slices[0], slices[-1])
        masks = Masks(masks.reference[kept], masks.prediction[kept], masks.voxels)
        if not masks.reference.size:
            return {"Dice": None}
    dice = masks.counts().dice
    return {
        "Dice": None if dice is None else round(dice, DECIMALS),
        "NSD": round(nsd(masks, spacing, TOLERANCES_MM[name]), DECIMALS),
    }


def nsd(masks: Masks, spacing: tuple[float, ...], tolerance: float) -> float:
    """Share of both surfaces within the tolerance; 0 if one of the masks is empty."""
    if not (masks.reference.any() and masks.prediction.any()):
        return 0.0
    surfaces = (elements(masks.prediction, spacing), elements(masks.reference, spacing))
    return distances(*surfaces, spacing).share_within(tolerance)
