"""From a map of interior and boundary classes to numbered instances."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from umamba.errors import ModelError
from umamba.models.card import Instances

MAX_INSTANCES = 65_535


def certain_interior(labels: np.ndarray, logits: np.ndarray, rule: Instances) -> None:
    """Make interior boundary, in place, where its share of the probability of both is below `certainty`.

    Touching objects that a thin or broken boundary leaves connected come apart so.

    Args:
        labels: (Y, X) integer class map.
        logits: (K, Y, X) float32, softmax's; the channel of a class is its value.
        rule: With a certainty.
    """
    assert rule.certainty is not None
    least = np.float32(np.log(rule.certainty / (1 - rule.certainty)))
    doubtful = logits[rule.interior] - logits[rule.boundary] < least
    labels[(labels == rule.interior) & doubtful] = rule.boundary


def number_instances(classes: np.ndarray, rule: Instances) -> np.ndarray:
    """Number the connected components of `interior` and grow them back over the touching `boundary`.

    Components are counted with 8 neighbours in a flat image (26 in a volume), as U-Mamba's cell evaluation
    does. A boundary voxel goes to the nearest component of its own connected group of interior and boundary;
    boundary groups without interior are dropped.

    Args:
        classes: (Z, Y, X) integer class map.
        rule: Values of the two classes, and the smallest object, its boundary included.

    Returns:
        (Z, Y, X) uint16, 0 background, 1..n instances.

    Raises:
        ModelError: More than 65,535 instances.
    """
    neighbours = np.ones((3, 3, 3), dtype=bool)
    interior = classes == rule.interior
    seeds, count = ndimage.label(interior, structure=neighbours)
    _check(count if rule.smallest <= 1 else 0)
    instances: np.ndarray = seeds.astype(np.uint16 if count <= MAX_INSTANCES else np.int32)
    groups, _ = ndimage.label(interior | (classes == rule.boundary), structure=neighbours)
    for number, box in enumerate(ndimage.find_objects(groups), start=1):
        here = groups[box] == number
        inside = np.where(here, seeds[box], 0)
        if not inside.any():
            continue
        nearest = ndimage.distance_transform_edt(inside == 0, return_distances=False, return_indices=True)
        grown = inside[tuple(nearest)]
        target = instances[box]
        target[here] = grown[here]
    return _without_small(instances, rule.smallest) if rule.smallest > 1 else instances


def _check(count: int) -> None:
    if count > MAX_INSTANCES:
        raise ModelError(f"{count} instances found; a label map holds at most {MAX_INSTANCES}")


def _without_small(instances: np.ndarray, smallest: int) -> np.ndarray:
    """Drop objects of fewer voxels and number the others anew, in the same order."""
    keep = np.bincount(instances.ravel()) >= smallest
    keep[0] = False
    _check(int(keep.sum()))
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.uint16)
    kept: np.ndarray = numbers[instances]
    return kept
