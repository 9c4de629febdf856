"""Between the grid that a network worked on and the grid of the image that was given."""

from __future__ import annotations

import numpy as np

from umamba.imaging.image import Geometry
from umamba.imaging.orientation import NATIVE
from umamba.inference.inputs import Channel
from umamba.inference.region import IndexBox, box_around, box_from_roi
from umamba.inference.regions import bits_dtype
from umamba.inference.request import Request
from umamba.models.model import Model

# Largest label that fits one byte.
UINT8_LARGEST = 255


def region_of_interest(geometry: Geometry, model: Model, request: Request) -> IndexBox | None:
    """The part of the image that the request asks for, or None for all of it."""
    if request.roi is not None:
        return box_from_roi(geometry, request.roi)
    if request.around is not None:
        return box_around(geometry, request.around, field_of_view(model, geometry))
    return None


def field_of_view(model: Model, geometry: Geometry) -> tuple[float, ...]:
    """Extent along i, j, k in mm: the card's, else one patch; a 2D network takes every slice."""
    if model.card.field_of_view is not None:
        return tuple(model.card.field_of_view)
    configuration = model.configuration
    extent = [
        size * spacing for size, spacing in zip(configuration.patch_size, configuration.spacing, strict=True)
    ]
    if configuration.axes == 2:
        slices = geometry.shape[model.plans.transpose_forward[0]]
        extent.insert(0, 2.0 * slices * geometry.spacing_zyx[model.plans.transpose_forward[0]])
    back = model.plans.transpose_backward
    return tuple(extent[axis] for axis in back)[::-1]


def output_bytes(full: Geometry, cut: Geometry, model: Model, request: Request) -> int:
    """Memory of the arrays on the image's grid that a run makes."""
    voxels = int(np.prod(full.shape, dtype=np.int64))
    part = int(np.prod(cut.shape, dtype=np.int64))
    label_bytes = 1 if model.dataset.labels.largest <= UINT8_LARGEST else 2
    total = voxels * label_bytes
    if cut.shape != full.shape:
        total += part * label_bytes
    elif model.card.orientation != NATIVE:
        total += voxels * label_bytes
    if model.dataset.labels.has_regions:
        total += voxels * bits_dtype(len(model.dataset.labels.regions)).itemsize
    if request.uncertainty:
        total += 2 * voxels * 4
    if request.probabilities:
        total += voxels * 4 * model.dataset.labels.heads
    if model.previous is not None:
        total += part
    return total


def keep_labels(labels: np.ndarray, kept: frozenset[int]) -> np.ndarray:
    """Set every label that is not kept to 0, in place."""
    table = np.zeros(int(labels.max()) + 1, dtype=labels.dtype)
    for value in kept:
        if value < len(table):
            table[value] = value
    for plane in labels:
        plane[...] = table[plane]
    return labels


def to_full_grid(array: np.ndarray, channel: Channel, box: IndexBox | None) -> np.ndarray:
    """From the cut image's grid to the original's: zeros outside the region, orientation undone.

    Beyond the region nothing is written, so that it takes memory and time only where somebody reads it.
    """
    if box is None:
        return np.ascontiguousarray(channel.undo(array))
    full = np.zeros(channel.original.data.shape, dtype=array.dtype)
    channel.undo.forward(full)[box.slices] = array if box.inside is None else np.where(box.inside, array, 0)
    return full


def empty_probabilities(heads: int, shape: tuple[int, ...], regions: bool) -> np.ndarray:
    """Probabilities where the network never looks: certain background, or no region at all."""
    probabilities = np.zeros((heads, *shape), dtype=np.float32)
    if not regions:
        probabilities[0] = 1
    return probabilities


def full_probabilities(
    probabilities: np.ndarray, channel: Channel, box: IndexBox | None, regions: bool
) -> np.ndarray:
    """(K, Z, Y, X) on the original grid; outside the region as `empty_probabilities` has it."""
    full = [to_full_grid(entry, channel, box) for entry in probabilities]
    if box is not None and not regions:
        inside = np.zeros(channel.image.data.shape, dtype=bool)
        inside[box.slices] = True if box.inside is None else box.inside
        full[0][~channel.undo(inside)] = 1
    return np.stack(full)
