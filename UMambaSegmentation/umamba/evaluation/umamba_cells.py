"""What U-Mamba's script for the cell dataset (703) computes: F1 of the cells of an image.

Its rules, kept as they are: the prediction is a map of classes, 1 interior, 2 boundary; its cells are the
connected parts (8 neighbours) of the interior, and the boundary is dropped, not given back to the cells.
Dice is that of all cells together. Then cells that touch the outer 2 pixels are taken away on both sides.
If nothing is predicted, nothing counts as missed; F1, precision and recall are 0 where no cell was found,
also where there is none. Images of 25 million pixels or more are cut into squares of 2000 pixels, each with
a border of its own. Figures are rounded to four decimals.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from umamba.errors import InputError
from umamba.evaluation.by_object import foreground, threshold_name
from umamba.evaluation.case import LabelMaps
from umamba.evaluation.objects import Found, match, without_border
from umamba.evaluation.scores import CaseScores, Scores, Settings
from umamba.evaluation.umamba_abdomen import DECIMALS

BORDER_PX = 2
INTERIOR = 1
LARGEST_CLASS = 2
LARGEST_WHOLE_IMAGE = 25_000_000
TILE_PX = 2000
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def score_cells(maps: LabelMaps, settings: Settings) -> CaseScores:
    """F1, precision, recall and counts for each threshold; Dice.

    Raises:
        InputError: A volume, or a prediction that is no map of the three classes.
    """
    if not maps.is_flat:
        raise InputError("the convention umamba-cells is for flat images; a volume was given")
    largest = int(maps.prediction.max(initial=0))
    if largest > LARGEST_CLASS:
        raise InputError(
            f"the prediction holds the value {largest}; the convention umamba-cells takes maps of classes (0 "
            "background, 1 interior, 2 boundary): for instance maps take --instances without it"
        )
    reference = maps.reference[0]
    cells, _ = ndimage.label(maps.prediction[0] == INTERIOR, structure=EIGHT_NEIGHBOURS)
    rows = {
        threshold_name(least): _scores(_found(reference, cells, least, settings.border))
        for least in settings.thresholds
    }
    counts = foreground(reference, cells)
    dice = 1.0 if counts.dice is None else counts.dice
    return CaseScores(rows, {**rows[threshold_name(settings.thresholds[0])], "Dice": round(dice, DECIMALS)})


def _found(reference: np.ndarray, cells: np.ndarray, least_iou: float, border: int) -> Found:
    if reference.size < LARGEST_WHOLE_IMAGE:
        return _found_in(reference, cells, least_iou, border)
    rows, columns = (range(0, size, TILE_PX) for size in reference.shape)
    tiles = [
        (slice(row, row + TILE_PX), slice(column, column + TILE_PX)) for row in rows for column in columns
    ]
    found = (_found_in(_tile(reference, at), _tile(cells, at), least_iou, border) for at in tiles)
    return sum(found, start=Found(0, 0, 0))


def _tile(values: np.ndarray, at: tuple[slice, slice]) -> np.ndarray:
    """A square, at the end of an image filled up with background."""
    part = values[at]
    return np.pad(part, [(0, TILE_PX - size) for size in part.shape])


def _found_in(reference: np.ndarray, cells: np.ndarray, least_iou: float, border: int) -> Found:
    found = match(without_border(reference, border), without_border(cells, border), least_iou)
    nothing_predicted = not (found.true_positive or found.false_positive)
    return Found(0, 0, 0) if nothing_predicted else found


def _scores(found: Found) -> Scores:
    scores = found.scores()
    return {
        **scores,
        **{name: round(scores[name] or 0.0, DECIMALS) for name in ("F1", "precision", "recall")},
    }
