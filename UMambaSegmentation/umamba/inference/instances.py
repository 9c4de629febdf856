"""From a map of interior and boundary classes to numbered instances."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from umamba.errors import ModelError

MAX_INSTANCES = 65_535


def number_instances(classes: np.ndarray, interior: int, boundary: int) -> np.ndarray:
    """Number the connected components of `interior` and grow them back over the touching `boundary`.

    Components are counted with 8 neighbours in a flat image (26 in a volume), as U-Mamba's cell evaluation
    does. A boundary voxel goes to the nearest component of its own connected group of interior and boundary;
    boundary groups without interior are dropped.

    Args:
        classes: (Z, Y, X) integer class map.
        interior, boundary: Values of the two classes.

    Returns:
        (Z, Y, X) uint16, 0 background, 1..n instances.

    Raises:
        ModelError: More than 65,535 instances.
    """
    neighbours = np.ones((3, 3, 3), dtype=bool)
    seeds, count = ndimage.label(classes == interior, structure=neighbours)
    if count > MAX_INSTANCES:
        raise ModelError(f"{count} instances found; a label map holds at most {MAX_INSTANCES}")
    instances: np.ndarray = seeds.astype(np.uint16)
    groups, _ = ndimage.label((classes == interior) | (classes == boundary), structure=neighbours)
    for number, box in enumerate(ndimage.find_objects(groups), start=1):
        here = groups[box] == number
        inside = np.where(here, seeds[box], 0)
        if not inside.any():
            continue
        nearest = ndimage.distance_transform_edt(inside == 0, return_distances=False, return_indices=True)
        grown = inside[tuple(nearest)]
        target = instances[box]
        target[here] = grown[here]
    return instances
