"""The default convention: each label as a mask, in millimetres.

A measure that is not defined is None and left out of every mean: all ratios of two empty masks but accuracy
and specificity, precision without a prediction, sensitivity without a reference, distances if one of the
masks is empty. NSD is 0 if one of them is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from umamba.errors import InputError
from umamba.evaluation.case import LabelMaps
from umamba.evaluation.labels import Label
from umamba.evaluation.overlap import Counts
from umamba.evaluation.scores import CaseScores, Scores, Settings
from umamba.evaluation.surfaces import distances, elements

# More values than a label map has kinds of things; TotalSegmentator's has 117.
MOST_UNNAMED_LABELS = 500
# Values of so many bytes can have a list with a place for each; larger ones are counted first.
LARGEST_TABLE_BYTES = 2
Box = tuple[slice, ...]

ABSENT: Scores = {
    "Dice": None,
    "IoU": None,
    "accuracy": 1.0,
    "precision": None,
    "sensitivity": None,
    "specificity": 1.0,
    "HD95": None,
    "HD": None,
    "ASD": None,
    "NSD": None,
    "reference_voxels": 0,
    "prediction_voxels": 0,
    "reference_ml": 0.0,
    "prediction_ml": 0.0,
}


@dataclass(frozen=True)
class Masks:
    """A label in both maps, cut to the box that holds it.

    Attributes:
        reference, prediction: (z, y, x) bool of one shape.
        voxels: Of the whole image.
    """

    reference: np.ndarray
    prediction: np.ndarray
    voxels: int

    def counts(self) -> Counts:
        """Voxels of the whole image by right and wrong."""
        both = int(np.count_nonzero(self.reference & self.prediction))
        present = int(np.count_nonzero(self.reference))
        predicted = int(np.count_nonzero(self.prediction))
        return Counts(both, predicted - both, present - both, self.voxels - present - predicted + both)


class LabelFinder:
    """Cuts label after label out of two maps, looking at every voxel once only for all of them."""

    def __init__(self, maps: LabelMaps, voxels: int) -> None:
        self._maps = maps
        self._voxels = voxels
        self._boxes = [_boxes(values) for values in (maps.reference, maps.prediction)]

    def values(self) -> tuple[int, ...]:
        """The values above 0 that occur, ascending."""
        return tuple(sorted(self._boxes[0].keys() | self._boxes[1].keys()))

    def masks(self, label: Label) -> Masks | None:
        """The label's masks, None if it is in neither map."""
        found = [boxes[value] for boxes in self._boxes for value in label.values if value in boxes]
        if not found:
            return None
        box = tuple(
            slice(min(one[axis].start for one in found), max(one[axis].stop for one in found))
            for axis in range(3)
        )
        return Masks(
            _mask(self._maps.reference[box], label), _mask(self._maps.prediction[box], label), self._voxels
        )


def score_labels(maps: LabelMaps, settings: Settings) -> CaseScores:
    """All measures of all labels.

    Raises:
        InputError: Nameless values by the hundred: an instance map or an image.
    """
    maps, voxels = maps.without(settings.naming.ignore)
    finder = LabelFinder(maps, voxels)
    labels, unnamed = labels_of(finder.values(), settings)
    absent = {**ABSENT, **_volumes(0, 0, maps.voxel_ml)}
    rows = {}
    for label in labels:
        masks = finder.masks(label)
        tolerance = settings.tolerances.of(label)
        rows[label.name] = {**absent} if masks is None else _of_masks(masks, maps, tolerance)
    return CaseScores(rows, unnamed=unnamed, absent=absent)


def labels_of(values: tuple[int, ...], settings: Settings) -> tuple[tuple[Label, ...], tuple[int, ...]]:
    """The labels to score where these values occur, and the values that none of them has.

    Raises:
        InputError: As `score_labels`.
    """
    labels = settings.naming.labels
    if labels is not None:
        known = {value for label in labels for value in label.values}
        return labels, tuple(value for value in values if value not in known)
    if len(values) > MOST_UNNAMED_LABELS:
        raise InputError(
            f"{len(values)} different values found, at most {MOST_UNNAMED_LABELS} can be labels without "
            "names; add --instances if they number objects, else give the label map, not an image"
        )
    return tuple(Label(str(value), (value,)) for value in values), ()


def _of_masks(masks: Masks, maps: LabelMaps, tolerance: float) -> Scores:
    counts = masks.counts()
    scores: Scores = {**ABSENT, **counts.ratios()}
    if counts.reference and counts.prediction:
        reference, prediction = masks.reference, masks.prediction
        spacing: tuple[float, ...] = maps.spacing
        if maps.is_flat:
            reference, prediction, spacing = reference[0], prediction[0], spacing[1:]
        found = distances(elements(prediction, spacing), elements(reference, spacing), spacing)
        scores |= {
            "HD95": found.hausdorff_95(),
            "HD": found.hausdorff(),
            "ASD": found.average(),
            "NSD": found.share_within(tolerance),
        }
    else:
        scores["NSD"] = 0.0 if counts.reference or counts.prediction else None
    return {**scores, **_volumes(counts.reference, counts.prediction, maps.voxel_ml)}


def _volumes(reference: int, prediction: int, voxel_ml: float | None) -> Scores:
    return {
        "reference_voxels": reference,
        "prediction_voxels": prediction,
        "reference_ml": None if voxel_ml is None else reference * voxel_ml,
        "prediction_ml": None if voxel_ml is None else prediction * voxel_ml,
    }


def _mask(values: np.ndarray, label: Label) -> np.ndarray:
    return values == label.values[0] if len(label.values) == 1 else np.isin(values, label.values)


def _boxes(values: np.ndarray) -> dict[int, Box]:
    """Where each value above 0 lies."""
    if values.dtype.itemsize <= LARGEST_TABLE_BYTES:
        found = ndimage.find_objects(values)
        return {number: box for number, box in enumerate(found, start=1) if box is not None}
    present, places = np.unique(values, return_inverse=True)
    boxes = ndimage.find_objects(places.reshape(values.shape) + 1)
    return {int(value): box for value, box in zip(present, boxes, strict=True) if value > 0}
