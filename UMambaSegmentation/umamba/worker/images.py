"""The images that a message names: paths, or arrays in files with their grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from umamba.imaging.image import Geometry, Image


def load_sources(images: Sequence[Any]) -> list[str | Image]:
    """What `umamba.segment` takes for the images of a message.

    A text is a path. An object is an array in a file: `npy` (its path; (Z, Y, X)), and its grid as either
    `spacing`, `origin` and `direction` (LPS, as SimpleITK has them) or `ijk_to_ras` (4 rows of 4, as Slicer
    has it). The array is mapped, not copied.

    Raises:
        InputError: No such file, no array, or no grid.
    """
    return [entry if isinstance(entry, str) else _mapped(entry) for entry in images]


def mapped_array(path: str, what: str) -> np.ndarray:
    """The array (Z, Y, X) of a NumPy file, mapped read-only.

    Raises:
        InputError: There is none; the message begins with `what`.
    """
    import numpy as np

    try:
        data: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{what}: {path}: {error}") from None
    if not isinstance(data, np.ndarray) or data.ndim != 3 or not data.size:
        found = f"shape {data.shape}" if isinstance(data, np.ndarray) else "an archive"
        raise InputError(f"{what}: {path}: {found} found, an array (Z, Y, X) wanted")
    return data


def _mapped(entry: object) -> Image:
    from umamba.imaging.image import Image

    if not isinstance(entry, dict) or not isinstance(entry.get("npy"), str):
        raise InputError("images: a path, or an object with npy and its grid, is wanted")
    data = mapped_array(entry["npy"], "images")
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
