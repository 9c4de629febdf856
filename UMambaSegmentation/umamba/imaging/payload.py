"""Voxels from a file: exactly the bytes that its header promises, or an error.

ITK fills what a cut NIfTI or a damaged MetaImage does not hold with zeros and says nothing, and takes memory
for whatever a header promises. Here the promise is held against the file before memory is taken, and the
stream is followed to its checksum.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import psutil

from umamba.errors import InputError
from umamba.imaging.files import reason

Encoding = Literal["raw", "gzip", "zlib"]

_CHUNK_BYTES = 1 << 20
# Deflate's best: 258 bytes from two bits.
_LARGEST_INFLATION = 1032
# zlib's own code for "gzip", and for "zlib or gzip, see for yourself" (MetaIO writes either).
_WINDOW_BITS = {"gzip": 31, "zlib": 47}
GZIP_MAGIC = b"\x1f\x8b"
GIGABYTE = 1e9


@dataclass(frozen=True)
class Payload:
    """Where the voxels of an image lie.

    Attributes:
        path: The file (the data file of a detached header).
        start: Where the stream begins, bytes from the file's beginning.
        encoding: How the stream is packed.
        skip: Unpacked bytes before the first voxel.
    """

    path: Path
    start: int = 0
    encoding: Encoding = "raw"
    skip: int = 0

    def check(self, voxel_bytes: int) -> None:
        """Hold `voxel_bytes` against the file's size and this computer's memory, before reading any.

        Raises:
            InputError: The file cannot hold as many, or memory cannot.
        """
        present = max(self.path.stat().st_size - self.start, 0)
        promised = self.skip + voxel_bytes
        possible = present if self.encoding == "raw" else present * _LARGEST_INFLATION
        if promised > possible:
            raise InputError(
                f"{self.path.name}: the header promises {promised} bytes of voxels, the file has room for "
                f"{possible} at most; it is cut off or damaged: copy or export it again"
            )
        check_memory(voxel_bytes, self.path.name)


def check_memory(needed_bytes: int, name: str) -> None:
    """Refuse voxels that the memory of this computer cannot hold.

    Raises:
        InputError: `needed_bytes` is more than all of it.
    """
    total = psutil.virtual_memory().total
    if needed_bytes > total:
        raise InputError(
            f"{name}: its voxels take {needed_bytes / GIGABYTE:.1f} GB, this computer has "
            f"{total / GIGABYTE:.1f} GB of memory; check the file or crop the image"
        )


def read_voxels(payload: Payload, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Read an array, C order, native byte order.

    Args:
        payload: Where it lies.
        shape: Its shape; the last axis runs fastest in the file.
        dtype: Its number type in the file, with byte order.

    Raises:
        InputError: More bytes are promised than there are or than memory holds; the file ends early; its
            packed stream is damaged (checksum).
    """
    payload.check(math.prod(shape) * dtype.itemsize)
    array = np.empty(shape, dtype)
    target = array.reshape(-1).view(np.uint8).data
    try:
        with payload.path.open("rb") as file:
            file.seek(payload.start)
            if payload.encoding == "raw":
                file.seek(payload.skip, 1)
                _read_plain(file, target, payload.path.name)
            else:
                _inflate(file, target, payload)
    except OSError as error:
        raise InputError(f"{payload.path.name}: cannot be read: {reason(error)}") from error
    if dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _read_plain(file: BinaryIO, target: memoryview, name: str) -> None:
    done = 0
    while done < len(target):
        got = file.readinto(target[done : done + _CHUNK_BYTES])  # type: ignore[attr-defined]
        if not got:
            raise _cut(name, done, len(target))
        done += got


def _inflate(file: BinaryIO, target: memoryview, payload: Payload) -> None:
    """Unpack `skip` bytes to nowhere, then fill `target`, then follow the stream to its checksum."""
    name = payload.path.name
    stream = _Inflater(file, _WINDOW_BITS[payload.encoding])
    try:
        skipped = 0
        while skipped < payload.skip:
            piece = stream.read(min(payload.skip - skipped, _CHUNK_BYTES))
            if not piece:
                raise _cut(name, 0, len(target))
            skipped += len(piece)
        done = 0
        while done < len(target):
            piece = stream.read(min(len(target) - done, _CHUNK_BYTES))
            if not piece:
                raise _cut(name, done, len(target))
            target[done : done + len(piece)] = piece
            done += len(piece)
        if not stream.read(1) and not stream.complete:
            raise _cut(name, done, len(target))
    except zlib.error as error:
        raise InputError(
            f"{name}: its compressed data is damaged ({error}); copy or export it again"
        ) from error


def _cut(name: str, found: int, wanted: int) -> InputError:
    return InputError(
        f"{name}: the file ends early: {found} of {wanted} bytes of voxels are there; copy or export it again"
    )


class _Inflater:
    """Bounded reading of a gzip or zlib stream; gzip's further members follow on as one stream."""

    def __init__(self, file: BinaryIO, window_bits: int) -> None:
        self._file = file
        self._bits = window_bits
        self._inflate = zlib.decompressobj(window_bits)
        self._packed = b""

    @property
    def complete(self) -> bool:
        """The stream has ended as it should, its checksum right."""
        return self._inflate.eof

    def read(self, limit: int) -> bytes:
        """1 to `limit` bytes, or none at the end of the stream or of the file (see `complete`)."""
        while True:
            if self._inflate.eof and not self._next_member():
                return b""
            if not self._packed:
                self._packed = self._file.read(_CHUNK_BYTES)
            at_end = not self._packed
            piece = self._inflate.decompress(self._packed, limit)
            self._packed = self._inflate.unconsumed_tail
            if piece or (at_end and not self._inflate.eof):
                return piece

    def _next_member(self) -> bool:
        rest = self._inflate.unused_data or self._file.read(_CHUNK_BYTES)
        if len(rest) == 1:
            rest += self._file.read(_CHUNK_BYTES)
        if self._bits != _WINDOW_BITS["gzip"] or not rest.startswith(GZIP_MAGIC):
            return False  # what follows a stream is no part of it
        self._inflate = zlib.decompressobj(self._bits)
        self._packed = rest
        return True


def is_gzip(path: Path) -> bool:
    """Whether the file begins as a gzip stream does."""
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def read_start(path: Path, wanted: int) -> bytes:
    """The first `wanted` bytes of a file, unpacked if it is gzip; fewer where it is shorter.

    Raises:
        InputError: It cannot be read, or its gzip stream is damaged.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(GZIP_MAGIC))
            file.seek(0)
            if start != GZIP_MAGIC:
                return file.read(wanted)
            stream, found = _Inflater(file, _WINDOW_BITS["gzip"]), b""
            while len(found) < wanted and (piece := stream.read(wanted - len(found))):
                found += piece
            return found
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {reason(error)}") from error
    except zlib.error as error:
        raise InputError(f"{path.name}: its gzip data is damaged ({error}); copy it again") from error
