"""PNG and TIFF: flat images (Z = 1, two axes, 1 mm), and stacks of grey TIFF pages as volumes.

Values are those of nnU-Net's natural-image reader (scikit-image, which reads PNG through Pillow and TIFF
through tifffile), so that a model sees what it was trained on: PNG palettes become colours, single bits 0 and
1, PNG colours of 16 bits become 8 bits. Transparency is left out, a TIFF's palette applied. A stack is read
as nnU-Net's Tiff3DIO does: its spacing from a file of the same name with the ending .json
({"spacing": [z, y, x]}), else 1 mm.
"""

from __future__ import annotations

import json
import logging
import math
import struct
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.imaging.checks import usable_sizes
from umamba.imaging.image import Geometry, Image
from umamba.imaging.payload import Payload, check_memory

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# IHDR: width, height, bits of a value, colour type; the first chunk, after its length and name.
_PNG_HEADER_AT = 16
_PNG_VALUES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_GREY_ALPHA = 4
_PNG_DEEP_BITS = 16
# TIFF's number for pixels that are not compressed, and more than LZW or deflate can make of a byte.
_PLAIN = 1
_LARGEST_INFLATION = 4096
_COLOURS = 3
_LONGEST_JSON_BYTES = 1 << 16
# tifffile's letters: rows, columns, values of a pixel; any other axis counts pages.
_ROW_COLUMN = "YX"


def read_png(path: Path) -> list[Image]:
    """Read a PNG: one image, or red, green, blue.

    Raises:
        InputError: Not a PNG, cut off, damaged, or larger than memory.
    """
    import PIL.Image

    name = path.name
    bits, colour_type = _check_png(path)
    warnings = []
    try:
        with python_warnings.catch_warnings(), path.open("rb") as file:
            python_warnings.simplefilter("ignore")  # what matters is checked above
            opened: Any = PIL.Image.open(file, formats=["PNG"])
            if opened.mode in ("P", "PA"):
                opened = opened.convert("RGB")
            pixels = np.asarray(opened)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"{name}: is a damaged PNG ({error}); copy or export it again") from error
    if bits == _PNG_DEEP_BITS and pixels.ndim == 3:
        warnings.append(f"{name}: its colours have 16 bits; they were read with 8, as nnU-Net does")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
    pixels, more = _without_alpha(pixels, colour_type == _PNG_GREY_ALPHA, name)
    return _flat_images(pixels, name, [*warnings, *more])


def _check_png(path: Path) -> tuple[int, int]:
    """Bits of a value and colour type; the promised size is held against the file's."""
    with path.open("rb") as file:
        block = file.read(_PNG_HEADER_AT + 10)
    if not block.startswith(_PNG_MAGIC) or len(block) < _PNG_HEADER_AT + 10 or block[12:16] != b"IHDR":
        raise InputError(f"{path.name}: is no PNG file, whatever its name says; export it again")
    width, height, bits, colour_type = struct.unpack_from(">IIBB", block, _PNG_HEADER_AT)
    if not (width and height and colour_type in _PNG_VALUES):
        raise InputError(f"{path.name}: its header makes no sense (size {width} x {height}); export it again")
    packed = height * math.ceil(width * bits * _PNG_VALUES[colour_type] / 8)
    Payload(path, encoding="zlib").check(packed)
    check_memory(height * width * _PNG_VALUES[colour_type], path.name)
    return bits, colour_type


def read_tiff(path: Path) -> list[Image]:
    """Read a TIFF: one flat image, or red, green, blue; several grey pages of one size make a volume.

    Raises:
        InputError: Not a TIFF, cut off, damaged, larger than memory, or of axes that are neither.
    """
    import tifffile

    name = path.name
    try:
        with _silent("tifffile"), tifffile.TiffFile(path) as file:
            if len(file.series) != 1:
                raise InputError(f"{name}: holds {len(file.series)} images of several kinds; save them apart")
            series = file.series[0]
            page: Any = series.keyframe
            _check_tiff(path, math.prod(series.shape) * series.dtype.itemsize, page.compression == _PLAIN)
            pixels, axes = series.asarray(), series.axes
            colormap = page.colormap if page.photometric.name == "PALETTE" else None
    except InputError:
        raise
    except Exception as error:  # tifffile raises whatever its decoders raise
        raise InputError(f"{name}: cannot be read as TIFF ({_short(error)}); export it again") from error
    if len(axes) != pixels.ndim:
        raise InputError(f"{name}: its header is contradictory about its axes; export it again")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
    kept = [axis for axis, size in enumerate(pixels.shape) if size > 1 or axes[axis] in _ROW_COLUMN]
    pixels, axes = pixels.reshape([pixels.shape[axis] for axis in kept]), "".join(axes[axis] for axis in kept)
    if axes == _ROW_COLUMN:
        if colormap is not None:
            pixels = np.moveaxis(colormap[:, pixels] >> 8, 0, -1).astype(np.uint8)
        return _flat_images(pixels, name, [])
    if axes in ("YXS", "SYX"):
        pixels = pixels if axes == "YXS" else np.moveaxis(pixels, 0, -1)
        pixels, warnings = _without_alpha(pixels, pixels.shape[-1] == 2, name)
        return _flat_images(pixels, name, warnings)
    if len(axes) == 3 and axes.endswith(_ROW_COLUMN) and colormap is None:
        return [_stack(pixels, path)]
    raise InputError(
        f"{name}: has axes of sizes {' x '.join(map(str, pixels.shape))} ({axes}); save one flat image, or a "
        "stack of grey pages"
    )


def _check_tiff(path: Path, promised: int, plain: bool) -> None:
    check_memory(promised, path.name)
    present = path.stat().st_size * (1 if plain else _LARGEST_INFLATION)
    if promised > present:
        raise InputError(
            f"{path.name}: the header promises {promised} bytes of pixels, the file has room for {present} "
            "at most; it is cut off or damaged: export it again"
        )


@contextmanager
def _silent(logger_name: str) -> Iterator[None]:
    """A library's log lines kept off standard error; what it raises still comes through."""
    logger = logging.getLogger(logger_name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _stack(pixels: np.ndarray, path: Path) -> Image:
    """A volume from pages (Z, Y, X)."""
    beside = path.with_suffix(".json")
    if beside.is_file():
        spacing = _stack_spacing(beside)
        warnings: tuple[str, ...] = ()
    else:
        spacing = (1.0, 1.0, 1.0)
        warnings = (f"{path.name}: a stack without spacing; 1 mm was assumed ({beside.name} could give it)",)
    geometry = Geometry(
        size=(pixels.shape[2], pixels.shape[1], pixels.shape[0]),
        spacing=spacing[::-1],
        origin=(0.0, 0.0, 0.0),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )
    return Image(
        data=np.ascontiguousarray(pixels),
        geometry=geometry,
        source="natural",
        files=(path.name,),
        warnings=warnings,
    )


def _stack_spacing(path: Path) -> tuple[float, ...]:
    wanted = f'{path.name}: {{"spacing": [z, y, x]}} is wanted, three lengths in mm; repair the file'
    try:
        if path.stat().st_size > _LONGEST_JSON_BYTES:
            raise InputError(wanted)
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        spacing = tuple(float(value) for value in content["spacing"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(wanted) from error
    if len(spacing) != 3:
        raise InputError(wanted)
    usable_sizes(spacing, path.name)
    return spacing


def _without_alpha(pixels: np.ndarray, grey_alpha: bool, name: str) -> tuple[np.ndarray, list[str]]:
    """(Y, X) or (Y, X, 3) of (Y, X, values)."""
    if pixels.ndim == 2:
        return pixels, []
    warning = [f"{name}: its transparency (alpha) channel was left out"]
    if grey_alpha:
        return pixels[..., 0], warning
    values = pixels.shape[-1]
    if values == _COLOURS + 1:
        return pixels[..., :_COLOURS], warning
    if values != _COLOURS:
        raise InputError(f"{name}: has {values} values a pixel; grey, RGB or RGBA is wanted")
    return pixels, []


def _flat_images(pixels: np.ndarray, name: str, warnings: list[str]) -> list[Image]:
    channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    _, rows, columns = channels.shape
    geometry = Geometry((columns, rows), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))
    return [
        Image(
            data=np.ascontiguousarray(channel[None]),
            geometry=geometry,
            source="natural",
            files=(name,),
            warnings=tuple(warnings),
        )
        for channel in channels
    ]


def _short(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:120]
