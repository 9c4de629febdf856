"""MetaImage files (.mha, .mhd): header checks and voxels; the grid is ITK's.

Format: MetaIO (itk.org/Wiki/MetaIO/Documentation): lines "Key = value" up to ElementDataFile, then voxels, or
the name of their file; binary, plain or zlib.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from umamba.errors import InputError
from umamba.imaging.checks import usable_sizes
from umamba.imaging.files import checked_input, temporary_folder
from umamba.imaging.image import Geometry, Image
from umamba.imaging.payload import Payload, read_voxels
from umamba.imaging.simpleitk import read_grid

_LARGEST_HEADER_BYTES = 1 << 20
_LAST_KEY = "ElementDataFile"
_DTYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4",
    "ULONG": "u4", "LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8",
}  # fmt: skip
_GRID_FIELDS = (
    "NDims", "BinaryData", "TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin",
    "ElementSpacing", "DimSize", "ElementSize", "ElementNumberOfChannels", "ElementType",
)  # fmt: skip
_TRUE = ("true", "1", "yes", "t", "y")


def read_metaimage(path: Path) -> list[Image]:
    """Read a MetaImage: one image, or one per component.

    Raises:
        InputError: Not a MetaImage, cut off or damaged, 4D, voxels as text or in many files, or a header
            that makes no sense.
    """
    name = path.name
    fields, data_start = _read_header(path)
    size = _size(fields, name)
    dtype = _number_type(fields, name)
    components = _whole(fields, "ElementNumberOfChannels", 1, name)
    voxel_bytes = math.prod(size) * components * dtype.itemsize
    payload = _payload(path, fields, data_start, voxel_bytes)
    payload.check(voxel_bytes)
    warnings = _check_fields(fields, len(size), name)
    geometry = _grid(fields, path)
    if geometry.size != size:
        raise InputError(f"{name}: its header is contradictory about its size; save it again")
    voxels = read_voxels(payload, (*geometry.shape, components), dtype)
    return [
        Image(
            data=np.ascontiguousarray(voxels[..., channel]),
            geometry=geometry,
            source="metaimage",
            files=(name,),
            warnings=tuple(warnings),
        )
        for channel in range(components)
    ]


def _grid(fields: dict[str, str], path: Path) -> Geometry:
    """ITK's grid for these fields, which it gets in a file of their own: MetaIO prints what it dislikes."""
    lines = [f"{key} = {fields[key]}" for key in _GRID_FIELDS if key in fields]
    with temporary_folder() as folder:
        bare = folder / "header.mha"
        bare.write_text(
            "\n".join(["ObjectType = Image", *lines, f"{_LAST_KEY} = LOCAL", ""]), encoding="utf-8"
        )
        try:
            return read_grid(bare, "MetaImageIO")
        except InputError as error:
            raise InputError(str(error).replace(bare.name, path.name)) from error


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """Fields, and where attached voxels begin."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while file.tell() < _LARGEST_HEADER_BYTES and (line := file.readline(_LARGEST_HEADER_BYTES)):
            key, found, value = line.decode("utf-8", "replace").partition("=")
            if not found:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == _LAST_KEY:
                return fields, file.tell()
    raise InputError(f"{path.name}: is no MetaImage file (no {_LAST_KEY} in its header); export it again")


def _size(fields: dict[str, str], name: str) -> tuple[int, ...]:
    try:
        size = tuple(int(value) for value in fields["DimSize"].split())
    except (KeyError, ValueError) as error:
        raise InputError(f"{name}: its header gives no proper size; export it again") from error
    if len(size) != _whole(fields, "NDims", 0, name) or min(size, default=0) < 1:
        raise InputError(f"{name}: its header says size {fields['DimSize']}; export it again")
    if len(size) not in (2, 3):
        raise InputError(f"{name}: has {len(size)} axes; give one volume of three axes, as a file of its own")
    return size


def _number_type(fields: dict[str, str], name: str) -> np.dtype:
    kind = fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in _DTYPES:
        raise InputError(f"{name}: holds values of type {kind[:40]!r}; save it as integers or floats")
    if not _true(fields.get("BinaryData", "true")):
        raise InputError(f"{name}: its voxels are stored as text; save it in binary form")
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "false"))
    return np.dtype((">" if _true(big) else "<") + _DTYPES[kind])


def _payload(path: Path, fields: dict[str, str], start: int, voxel_bytes: int) -> Payload:
    name, data = path.name, fields[_LAST_KEY]
    packed = _true(fields.get("CompressedData", "false"))
    if data.upper().startswith("LIST") or "%" in data:
        raise InputError(f"{name}: its voxels lie in many files; save it as one .mha file")
    if data.upper() == "LOCAL":
        return Payload(path, start, "zlib" if packed else "raw")
    path = checked_input(path.parent / data)
    if path.is_dir():
        raise InputError(f"{name}: does not name its data file; save it as one .mha file")
    skip = _whole(fields, "HeaderSize", 0, name)
    if skip == -1:  # the voxels are the end of the file
        skip = max(path.stat().st_size - voxel_bytes, 0)
    if skip < 0:
        raise InputError(f"{name}: its HeaderSize is negative; save it again")
    return Payload(path, skip, "zlib" if packed else "raw")


def _check_fields(fields: dict[str, str], axes: int, name: str) -> list[str]:
    """What ITK would take for 0 or ignore in silence."""
    warnings = []
    spacing = fields.get("ElementSpacing", fields.get("ElementSize"))
    if spacing is None:
        warnings.append(f"{name}: the header gives no spacing; 1 mm was assumed")
    else:
        usable_sizes(_numbers(spacing, axes, "spacing", name), name)
    for key in ("TransformMatrix", "Rotation", "Orientation"):
        if key in fields:
            _numbers(fields[key], axes * axes, "direction", name)
    for key in ("Offset", "Position", "Origin"):
        if key in fields:
            _numbers(fields[key], axes, "origin", name)
    slope = _numbers(fields.get("ElementToIntensityFunctionSlope", "1"), 1, "rescale slope", name)
    offset = _numbers(fields.get("ElementToIntensityFunctionOffset", "0"), 1, "rescale offset", name)
    if (slope, offset) != ([1.0], [0.0]):
        warnings.append(f"{name}: its rescale ({slope[0]:g}, {offset[0]:g}) was ignored, as ITK does")
    return warnings


def _numbers(text: str, count: int, what: str, name: str) -> list[float]:
    try:
        values = [float(part) for part in text.split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise InputError(f"{name}: its {what} is not {count} numbers ({text[:60]}); repair the header")
    return values


def _whole(fields: dict[str, str], key: str, default: int, name: str) -> int:
    text = fields.get(key, str(default))
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{name}: {key} is {text[:20]!r}, a whole number is wanted") from error


def _true(text: str) -> bool:
    return text.lower() in _TRUE
