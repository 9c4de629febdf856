"""A box plot: a line for each label (or threshold), a panel for each measure.

Boxes reach from the lower to the upper quartile with a line at the median, whiskers to the outermost case
within 1.5 box lengths (Tukey's); each case is a dot. Drawn with Pillow, which is here anyway.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

if TYPE_CHECKING:
    from umamba.evaluation.result import Evaluation

Rgb = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# Pixels.
MARGIN = 24
ROW = 30
BOX = 16
PANEL = 300
GAP = 34
TITLE = 30
TICK_ROW = 26
WIDEST_NAME = 300
TEXT_SIZE = 15
DOT = 2
MOST_ROWS = 200
# Drawn so many times larger and then reduced, which smooths slanted and round edges.
FINER = 2
WHISKER = 1.5
USUAL_TICKS = 5

PAPER: Rgb = (255, 255, 255)
INK: Rgb = (40, 42, 46)
FAINT: Rgb = (222, 224, 228)
FILL: Rgb = (174, 205, 227)
EDGE: Rgb = (0, 92, 148)
DOTS: Rgb = (120, 126, 134)
SHARES = ("Dice", "NSD", "IoU", "F1", "precision", "recall")


@dataclass(frozen=True)
class Box:
    """Five numbers that a box and its whiskers show."""

    low: float
    lower: float
    median: float
    upper: float
    high: float


def box_of(values: Sequence[float]) -> Box:
    """The box of at least one value."""
    lower, median, upper = (float(value) for value in np.percentile(values, (25, 50, 75)))
    reach = WHISKER * (upper - lower)
    inside = [value for value in values if lower - reach <= value <= upper + reach]
    return Box(min(inside), lower, median, upper, max(inside))


def draw_boxplot(path: Path, evaluation: Evaluation) -> None:
    """Write the plot as PNG, with no name of a case in it."""
    rows = evaluation.rows[:MOST_ROWS]
    measures = [
        name for name in evaluation.convention.plotted if any(evaluation.values(row, name) for row in rows)
    ]
    font = ImageFont.load_default(TEXT_SIZE * FINER)
    names = [_fit(_plain(row, number), font) for number, row in enumerate(rows, start=1)]
    column = max((font.getlength(name) / FINER for name in names), default=0) + GAP / 2
    width = round(2 * MARGIN + column + max(len(measures), 1) * (PANEL + GAP) - GAP)
    more = len(evaluation.rows) - len(rows)
    height = 2 * MARGIN + TITLE + len(rows) * ROW + TICK_ROW + (ROW if more > 0 else 0)
    canvas = Picture.new("RGB", (width * FINER, height * FINER), PAPER)
    sheet = _Sheet(ImageDraw.Draw(canvas), font)
    top = MARGIN + TITLE
    for number, name in enumerate(names):
        sheet.text((MARGIN, top + (number + 0.5) * ROW), name, "lm")
    for number, measure in enumerate(measures):
        left = MARGIN + column + number * (PANEL + GAP)
        title = f"{measure} ({evaluation.unit})" if measure not in SHARES else measure
        values = [evaluation.values(row, measure) for row in rows]
        _draw_panel(sheet, left, top, title, values, measure in SHARES)
    if not measures:
        sheet.text((MARGIN + column, MARGIN), "nothing to plot: no figure is defined", "la")
    if more > 0:
        sheet.text((MARGIN, height - MARGIN), f"and {more} more", "ls")
    canvas.resize((width, height), Picture.Resampling.LANCZOS).save(path, format="PNG")


class _Sheet:
    """A canvas in its final pixels."""

    def __init__(self, draw: ImageDraw.ImageDraw, font: Font) -> None:
        self._draw = draw
        self._font = font

    def text(self, at: tuple[float, float], text: str, anchor: str) -> None:
        self._draw.text((at[0] * FINER, at[1] * FINER), text, fill=INK, font=self._font, anchor=anchor)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: Rgb, width: int = 1) -> None:
        points = (start[0] * FINER, start[1] * FINER, end[0] * FINER, end[1] * FINER)
        self._draw.line(points, fill=colour, width=width * FINER)

    def box(self, left: float, top: float, right: float, bottom: float) -> None:
        corners = (left * FINER, top * FINER, right * FINER, bottom * FINER)
        self._draw.rectangle(corners, fill=FILL, outline=EDGE, width=FINER)

    def dot(self, at: tuple[float, float]) -> None:
        x, y, radius = at[0] * FINER, at[1] * FINER, DOT * FINER
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=DOTS)


def _draw_panel(
    sheet: _Sheet, left: float, top: float, title: str, values: Sequence[Sequence[float]], is_share: bool
) -> None:
    """One measure: its scale, and in each row the box and the cases."""
    ticks = _ticks([value for row in values for value in row], is_share)
    low, high = ticks[0], ticks[-1]

    def place(value: float) -> float:
        return left + (value - low) / (high - low) * PANEL

    bottom = top + len(values) * ROW
    sheet.text((left, top - TITLE / 2), title, "lm")
    for tick in ticks:
        sheet.line((place(tick), top), (place(tick), bottom), FAINT)
        sheet.text((place(tick), bottom + TICK_ROW / 2), f"{tick:g}", "mm")
    for number, row in enumerate(values):
        if row:
            _draw_row(sheet, place, top + (number + 0.5) * ROW, row)


def _draw_row(sheet: _Sheet, place: Callable[[float], float], middle: float, values: Sequence[float]) -> None:
    box = box_of(values)
    sheet.line((place(box.low), middle), (place(box.high), middle), EDGE)
    for end in (box.low, box.high):
        sheet.line((place(end), middle - BOX / 4), (place(end), middle + BOX / 4), EDGE)
    sheet.box(place(box.lower), middle - BOX / 2, place(box.upper), middle + BOX / 2)
    for value in values:
        sheet.dot((place(value), middle))
    sheet.line((place(box.median), middle - BOX / 2), (place(box.median), middle + BOX / 2), EDGE, width=2)


def _ticks(values: Sequence[float], is_share: bool) -> list[float]:
    """Round numbers around all values: shares end at 1, lengths begin at 0."""
    low, high = (min(*values, 1.0), 1.0) if is_share else (0.0, max(*values, 0.0))
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / USUAL_TICKS))
    step = next(power * part for part in (1, 2, 5, 10) if span / (power * part) <= USUAL_TICKS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = (first - 1, last) if is_share else (first, last + 1)
    return [number * step for number in range(first, last + 1)]


def _plain(name: str, number: int) -> str:
    """The name in ASCII, all that Pillow's own font has; the row's number where little would be left."""
    split = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    letters = "".join(letter for letter in split if not unicodedata.combining(letter))
    kept = " ".join(letters.encode("ascii", errors="ignore").decode().split())
    return kept if 2 * len(kept) > len(letters) else f"row {number}"


def _fit(text: str, font: Font) -> str:
    while font.getlength(text) > WIDEST_NAME * FINER and len(text) > 8:
        text = f"{text[:-4]}..."
    return text
