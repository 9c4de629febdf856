"""Weights as plain data: files of the safetensors format, read and written with every bound checked.

The format: eight bytes, the header's length N (little-endian); N bytes of JSON, {name: {"dtype", "shape",
"data_offsets": [begin, end]}}, and optionally "__metadata__"; then the numbers, without gaps. Read without
torch, so that a model's shapes can be looked at cheaply. The safetensors library reads what is written here.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from umamba.errors import ModelError
from umamba.plans import parse_json

# A header names some 120 bytes for each tensor; real networks have a thousand tensors.
MAX_HEADER_BYTES = 4_000_000
MAX_TENSORS = 20_000
MAX_AXES = 8
# Numbers start at a multiple of this, as the safetensors library writes them.
ALIGNMENT_BYTES = 8
HASH_BYTES = 1 << 20

NUMPY_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
_METADATA = "__metadata__"

# Type (F32 or F16) and shape of every tensor, in the order of the file.
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: `begin` and `end` in bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path) -> dict[str, Entry]:
    """Read and check the header of a weights file.

    Raises:
        ModelError: Too long a header, offsets that overlap, leave gaps or leave the file, a key that stands
            twice, a type other than float16 and float32, more tensors than any network has.
    """
    try:
        with path.open("rb") as file:
            return _header(file, path.name)
    except OSError as error:
        raise ModelError(f"{path.name}: cannot be read ({error.strerror or error})") from None


def read_arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read the tensors one after the other.

    Yields:
        Key and float16 or float32 array, in the header's order.

    Raises:
        ModelError: As `read_header`; a number that is NaN or infinite.
    """
    try:
        with path.open("rb") as file:
            for key, entry in _header(file, path.name).items():
                array = np.empty(entry.shape, NUMPY_TYPES[entry.dtype])
                file.seek(entry.begin)
                if file.readinto(array.reshape(-1).view(np.uint8).data) != entry.end - entry.begin:
                    raise ModelError(f"{path.name}: cut off")
                if not np.isfinite(array).all():
                    raise ModelError(f"{path.name}: the weights {key[:80]!r} hold NaN or infinity")
                yield key, array
    except OSError as error:
        raise ModelError(f"{path.name}: cannot be read ({error.strerror or error})") from None


def size_bytes(shapes: Shapes) -> int:
    """Bytes that the numbers of these tensors take."""
    return sum(math.prod(shape) * NUMPY_TYPES[dtype].itemsize for dtype, shape in shapes.values())


def write_arrays(path: Path, shapes: Shapes, arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Write a weights file, one tensor at a time, flushed to the disk.

    Args:
        path: A new file.
        shapes: What is going to be written.
        arrays: The tensors in the same order.

    Returns:
        The file's SHA-256.

    Raises:
        OSError: The file cannot be written.
    """
    header: dict[str, Any] = {_METADATA: {"format": "pt"}}
    end = 0
    for key, (dtype, shape) in shapes.items():
        begin, end = end, end + math.prod(shape) * NUMPY_TYPES[dtype].itemsize
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for part in (struct.pack("<Q", len(text)), text):
            digest.update(part)
            file.write(part)
        for (key, array), (wanted, (dtype, shape)) in zip(arrays, shapes.items(), strict=True):
            if key != wanted or array.shape != shape:
                raise ValueError(f"{key}: {array.shape} given, {wanted}: {shape} announced")
            data = np.ascontiguousarray(array, NUMPY_TYPES[dtype]).reshape(-1).view(np.uint8).data
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Raises:
        ModelError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(HASH_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{path.name}: cannot be read ({error.strerror or error})") from None
    return digest.hexdigest()


def _header(file: BinaryIO, name: str) -> dict[str, Entry]:
    found_bytes = os.fstat(file.fileno()).st_size
    start = file.read(8)
    if len(start) < 8:
        raise ModelError(f"{name}: {len(start)} bytes are no weights file")
    (length,) = struct.unpack("<Q", start)
    if length > MAX_HEADER_BYTES:
        raise ModelError(f"{name}: a header of {length} bytes found, at most {MAX_HEADER_BYTES} wanted")
    if 8 + length > found_bytes:
        raise ModelError(f"{name}: the header is said to have {length} bytes, the file has {found_bytes}")
    raw = parse_json(file.read(length), name)
    metadata = raw.pop(_METADATA, {})
    if not isinstance(metadata, dict) or any(not isinstance(value, str) for value in metadata.values()):
        raise ModelError(f"{name}: {_METADATA} is not a table of texts")
    if not 0 < len(raw) <= MAX_TENSORS:
        raise ModelError(f"{name}: {len(raw)} tensors found, 1 to {MAX_TENSORS} wanted")
    found = {key: _entry(entry, 8 + length, f"{name}: tensor {key[:80]!r}") for key, entry in raw.items()}
    end = 8 + length
    for key, entry in sorted(found.items(), key=lambda item: item[1].begin):
        if entry.begin != end:
            what = "overlaps the one before" if entry.begin < end else "leaves a gap before it"
            raise ModelError(f"{name}: tensor {key[:80]!r} {what}")
        end = entry.end
    if end != found_bytes:
        raise ModelError(f"{name}: {found_bytes} bytes found, {end} wanted: cut off or with something behind")
    return found


def _entry(raw: object, data_start: int, where: str) -> Entry:
    if not isinstance(raw, dict) or set(raw) != {"dtype", "shape", "data_offsets"}:
        raise ModelError(f"{where}: dtype, shape and data_offsets wanted")
    dtype, shape, offsets = raw["dtype"], raw["shape"], raw["data_offsets"]
    if not isinstance(dtype, str) or dtype not in NUMPY_TYPES:
        raise ModelError(f"{where}: the type {str(dtype)[:40]!r} found, F32 or F16 wanted")
    if not _sizes(shape) or len(shape) > MAX_AXES or 0 in shape:
        raise ModelError(f"{where}: its shape is not a short list of numbers above 0")
    if not _sizes(offsets) or len(offsets) != 2:
        raise ModelError(f"{where}: data_offsets are not two numbers")
    begin, end = offsets
    wanted = math.prod(shape) * NUMPY_TYPES[dtype].itemsize
    if end - begin != wanted:
        raise ModelError(f"{where}: {end - begin} bytes found, {wanted} wanted for the shape {shape}")
    return Entry(dtype, tuple(shape), data_start + begin, data_start + end)


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**48 for size in value)
