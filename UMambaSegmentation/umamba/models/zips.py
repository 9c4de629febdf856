"""Opening zip files that a stranger made: what is checked before a member is touched.

Format: PKWARE's APPNOTE, sections 4.3 (layout) and 4.4 (fields), as Python's zipfile reads it.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from umamba.errors import InputError, ModelError

# What reading a damaged zip can raise besides BadZipFile.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    OSError,
)
# A directory of this size names some 300,000 members; results folders and checkpoints have a few thousand.
MAX_DIRECTORY_BYTES = 32_000_000
READ_BYTES = 1 << 20

_LOCAL_HEADER = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_END64_BYTES = 56
_MAX_COMMENT = 65_535
_ENCRYPTED = 0x1


@contextmanager
def open_zip(path: Path) -> Iterator[ZipFile]:
    """Open a zip file whose directory is of a sane size and whose members do not share bytes.

    Raises:
        ModelError: It is not a zip, is cut off, or its directory cannot be trusted. Damage that shows while
            a member is read is turned into ModelError as well.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != _LOCAL_HEADER:
                raise ModelError(f"{path.name}: not a zip file")
            size_bytes = file.seek(0, 2)
            _check_directory_size(file, size_bytes, path.name)
            with ZipFile(file) as archive:
                _check_members(archive.infolist(), size_bytes, path.name)
                yield archive
    except InputError:
        raise
    except ZIP_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ModelError(f"{path.name}: cannot be read ({error.strerror})") from None
        raise ModelError(f"{path.name}: damaged or cut off ({error or type(error).__name__})") from None


def read_member(archive: ZipFile, member: ZipInfo) -> bytearray:
    """Read one member into memory; its checksum is compared.

    Raises:
        One of ZIP_ERRORS, which `open_zip` turns into ModelError.
    """
    found = bytearray(member.file_size)
    view, filled = memoryview(found), 0
    with archive.open(member) as source:
        while chunk := source.read(READ_BYTES):
            if filled + len(chunk) > member.file_size:
                raise zipfile.BadZipFile("a member is longer than it says")
            view[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
    if filled != member.file_size:
        raise EOFError("a member is shorter than it says")
    return found


def _check_directory_size(file: BinaryIO, size_bytes: int, name: str) -> None:
    """Read the size of the central directory before anything allocates by it."""
    tail_bytes = min(size_bytes, _END_BYTES + _MAX_COMMENT)
    file.seek(size_bytes - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(_END, 0, max(0, len(tail) - _END_BYTES + len(_END)))
    if at < 0:
        raise ModelError(f"{name}: cut off (the end of the zip file is missing)")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    locator_at = at - _LOCATOR_BYTES
    if locator_at >= 0 and tail[locator_at : locator_at + 4] == _LOCATOR:
        (end64_at,) = struct.unpack_from("<Q", tail, locator_at + 8)
        if end64_at + _END64_BYTES > size_bytes:
            raise ModelError(f"{name}: damaged (the directory of the zip file lies outside of it)")
        file.seek(end64_at)
        (directory_bytes,) = struct.unpack_from("<Q", file.read(_END64_BYTES), 40)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise ModelError(
            f"{name}: a zip directory of {directory_bytes} bytes; no model has that many members"
        )
    file.seek(0)


def _check_members(members: Sequence[ZipInfo], size_bytes: int, name: str) -> None:
    end = 0
    for member in sorted(members, key=lambda entry: entry.header_offset):
        if member.header_offset < end:
            raise ModelError(f"{name}: two members of the zip file share the same bytes")
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size
        if member.flag_bits & _ENCRYPTED:
            raise ModelError(f"{name}: holds an encrypted member; give it unencrypted")
    if end > size_bytes:
        raise ModelError(f"{name}: damaged or cut off (a member ends behind the end of the file)")
