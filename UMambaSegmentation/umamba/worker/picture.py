"""The request for a picture: planes of the image with contours, drawn from arrays in files."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError
from umamba.messages import Event
from umamba.worker.images import load_sources, mapped_array
from umamba.worker.requests import Request

if TYPE_CHECKING:
    import numpy as np

    from umamba.imaging.image import Image

LARGEST_VALUE = 65_535
SUFFIX = ".png"


@dataclass(frozen=True)
class Segment:
    """What the picture shows of a label: its value, its name, its colour (0 to 255)."""

    value: int
    name: str
    color: tuple[int, int, int]


def preview(request: Request) -> Event:
    """Write a PNG with three planes, contours, a legend and a scale bar.

    Raises:
        InputError: No image, labels on another grid, a wrong segment, or a file that cannot be written.
    """
    from umamba.imaging.preview import draw_preview

    values = request.values
    target = Path(values["file"])
    if target.suffix.lower() != SUFFIX:
        raise InputError(f"file: {target.name!r} found, a name that ends in {SUFFIX} is wanted")
    segments = [_segment(entry) for entry in values.get("segments", ())]
    images = _images(values["images"])
    labels = _labels(values["labels"], images[0])
    beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        draw_preview(images, labels, segments, beside)
        beside.replace(target)
    except OSError as error:
        raise InputError(f"file: {target.name} cannot be written ({error.strerror or error})") from None
    finally:
        beside.unlink(missing_ok=True)
    return {"event": "result", "file": str(target)}


def _images(entries: Sequence[Any]) -> list[Image]:
    """The images in order; a file may hold several (the colours of a photograph)."""
    from umamba.imaging.read import read_image

    found = []
    for source in load_sources(entries):
        found += read_image(source) if isinstance(source, str) else [source]
    return found


def _labels(path: str, image: Image) -> np.ndarray:
    """The label map; mapped, and held against the image's grid.

    Raises:
        InputError: Another shape, or values that are no labels.
    """
    labels = mapped_array(path, "labels")
    if labels.shape != image.data.shape:
        raise InputError(f"labels: shape {labels.shape} found, the image has {image.data.shape} (Z, Y, X)")
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() > LARGEST_VALUE:
        raise InputError(f"labels: whole numbers from 0 to {LARGEST_VALUE} are wanted, found {labels.dtype}")
    return labels


def _segment(entry: object) -> Segment:
    values = entry if isinstance(entry, dict) else {}
    value, name, color = values.get("value"), values.get("name"), values.get("color")
    if type(value) is not int or not 0 < value <= LARGEST_VALUE or not isinstance(name, str):
        raise InputError("segments: each is an object with value (1 to 65535), name and color")
    if not isinstance(color, list) or len(color) != 3 or not all(_is_byte(part) for part in color):
        raise InputError(f"segments: the color of {value}: three numbers from 0 to 255 are wanted")
    return Segment(value, name, (color[0], color[1], color[2]))


def _is_byte(part: object) -> bool:
    return type(part) is int and 0 <= part <= 255
