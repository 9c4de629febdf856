"""A picture of a segmentation for a quick look: planes, contours, legend, scale."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from umamba.imaging.image import Image
from umamba.imaging.preview_planes import Plane, select_planes, to_bytes

Rgb = tuple[int, int, int]

# Pixels. All planes share one scale, so that one bar measures them all.
MOST_WIDTH = 440
MOST_HEIGHT = 540
LEAST_CANVAS_WIDTH = 560  # and the most for a single plane
MARGIN = 20
GAP = 20
ROW = 24
WIDEST_COLUMN = 420
SWATCH = 13
BESIDE_TEXT = 46  # swatch, gaps
TEXT_SIZE = 15
MARK_SIZE = 19
# Contours are drawn this many times larger and then reduced, which smooths their edges.
FINER = 2
CONTOUR = 2
FILL = 0.22
MOST_LEGEND_ROWS = 24

BACKGROUND: Rgb = (18, 19, 22)
TEXT: Rgb = (225, 227, 230)
MUTED: Rgb = (150, 154, 160)
MARK: Rgb = (255, 214, 102)
# For instances, which have no colours of their own: told apart also by most colour-blind readers.
PALETTE: tuple[Rgb, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (148, 203, 236),
)
MM3_PER_ML = 1000.0


class Segment(Protocol):
    """What the preview wants to know of a label; a card's labels have it."""

    @property
    def value(self) -> int:
        """In the label map."""

    @property
    def name(self) -> str:
        """For the legend."""

    @property
    def color(self) -> Rgb:
        """Red, green, blue, 0 to 255."""


@dataclass(frozen=True)
class _Entry:
    colour: Rgb | None
    text: str


def draw_preview(
    image: Image | Sequence[Image],
    labels: np.ndarray,
    segments: Sequence[Segment],
    path: str | Path,
    *,
    ct: bool | None = None,
    voxels: Mapping[int, int] | None = None,
) -> None:
    """Write a PNG with the planes of `image` that show `labels` best, contours, a legend and a scale bar.

    Nothing about the patient is drawn or stored.

    Args:
        image: One channel; or the three of a colour photograph, which is then shown in colour.
        labels: (Z, Y, X) on the image's grid; all zero gives the middle planes and says so.
        segments: Value, name and colour of each label; none when `labels` holds instance numbers.
        path: The PNG, replaced if it exists.
        ct: Whether the numbers are Hounsfield units; None asks the image's modality.
        voxels: Voxels of each segment by its value, where that is more than the label map shows (regions
            that hold others); None counts them.
    """
    channels = [image] if isinstance(image, Image) else list(image)
    channels = channels if len(channels) == 3 and channels[0].source == "natural" else channels[:1]
    planes = select_planes(channels, labels)
    is_ct = channels[0].modality == "CT" if ct is None else ct
    scale = _scale(planes)
    colours = _colours(segments, int(labels.max(initial=0)))
    pictures = [
        _draw_plane(plane, grey, colours, scale)
        for plane, grey in zip(planes, to_bytes(planes, is_ct), strict=True)
    ]
    legend = _legend(channels[0], voxels or _count(labels), segments)
    unit = "px" if channels[0].source == "natural" else "mm"
    _compose(planes, pictures, legend, scale, unit).save(path, format="PNG")


def _scale(planes: Sequence[Plane]) -> float:
    """Pixels for each mm, so that every plane fits."""
    most_width = MOST_WIDTH if len(planes) > 1 else LEAST_CANVAS_WIDTH
    return min(min(MOST_HEIGHT / plane.size_mm[0], most_width / plane.size_mm[1]) for plane in planes)


def _colours(segments: Sequence[Segment], largest: int) -> np.ndarray:
    """Colour of every label value, (largest + 1, 3) uint8; the palette for those without a segment."""
    table = np.array([PALETTE[(value - 1) % len(PALETTE)] for value in range(largest + 1)], dtype=np.uint8)
    for segment in segments:
        if segment.value <= largest:
            table[segment.value] = segment.color
    return table


def _draw_plane(plane: Plane, grey: np.ndarray, colours: np.ndarray, scale: float) -> Picture.Image:
    """The plane at its true shape, labels as a light fill with a firm contour, R L A P S I at its edges."""
    height, width = (max(1, round(length * scale)) for length in plane.size_mm)
    fine = (width * FINER, height * FINER)
    picture = np.asarray(Picture.fromarray(grey).convert("RGB").resize(fine, Picture.Resampling.BICUBIC))
    rows = (np.arange(fine[1]) * plane.labels.shape[0]) // fine[1]
    columns = (np.arange(fine[0]) * plane.labels.shape[1]) // fine[0]
    labels = plane.labels[rows[:, None], columns]
    weight = np.where(_contour(labels, CONTOUR * FINER), 1.0, FILL * (labels > 0))[..., None]
    blended = (picture * (1 - weight) + colours[labels] * weight).round().astype(np.uint8)
    drawn = Picture.fromarray(blended).resize((width, height), Picture.Resampling.LANCZOS)
    if plane.marks:
        _draw_marks(drawn, plane.marks)
    return drawn


def _contour(labels: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a label that lie within `width` pixels of another, along rows or columns; (H, W) bool."""
    edge = np.zeros(labels.shape, dtype=bool)
    for axis in (0, 1):
        for step in range(1, width + 1):
            first = tuple(slice(None, -step) if a == axis else slice(None) for a in (0, 1))
            last = tuple(slice(step, None) if a == axis else slice(None) for a in (0, 1))
            different = labels[first] != labels[last]
            edge[first] |= different
            edge[last] |= different
    return edge & (labels > 0)


def _draw_marks(picture: Picture.Image, marks: tuple[str, ...]) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(MARK_SIZE)
    width, height = picture.size
    places = (
        (6, height / 2, "lm"),
        (width - 6, height / 2, "rm"),
        (width / 2, 5, "mt"),
        (width / 2, height - 5, "mb"),
    )
    for mark, (x, y, anchor) in zip(marks, places, strict=True):
        draw.text((x, y), mark, fill=MARK, font=font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _count(labels: np.ndarray) -> dict[int, int]:
    """Voxels of each value above 0 that occurs, counted slice by slice."""
    counts = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int64)
    for plane in labels:
        counts += np.bincount(plane.ravel(), minlength=len(counts))
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value > 0}


def _legend(image: Image, voxels: Mapping[int, int], segments: Sequence[Segment]) -> list[_Entry]:
    """One entry for each label found, with ml (pixels for a 2D image); for instances their number."""
    if not any(voxels.values()):
        return [_Entry(None, "nothing was found")]
    if not segments:
        return [_Entry(None, f"{len(voxels)} objects")]
    voxel_ml = abs(float(np.linalg.det(image.geometry.matrix))) / MM3_PER_ML
    entries = []
    for segment in segments:
        count = voxels.get(segment.value, 0)
        if count:
            amount = f"{count} px" if image.geometry.axes == 2 else millilitres(count * voxel_ml)
            entries.append(_Entry(segment.color, f"{_drawable(segment)}   {amount}"))
    if len(entries) > MOST_LEGEND_ROWS:
        more = len(entries) - MOST_LEGEND_ROWS + 1
        entries = [*entries[: MOST_LEGEND_ROWS - 1], _Entry(None, f"and {more} more")]
    return entries


def _drawable(segment: Segment) -> str:
    """The name in ASCII, all that Pillow's own font has; the value where little would be left."""
    plain = unicodedata.normalize("NFKD", segment.name.replace("ß", "ss"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    ascii_only = " ".join(plain.encode("ascii", errors="ignore").decode().split())
    return ascii_only if 2 * len(ascii_only) > len(plain) else f"label {segment.value}"


def millilitres(volume: float) -> str:
    """A volume for people: three digits, "1.52 ml", "152 ml", "1520 ml"."""
    return f"{volume:.0f} ml" if volume >= 99.95 else f"{volume:#.3g} ml"


def _compose(
    planes: Sequence[Plane],
    pictures: Sequence[Picture.Image],
    legend: Sequence[_Entry],
    scale: float,
    unit: str,
) -> Picture.Image:
    """Planes in a row with their names above, the scale bar and the legend below."""
    font = ImageFont.load_default(TEXT_SIZE)
    inner = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    width = max(inner, LEAST_CANVAS_WIDTH) + 2 * MARGIN
    column = _column_width(legend, font)
    columns = max(1, (width - 2 * MARGIN) // column)
    rows = -(-len(legend) // columns)
    tallest = max(picture.height for picture in pictures)
    top = MARGIN + (ROW if planes[0].name else 0)
    legend_top = top + tallest + GAP + ROW + GAP // 2
    height = legend_top + rows * ROW + MARGIN // 2
    canvas = Picture.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    left = MARGIN
    for plane, picture in zip(planes, pictures, strict=True):
        draw.text((left, MARGIN), plane.name, fill=MUTED, font=font)
        canvas.paste(picture, (left, top))
        left += picture.width + GAP
    _draw_scale_bar(draw, font, (MARGIN, top + tallest + GAP), scale, unit)
    for number, entry in enumerate(legend):
        x, y = MARGIN + number // rows * column, legend_top + number % rows * ROW
        if entry.colour is not None:
            draw.rectangle((x, y + 3, x + SWATCH, y + 3 + SWATCH), fill=entry.colour)
            x += SWATCH + 9
        draw.text((x, y), _fit(entry.text, font), fill=TEXT, font=font)
    return canvas


def _draw_scale_bar(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    at: tuple[int, int],
    scale: float,
    unit: str,
) -> None:
    """A bar of a round length, 1, 2 or 5 times a power of ten, at most a third of the widest plane."""
    most = MOST_WIDTH / 3 / scale
    power = 10.0 ** np.floor(np.log10(most))
    length = max(step * power for step in (1, 2, 5) if step * power <= most)
    x, y = at
    end = x + round(length * scale)
    draw.line((x, y + 8, end, y + 8), fill=TEXT, width=2)
    for tick in (x, end):
        draw.line((tick, y + 3, tick, y + 13), fill=TEXT, width=2)
    draw.text((end + 10, y - 1), f"{length:g} {unit}", fill=TEXT, font=font)


def _column_width(legend: Sequence[_Entry], font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> int:
    return min(WIDEST_COLUMN, round(max(font.getlength(entry.text) for entry in legend)) + BESIDE_TEXT)


def _fit(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The text, cut in its middle if it is wider than the widest column; its end holds the amount."""
    while font.getlength(text) > WIDEST_COLUMN - BESIDE_TEXT and len(text) > 8:
        middle = len(text) // 2
        text = f"{text[: middle - 2].rstrip()}…{text[middle + 1 :].lstrip('…')}"
    return text
