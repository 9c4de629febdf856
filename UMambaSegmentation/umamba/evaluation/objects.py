"""Single objects of two instance maps: which of them were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from umamba.evaluation.overlap import ratio


@dataclass(frozen=True)
class Found:
    """Objects by what became of them.

    Attributes:
        true_positive: Pairs of an object of the reference and one of the prediction.
        false_positive, false_negative: Objects of the prediction and of the reference without a partner.
    """

    true_positive: int
    false_positive: int
    false_negative: int

    def __add__(self, other: Found) -> Found:
        return Found(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    def scores(self) -> dict[str, float | None]:
        """F1, precision, recall (None of nothing) and the counts, by these names."""
        predicted, present = (
            self.true_positive + self.false_positive,
            self.true_positive + self.false_negative,
        )
        return {
            "F1": ratio(2 * self.true_positive, predicted + present),
            "precision": ratio(self.true_positive, predicted),
            "recall": ratio(self.true_positive, present),
            "TP": self.true_positive,
            "FP": self.false_positive,
            "FN": self.false_negative,
        }


def match(reference: np.ndarray, prediction: np.ndarray, least_iou: float) -> Found:
    """Pair as many objects as can be, one to one, whose IoU is at least `least_iou`.

    Args:
        reference, prediction: Instance maps of one shape, unsigned integers, 0 background.
        least_iou: Above 0; a pair that just reaches it counts.
    """
    present, reference_sizes = _sizes(reference)
    predicted, prediction_sizes = _sizes(prediction)
    both = (reference > 0) & (prediction > 0)
    row = np.searchsorted(present, reference[both])
    column = np.searchsorted(predicted, prediction[both])
    shape = (len(present), len(predicted))
    overlap = coo_matrix((np.ones(len(row), dtype=np.int64), (row, column)), shape=shape).tocsr().tocoo()
    union = reference_sizes[overlap.row] + prediction_sizes[overlap.col] - overlap.data
    good = overlap.data / union >= least_iou
    pairs = 0
    if good.any():
        graph = coo_matrix((good[good], (overlap.row[good], overlap.col[good])), shape=shape).tocsr()
        pairs = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
    return Found(pairs, len(predicted) - pairs, len(present) - pairs)


def without_border(instances: np.ndarray, width: int) -> np.ndarray:
    """The instance map without the objects that touch the outer `width` pixels, in a flat image (1, Y, X) in
    the plane, in a volume along every axis; the array itself if there are none or the width is 0."""
    inner = np.zeros(instances.shape, dtype=bool)
    ranges = [slice(None) if n == 1 else slice(width, max(n - width, 0)) for n in instances.shape]
    inner[tuple(ranges)] = True
    touching = np.unique(instances[~inner])
    return np.where(np.isin(instances, touching), 0, instances) if touching.any() else instances


def _sizes(instances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers present, ascending, and how many voxels each has."""
    numbers, sizes = np.unique(instances, return_counts=True)
    return numbers[numbers > 0], sizes[numbers > 0]
