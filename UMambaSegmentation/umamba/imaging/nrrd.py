"""NRRD files (.nrrd, .nhdr): header checks and voxels; the grid is ITK's.

Format: teem's "Nearly Raw Raster Data", versions 1 to 5 (teem.sourceforge.net/nrrd/format.html); encodings
raw and gzip, one data file.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umamba.errors import InputError
from umamba.imaging.checks import usable_sizes
from umamba.imaging.files import checked_input, temporary_folder
from umamba.imaging.image import Geometry, Image
from umamba.imaging.payload import Encoding, Payload, read_voxels
from umamba.imaging.simpleitk import read_grid

# A segmentation's header lists its segments: some 30 MB for as many as there are values.
_LARGEST_HEADER_BYTES = 1 << 26
_LONGEST_LINE_BYTES = 1 << 20
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64",
           "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS: dict[str, Encoding] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
_ENDIAN = {"little": "<", "big": ">"}
# Anatomical spaces, and what brings them to LPS.
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
# In the order that the format wants: dimension and space before what has an entry per axis.
_GRID_FIELDS = (
    "type", "dimension", "space", "space dimension", "sizes", "spacings", "axis mins", "axismins",
    "axis maxs", "axismaxs", "centers", "centerings", "kinds", "endian", "space directions", "space origin",
)  # fmt: skip
_SPACE_KINDS = ("domain", "space")
_SERIES_KINDS = ("list", "time")
_MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "")


@dataclass(frozen=True)
class NrrdVectors:
    """The grid's vectors as the header has them, in LPS: kept so that a NRRD written from them is the same.

    ITK splits each into a length and cosines; their product is not always the vector to the last bit.

    Attributes:
        directions: Step of i, j, k in mm.
        origin: mm.
    """

    directions: tuple[tuple[float, ...], ...]
    origin: tuple[float, ...]


@dataclass(frozen=True)
class _Layout:
    """Which axis of the file is what; sizes fastest first."""

    sizes: tuple[int, ...]
    component_axis: int | None

    @property
    def space_sizes(self) -> tuple[int, ...]:
        return tuple(size for axis, size in enumerate(self.sizes) if axis != self.component_axis)


def read_nrrd(path: Path) -> list[Image]:
    """Read a NRRD file: one image, or one per component of a vector or colour image.

    Raises:
        InputError: Not a NRRD file, cut off or damaged, 4D, an encoding other than raw and gzip, or a header
            that makes no sense.
    """
    fields, data_start = _read_header(path)
    layout = _layout(fields, path.name)
    dtype = _number_type(fields, path.name)
    voxel_bytes = math.prod(layout.sizes) * dtype.itemsize
    payload = _payload(path, fields, data_start, voxel_bytes)
    payload.check(voxel_bytes)
    warnings, vectors = _check_space(fields, layout, path.name)
    geometry = _grid(fields, path)
    if geometry.size != layout.space_sizes:
        raise InputError(f"{path.name}: its header is contradictory about its axes; save it again")
    voxels = read_voxels(payload, layout.sizes[::-1], dtype)
    if layout.component_axis is None:
        channels = voxels[None]
    else:
        channels = np.moveaxis(voxels, -1 - layout.component_axis, 0)
    if fields.get("kinds", "").lower().find("rgba") >= 0 and len(channels) == 4:
        channels = channels[:3]
        warnings.append(f"{path.name}: its transparency (alpha) channel was left out")
    return [
        Image(
            data=np.ascontiguousarray(channel.reshape(geometry.shape)),
            geometry=geometry,
            source="nrrd",
            files=(path.name,),
            warnings=tuple(warnings),
            details={} if vectors is None else {"nrrd_vectors": vectors},
        )
        for channel in channels
    ]


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """Fields (names in lower case, without blanks around) and where attached data begins."""
    name = path.name
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        if not re.fullmatch(rb"NRRD000[1-5]\r?\n", file.readline(_LONGEST_LINE_BYTES)):
            raise InputError(f"{name}: is no NRRD file, whatever its name says; export it again")
        while (block := file.readline(_LONGEST_LINE_BYTES)) not in (b"\n", b"\r\n"):
            if not block and path.suffix.lower() == ".nhdr":
                break
            if not block or file.tell() > _LARGEST_HEADER_BYTES:
                raise InputError(f"{name}: its header has no end; the file is cut off: export it again")
            line = block.decode("utf-8", "replace").strip()
            key, found, value = line.partition(":")
            if found and not line.startswith("#") and not value.startswith("="):  # "key:=value" is free text
                fields[key.strip().lower()] = value.strip()
        return fields, file.tell()


def _grid(fields: dict[str, str], path: Path) -> Geometry:
    """ITK's grid for these fields; it gets them in a file of their own, without the thousands of keys that a
    segmentation may have: its reader takes time with their square."""
    with temporary_folder() as folder:
        bare = folder / "header.nrrd"
        lines = [f"{key}: {fields[key]}" for key in _GRID_FIELDS if key in fields]
        bare.write_text("\n".join(["NRRD0005", *lines, "encoding: raw", "", ""]), encoding="utf-8")
        try:
            return read_grid(bare, "NrrdImageIO")
        except InputError as error:
            raise InputError(str(error).replace(bare.name, path.name)) from error


def _layout(fields: dict[str, str], name: str) -> _Layout:
    try:
        sizes = tuple(int(value) for value in fields["sizes"].split())
        count = int(fields["dimension"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{name}: its header gives no proper size; export it again") from error
    if len(sizes) != count or min(sizes, default=0) < 1:
        raise InputError(f"{name}: its header says size {fields['sizes']} in {count} axes; export it again")
    kinds = fields.get("kinds", "").lower().split()
    if any(kind in _SERIES_KINDS for kind in kinds):
        raise InputError(f"{name}: holds a series of volumes (4D); give one volume, as a file of its own")
    if "complex" in kinds:
        raise InputError(f"{name}: holds complex numbers; save its magnitude")
    others = [axis for axis, kind in enumerate(kinds) if kind not in (*_SPACE_KINDS, "none", "???")]
    vectors = re.findall(r"none|\([^)]*\)", fields.get("space directions", ""))
    others = others or [axis for axis, vector in enumerate(vectors) if vector == "none"]
    layout = _Layout(sizes, others[0] if others else None)
    if len(others) > 1 or len(layout.space_sizes) not in (2, 3):
        raise InputError(f"{name}: has {count} axes; give one volume of three axes, as a file of its own")
    return layout


def _number_type(fields: dict[str, str], name: str) -> np.dtype:
    kind = " ".join(fields.get("type", "").lower().split())
    if kind not in _DTYPES:
        raise InputError(f"{name}: holds values of type {kind[:40]!r}; save it as integers or floats")
    code = _DTYPES[kind]
    endian = fields.get("endian", "little" if code in ("i1", "u1") else "").lower()
    if endian not in _ENDIAN:
        raise InputError(f"{name}: its header does not give the byte order (endian); save it again")
    return np.dtype(_ENDIAN[endian] + code)


def _payload(path: Path, fields: dict[str, str], start: int, voxel_bytes: int) -> Payload:
    """Where the voxels lie; `start` is the end of the header."""
    name = path.name
    given = fields.get("encoding", "").lower()
    if given not in _ENCODINGS:
        raise InputError(f"{name}: its encoding {given[:20]!r} is not supported; save it with raw or gzip")
    encoding = _ENCODINGS[given]
    data = fields.get("data file", fields.get("datafile"))
    if data is not None:
        if data.upper().startswith("LIST") or "%" in data:
            raise InputError(f"{name}: its voxels lie in many files; save it as one .nrrd file")
        path, start = checked_input(path.parent / data), 0
        if path.is_dir():
            raise InputError(f"{name}: its data file is a folder; repair the header")
    elif path.suffix.lower() == ".nhdr":
        raise InputError(f"{name}: does not name its data file; save it as one .nrrd file")
    try:
        lines, skip = int(fields.get("line skip", 0)), int(fields.get("byte skip", 0))
    except ValueError as error:
        raise InputError(f"{name}: its byte skip is no number; save it again") from error
    start = _after_lines(path, start, lines)
    if skip == -1 and encoding == "raw":  # the voxels are the end of the file
        start, skip = max(path.stat().st_size - voxel_bytes, start), 0
    if skip < 0 or lines < 0:
        raise InputError(f"{name}: its byte skip is negative; save it again")
    return Payload(path, start, encoding, skip)


def _after_lines(path: Path, start: int, lines: int) -> int:
    with path.open("rb") as file:
        file.seek(start)
        for _ in range(lines):
            if not file.readline(_LONGEST_LINE_BYTES):
                break
        return file.tell()


def _check_space(fields: dict[str, str], layout: _Layout, name: str) -> tuple[list[str], NrrdVectors | None]:
    """Lengths that ITK would replace by 1 mm in silence are errors; what it assumes is a warning."""
    warnings = []
    directions = re.findall(r"\(([^)]*)\)", fields.get("space directions", ""))
    spacings = fields.get("spacings", "").split()
    if directions:
        steps = [_floats(text.split(","), name) for text in directions]
        usable_sizes([math.hypot(*step) for step in steps], name)
    elif spacings:
        usable_sizes(
            [v for axis, v in enumerate(_floats(spacings, name)) if axis != layout.component_axis], name
        )
    else:
        warnings.append(f"{name}: the header gives no spacing; 1 mm was assumed")
    space = fields.get("space", "").lower()
    if directions and space not in _TO_LPS:
        warnings.append(
            f"{name}: the header does not name an anatomical space ({space[:40] or 'none'}); axes along "
            "left, posterior, superior are assumed, as ITK does: check the sides"
        )
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if any(unit.strip().lower() not in _MILLIMETRES for unit in units):
        warnings.append(f"{name}: its lengths are in {', '.join(units)}; they were taken for mm, as ITK does")
    signs = _TO_LPS.get(space)
    origin = re.findall(r"\(([^)]*)\)", fields.get("space origin", ""))
    if signs is None or len(directions) != len(signs) or len(origin) != 1:
        return warnings, None
    place = _floats(origin[0].split(","), name)
    if any(len(values) != len(signs) for values in (*steps, place)):
        raise InputError(f"{name}: its space directions or origin lack entries; repair the header")
    return warnings, NrrdVectors(
        tuple(tuple(s * v for s, v in zip(signs, step, strict=True)) for step in steps),
        tuple(s * v for s, v in zip(signs, place, strict=True)),
    )


def _floats(texts: list[str], name: str) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise InputError(f"{name}: its header has {error} where a number belongs; repair it") from error
