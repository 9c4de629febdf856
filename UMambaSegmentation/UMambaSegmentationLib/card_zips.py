"""The cards inside a model file (zip), read without unpacking anything else.

A model file lies on a group's share and is a stranger's: nothing is allocated by what it claims.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

MAX_CARD_BYTES = 1_000_000
# A model file has a dozen members; a directory of this size names some 10,000.
MAX_DIRECTORY_BYTES = 1_000_000

_CARD_FILE = "card.json"
_MOST_CARDS = 8
_END, _END_BYTES, _MOST_COMMENT = b"PK\x05\x06", 22, 65_535
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)


@lru_cache(maxsize=256)
def read_card_of_zip(file: Path, changed: int, size_bytes: int) -> tuple[bytes, ...]:
    """The bytes of every card.json at most one folder deep (a cascade has two).

    Args:
        file: The model file.
        changed: When it was changed last; with `size_bytes`, what the memory of this function goes by: a
            share may be slow.
        size_bytes: Its size.

    Raises:
        ValueError: One line: no zip file, damaged, or no model in it.
        OSError: It cannot be read.
    """
    try:
        with file.open("rb") as stream:
            _check_directory(stream, size_bytes)
            with zipfile.ZipFile(stream) as archive:
                members = [entry for entry in archive.infolist() if _is_card(entry.filename)]
                if not members:
                    raise ValueError("no model with a card.json in it; import it instead")
                return tuple(_read(archive, member) for member in members[:_MOST_CARDS])
    except _DAMAGED:
        raise ValueError("the zip file is damaged or cut off; get it again") from None


def _is_card(name: str) -> bool:
    parts = name.split("/")
    return parts[-1] == _CARD_FILE and len(parts) <= 2 and parts[0] != "__MACOSX"


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MAX_CARD_BYTES:
        raise ValueError("card.json is too large for a model card")
    with archive.open(member) as source:
        text = source.read(MAX_CARD_BYTES + 1)
    if len(text) != member.file_size:
        raise zipfile.BadZipFile("a member is not as long as it says")
    return text


def _check_directory(stream: BinaryIO, size_bytes: int) -> None:
    """Look at how large the directory says it is before zipfile reads it whole."""
    tail_bytes = min(size_bytes, _END_BYTES + _MOST_COMMENT + _LOCATOR_BYTES)
    stream.seek(size_bytes - tail_bytes)
    tail = stream.read(tail_bytes)
    at = tail.rfind(_END, 0, max(0, len(tail) - _END_BYTES + len(_END)))
    if at < 0:
        raise zipfile.BadZipFile("no end of the directory")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    locator = tail[at - _LOCATOR_BYTES : at] if at >= _LOCATOR_BYTES else b""
    if locator.startswith(_LOCATOR):  # files beyond 4 GB
        stream.seek(struct.unpack_from("<Q", locator, 8)[0])
        (directory_bytes,) = struct.unpack_from("<Q", stream.read(56), 40)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise ValueError("no model has that many files")
    stream.seek(0)
