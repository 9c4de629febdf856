"""Objects of instance maps, by the IoU at which one counts as found; the default convention's way.

F1 is that of each image; without any object on both sides it is None and left out of the mean.
"""

from __future__ import annotations

import numpy as np

from umamba.evaluation.case import LabelMaps
from umamba.evaluation.objects import match, without_border
from umamba.evaluation.overlap import Counts
from umamba.evaluation.scores import CaseScores, Scores, Settings


def score_objects(maps: LabelMaps, settings: Settings) -> CaseScores:
    """F1, precision, recall and counts for each threshold; Dice of all objects together."""
    reference, prediction = (
        without_border(values, settings.border) for values in (maps.reference, maps.prediction)
    )
    rows = {
        threshold_name(least): match(reference, prediction, least).scores() for least in settings.thresholds
    }
    own: Scores = {"Dice": foreground(maps.reference, maps.prediction).dice}
    first = rows[threshold_name(settings.thresholds[0])]
    return CaseScores(rows, {**first, **own})


def threshold_name(least_iou: float) -> str:
    """What a threshold is called in tables."""
    return f"{least_iou:g}"


def foreground(reference: np.ndarray, prediction: np.ndarray) -> Counts:
    """Voxels of any object against voxels of any object."""
    both = int(np.count_nonzero((reference > 0) & (prediction > 0)))
    present, predicted = int(np.count_nonzero(reference)), int(np.count_nonzero(prediction))
    return Counts(both, predicted - both, present - both, reference.size - present - predicted + both)
