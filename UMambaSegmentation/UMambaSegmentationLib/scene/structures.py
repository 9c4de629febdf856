"""Which segments a label map becomes: their values, names, colours and codes."""

from __future__ import annotations

import colorsys
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card, Label
from UMambaSegmentationLib.scene.labelmaps import count_values
from UMambaSegmentationLib.scene.terminology import entry, guess

# Slicer's tables and tree grow slow beyond a few hundred segments, and nobody looks through them.
MAX_INSTANCES = 200

# A turn of the colour wheel by this part gives neighbours that differ, however many there are.
_GOLDEN_TURN = 0.618033988749895
_INSIDE_WORDS = ("interior", "inside", "inner")


@dataclass(frozen=True)
class Structure:
    """One segment to be.

    Attributes:
        value: Its value in the label map.
        key: A word for its identifier.
        name: Words for a person.
        color: Red, green, blue from 0 to 1.
        terminology: Slicer's text of coded words.
    """

    value: int
    key: str
    name: str
    color: tuple[float, float, float]
    terminology: str


@dataclass(frozen=True)
class Content:
    """A label map and its segments.

    Attributes:
        labels: (K, J, I) integers; 0 wherever no structure is.
        structures: The segments in order, also those of which no voxel was found.
        note: A sentence for the person, or None.
    """

    labels: np.ndarray
    structures: tuple[Structure, ...]
    note: str | None = None


def content_of(labels: np.ndarray, card: Card, keep: Collection[int] | None = None) -> Content:
    """The segments of a model's label map.

    Every label that the model knows becomes a segment, found or not, so that the list is the same for each
    case. A value that the card does not know becomes "Label 7".

    A model with instances gives one segment for each object, "Nucleus 1" and on. Beyond `MAX_INSTANCES`
    objects there is one segment that holds them all, and a note.

    Args:
        labels: (K, J, I) integers, as the engine gives them.
        card: The model.
        keep: The label values to keep; None for all. A model with instances has nothing to choose from.
    """
    present = [int(value) for value in np.flatnonzero(count_values(labels)) if value > 0]
    if card.instances is not None:
        return _instances(labels, card, present)
    chosen = [label for label in card.labels if keep is None or label.value in keep]
    known = {label.value for label in card.labels}
    structures = [_structure(label) for label in chosen]
    if keep is None:
        structures += [_unknown(value) for value in present if value not in known]
    dropped = set(present) - {structure.value for structure in structures}
    if dropped:
        labels = np.where(np.isin(labels, list(dropped)), 0, labels)
    return Content(labels, tuple(structures))


def _instances(labels: np.ndarray, card: Card, present: list[int]) -> Content:
    label = _interior(card)
    if label.terminology is None:
        found = guess(label.name)
        codes = entry(found.terminology if found else None)
    else:
        codes = entry(label.terminology)
    if len(present) > MAX_INSTANCES:
        one = Structure(1, label.key, label.name, _rgb(label), codes)
        note = _(
            "{count} objects were found, too many to list; one segment holds them all. Choose a smaller "
            "region to get a segment for each."
        ).format(count=len(present))
        return Content((labels > 0).astype(np.uint8), (one,), note)
    structures = [
        Structure(value, f"{label.key}_{value}", f"{label.name} {value}", _distinct(value), codes)
        for value in present
    ]
    return Content(labels, tuple(structures))


def _interior(card: Card) -> Label:
    """The label of one object, named for the whole of it ("Nucleus interior" becomes "Nucleus")."""
    assert card.instances is not None
    value = card.instances["interior"]
    label = next((label for label in card.labels if label.value == value), None)
    if label is None:
        return Label(value, "object", card.anatomy or "Object", (128, 174, 128))
    words = [word for word in label.name.split() if word.lower() not in _INSIDE_WORDS]
    name = " ".join(words) or card.anatomy or "Object"
    return Label(value, label.key, name, label.color, label.terminology)


def _structure(label: Label) -> Structure:
    terminology = label.terminology
    if terminology is None:
        found = guess(label.name)
        terminology = found.terminology if found else None
    return Structure(label.value, label.key, label.name, _rgb(label), entry(terminology))


def _unknown(value: int) -> Structure:
    return Structure(value, f"label_{value}", f"Label {value}", _distinct(value), entry(None))


def _rgb(label: Label) -> tuple[float, float, float]:
    red, green, blue = label.color
    return red / 255, green / 255, blue / 255


def _distinct(value: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(value * _GOLDEN_TURN % 1.0, 0.7, 0.9)
