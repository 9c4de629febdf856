"""The curves of a training as one picture: losses, Dice, learning rate, time. Drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from umamba.imaging.files import atomic_write
from umamba.training.log import EpochRecord

Rgb = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# Pixels.
WIDTH, PANEL, MARGIN, LEFT, TITLE, FOOT = 900, 170, 24, 70, 34, 40
TEXT_SIZE = 15
LEGEND_LINE = 22
DOT = 2
# Drawn so many times larger and then reduced, which smooths slanted edges.
FINER = 2
USUAL_TICKS = 5
ROUND_STEPS = (1, 2, 5, 10)
FEW_EPOCHS = 30  # up to here each epoch is a dot, too

PAPER: Rgb = (255, 255, 255)
INK: Rgb = (40, 42, 46)
FAINT: Rgb = (222, 224, 228)
BLUE: Rgb = (0, 92, 148)
ORANGE: Rgb = (214, 105, 20)
PALE: Rgb = (150, 190, 150)
GREEN: Rgb = (28, 125, 60)


@dataclass(frozen=True)
class _Curve:
    """One line of a panel; a panel whose curves say `from_zero` begins there."""

    name: str
    colour: Rgb
    value: Callable[[EpochRecord], float | None]
    from_zero: bool = True


_PANELS: tuple[tuple[str, tuple[_Curve, ...]], ...] = (
    (
        "loss",
        (
            _Curve("training", BLUE, lambda record: record.training_loss, from_zero=False),
            _Curve("validation", ORANGE, lambda record: record.validation_loss, from_zero=False),
        ),
    ),
    (
        "Dice of validation patches",
        (
            _Curve("each epoch", PALE, lambda record: record.mean_dice),
            _Curve("smoothed", GREEN, lambda record: record.smooth_dice),
        ),
    ),
    ("learning rate", (_Curve("", BLUE, lambda record: record.learning_rate),)),
    ("seconds of an epoch", (_Curve("", BLUE, lambda record: record.seconds),)),
)


def draw_curves(path: Path, records: Sequence[EpochRecord]) -> None:
    """Write the curves of at least one epoch as PNG."""
    height = 2 * MARGIN + len(_PANELS) * (TITLE + PANEL) + FOOT
    canvas = Picture.new("RGB", (WIDTH * FINER, height * FINER), PAPER)
    sheet = _Sheet(ImageDraw.Draw(canvas), ImageFont.load_default(TEXT_SIZE * FINER))
    top = MARGIN
    for title, curves in _PANELS:
        _draw_panel(sheet, top + TITLE, title, curves, records)
        top += TITLE + PANEL
    for epoch in _epoch_ticks(len(records)):
        sheet.text((_across(epoch, len(records)), top + FOOT / 4), str(epoch), "ma")
    sheet.text((WIDTH - MARGIN, top + FOOT / 4 + TEXT_SIZE), f"epoch, of {records[-1].epochs}", "ra")
    small = canvas.resize((WIDTH, height), Picture.Resampling.LANCZOS)
    with atomic_write(path, overwrite=True) as beside:
        small.save(beside, format="PNG")


class _Sheet:
    """A canvas in its final pixels."""

    def __init__(self, draw: ImageDraw.ImageDraw, font: Font) -> None:
        self._draw = draw
        self._font = font

    def text(self, at: tuple[float, float], text: str, anchor: str, colour: Rgb = INK) -> float:
        """Write and say how long the text is."""
        self._draw.text((at[0] * FINER, at[1] * FINER), text, fill=colour, font=self._font, anchor=anchor)
        return self._font.getlength(text) / FINER

    def line(self, points: Sequence[tuple[float, float]], colour: Rgb, width: int = 1) -> None:
        fine = [(x * FINER, y * FINER) for x, y in points]
        self._draw.line(fine, fill=colour, width=width * FINER, joint="curve")

    def dot(self, at: tuple[float, float], colour: Rgb) -> None:
        x, y, radius = at[0] * FINER, at[1] * FINER, DOT * FINER
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _draw_panel(
    sheet: _Sheet, top: float, title: str, curves: Sequence[_Curve], records: Sequence[EpochRecord]
) -> None:
    series = [[curve.value(record) for record in records] for curve in curves]
    seen = [value for values in series for value in values if value is not None]
    ticks = _ticks([*seen, 0.0] if all(curve.from_zero for curve in curves) else seen)
    low, high = ticks[0], ticks[-1]
    floor = top + PANEL - TITLE / 2

    def place(epoch: int, value: float) -> tuple[float, float]:
        share = (value - low) / (high - low)
        return _across(epoch, len(records)), floor - share * (floor - top)

    for tick in ticks:
        _, height = place(1, tick)
        sheet.line(((LEFT, height), (WIDTH - MARGIN, height)), FAINT)
        sheet.text((LEFT - 8, height), f"{tick:g}", "rm")
    right = LEFT + sheet.text((LEFT, top - TITLE / 2), title, "lm") + LEGEND_LINE
    for curve, values in zip(curves, series, strict=True):
        if curve.name:
            middle = top - TITLE / 2
            sheet.line(((right, middle), (right + LEGEND_LINE, middle)), curve.colour, 2)
            right += LEGEND_LINE + 6
            right += sheet.text((right, middle), curve.name, "lm") + LEGEND_LINE
        _draw_curve(
            sheet, curve.colour, [place(n, v) if v is not None else None for n, v in enumerate(values, 1)]
        )


def _draw_curve(sheet: _Sheet, colour: Rgb, points: Sequence[tuple[float, float] | None]) -> None:
    """A line through the points, broken where one is missing."""
    run: list[tuple[float, float]] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
            continue
        if len(run) > 1:
            sheet.line(run, colour, 2)
        if len(run) == 1 or len(points) <= FEW_EPOCHS:
            for dot in run:
                sheet.dot(dot, colour)
        run = []


def _across(epoch: int, count: int) -> float:
    """Where an epoch stands; a lone one in the middle."""
    share = (epoch - 1) / (count - 1) if count > 1 else 0.5
    return LEFT + share * (WIDTH - MARGIN - LEFT)


def _step(span: float) -> float:
    """A round number of which a span holds about `USUAL_TICKS`."""
    power = 10.0 ** math.floor(math.log10(span / USUAL_TICKS))
    return next(power * part for part in ROUND_STEPS if span / (power * part) <= USUAL_TICKS)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers around all values; 0 to 1 where there is none."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high == low:
        low, high = min(low, 0.0), max(high, 0.0) or (0.0 if low < 0 else 1.0)
    step = _step(high - low)
    # A value that is a tick itself may lie a rounding error beside it.
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _epoch_ticks(count: int) -> list[int]:
    """Round epochs, the first and the last."""
    if count <= USUAL_TICKS:
        return list(range(1, count + 1))
    step = max(1, round(_step(count)))
    inner = [epoch for epoch in range(step, count, step) if step / 2 <= min(epoch - 1, count - epoch)]
    return [1, *inner, count]
