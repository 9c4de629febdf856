"""What a segment is called, coloured and coded: the words of a segmentation file."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Code = tuple[str, str, str]

# A turn of the colour wheel by this part gives neighbours that differ, however many there are.
_GOLDEN_TURN = 0.618033988749895


class Terms(Protocol):
    """Coded words, each (scheme, code, meaning)."""

    @property
    def category(self) -> Code:
        """What kind of thing it is, as in "Anatomical Structure"."""

    @property
    def type(self) -> Code:
        """What it is, as in "Hippocampus"."""

    @property
    def modifier(self) -> Code | None:
        """Which of them, as in "Left"."""

    @property
    def region(self) -> Code | None:
        """Where it is."""


class Segment(Protocol):
    """One label as a model card has it."""

    @property
    def value(self) -> int:
        """In the label map, 1 to 65535."""

    @property
    def key(self) -> str:
        """The word that a person types."""

    @property
    def name(self) -> str:
        """The words that a person reads."""

    @property
    def color(self) -> tuple[int, int, int]:
        """Red, green, blue from 0 to 255."""

    @property
    def terminology(self) -> Terms | None:
        """Its codes, where known."""


@dataclass(frozen=True)
class PlainSegment:
    """A segment of which nothing is known but its value."""

    value: int
    key: str
    name: str
    color: tuple[int, int, int]
    terminology: None = None


def with_unnamed(segments: Sequence[Segment], values: Sequence[int]) -> list[Segment]:
    """`segments`, and one more ("Label 7") for every value above 0 that has none."""
    known = {segment.value for segment in segments}
    unnamed = [_plain(value) for value in sorted(set(values)) if value > 0 and value not in known]
    return [*segments, *unnamed]


def _plain(value: int) -> PlainSegment:
    red, green, blue = colorsys.hsv_to_rgb(value * _GOLDEN_TURN % 1.0, 0.7, 0.9)
    color = round(red * 255), round(green * 255), round(blue * 255)
    return PlainSegment(value, f"label_{value}", f"Label {value}", color)
