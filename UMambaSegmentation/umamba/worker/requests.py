"""One message to the worker, checked: what it asks, and the images it names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError

if TYPE_CHECKING:
    from umamba.imaging.image import Geometry, Image

ACTIONS = ("hello", "models", "plan", "segment", "cancel", "shutdown")
# Keywords of `umamba.segment` that a message may carry, with the JSON types of their values.
_NUMBER = (int, float)
OPTIONS: dict[str, tuple[type, ...]] = {
    "device": (str,),
    "labels": (list,),
    "roi": (list,),
    "around": (list,),
    "folds": (str, list),
    "mirror": (bool,),
    "step": _NUMBER,
    "max_memory": _NUMBER,
    "threads": (int,),
    "series": (str,),
    "uncertainty": (bool,),
}
_FIELDS = ("id", "do", "images", "model", "folder")


@dataclass(frozen=True)
class Request:
    """A message.

    Attributes:
        id: Stands in every event that answers it; a text or a number.
        do: One of `ACTIONS`.
        images: Paths, or arrays with their grid (see `load_sources`).
        model: Id or folder.
        folder: Where to write arrays, or None for a folder of the worker's own.
        options: Keywords for `umamba.segment`.
    """

    id: str | int
    do: str
    images: tuple[Any, ...] = ()
    model: str = ""
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def request_id(message: object) -> str | int | None:
    """The id of a message, be the rest of it wrong; None if it has none."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, (str, int)) else None


def decode(line: bytes) -> Any:  # noqa: ANN401  (JSON)
    """Read one line.

    Raises:
        InputError: It is not JSON.
    """
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON object on one line: {error}") from None


def parse(message: object) -> Request:
    """Check one message.

    Raises:
        InputError: Something is missing, unknown or of the wrong type.
    """
    if not isinstance(message, dict):
        raise InputError("a message is a JSON object with the keys id and do")
    identity = request_id(message)
    if identity is None:
        raise InputError("a message needs an id, a text or a number")
    if message.get("do") not in ACTIONS:
        raise InputError(f"do: {message.get('do')!r} found, one of {', '.join(ACTIONS)} wanted")
    options = {}
    for key, value in message.items():
        if key in _FIELDS:
            continue
        if key not in OPTIONS:
            raise InputError(f"unknown key {key!r}; known are {', '.join((*_FIELDS, *OPTIONS))}")
        if value is None:
            continue
        if not isinstance(value, OPTIONS[key]) or (isinstance(value, bool) and bool not in OPTIONS[key]):
            raise InputError(
                f"{key}: {value!r} found, {' or '.join(t.__name__ for t in OPTIONS[key])} wanted"
            )
        options[key] = value
    images, model = message.get("images", []), message.get("model", "")
    if message["do"] in ("plan", "segment") and not (isinstance(images, list) and images):
        raise InputError("images: a list with one entry for each channel is wanted")
    if message["do"] in ("plan", "segment") and not (isinstance(model, str) and model):
        raise InputError("model: an id or a folder is wanted")
    folder = message.get("folder")
    if folder is not None and not (isinstance(folder, str) and Path(folder).is_dir()):
        raise InputError(f"folder: {folder!r} is not a folder")
    return Request(
        identity, message["do"], tuple(images), model, None if folder is None else Path(folder), options
    )


def load_sources(images: tuple[Any, ...]) -> list[str | Image]:
    """What `umamba.segment` takes for the images of a message.

    A text is a path. An object is an array in a file: `npy` (its path; (Z, Y, X)), and its grid as either
    `spacing`, `origin` and `direction` (LPS, as SimpleITK has them) or `ijk_to_ras` (4 rows of 4, as Slicer
    has it). The array is mapped, not copied.

    Raises:
        InputError: No such file, no array, or no grid.
    """
    return [entry if isinstance(entry, str) else _mapped(entry) for entry in images]


def _mapped(entry: object) -> Image:
    import numpy as np

    from umamba.imaging.image import Image

    if not isinstance(entry, dict) or not isinstance(entry.get("npy"), str):
        raise InputError("images: a path, or an object with npy and its grid, is wanted")
    try:
        data = np.load(entry["npy"], mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"images: {entry['npy']}: {error}") from None
    if data.ndim != 3 or not data.size:
        raise InputError(f"images: {entry['npy']}: shape {data.shape} found, (Z, Y, X) wanted")
    return Image(data, _geometry(entry, data.shape), source="memory", modality=entry.get("modality"))


def _geometry(entry: Mapping[str, Any], shape: tuple[int, ...]) -> Geometry:
    import numpy as np

    from umamba.imaging.image import Geometry

    size = (shape[2], shape[1], shape[0])
    if "ijk_to_ras" not in entry:
        return Geometry(
            size, _floats(entry, "spacing", 3), _floats(entry, "origin", 3), _floats(entry, "direction", 9)
        )
    rows = entry["ijk_to_ras"]
    if isinstance(rows, list) and all(isinstance(row, list) for row in rows):
        rows = [value for row in rows for value in row]
    to_ras = np.array(_floats({"ijk_to_ras": rows}, "ijk_to_ras", 16)).reshape(4, 4)
    to_lps = np.diag((-1.0, -1.0, 1.0)) @ to_ras[:3]
    spacing = np.linalg.norm(to_lps[:, :3], axis=0)
    if not spacing.all():
        raise InputError("images: ijk_to_ras: an axis without length")
    cosines = to_lps[:, :3] / spacing
    return Geometry(
        size, tuple(spacing.tolist()), tuple(to_lps[:, 3].tolist()), tuple(cosines.ravel().tolist())
    )


def _floats(entry: Mapping[str, Any], key: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(value) for value in entry[key])
    except (KeyError, TypeError, ValueError):
        values = ()
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise InputError(f"images: {key}: {count} numbers are wanted")
    return values
