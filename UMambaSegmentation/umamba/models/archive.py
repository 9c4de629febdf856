"""Unpacking a zip file that a stranger made, and packing one that is the same whenever it is made.

Names are checked before anything is written, all of them, wanted or not: one that could land outside the
folder, on another drive, on a link, or on top of another file makes the whole archive be refused.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from umamba.errors import InputError, ModelError
from umamba.events import Monitor
from umamba.models.zips import READ_BYTES, ZIP_ERRORS, open_zip

MAX_MEMBERS = 20_000
# Five folds of the largest published network with their optimizers take some 10 GB.
MAX_TOTAL_BYTES = 100_000_000_000
# Weights hardly shrink and logs shrink tenfold; beyond this factor it is a bomb (tiny files apart).
MAX_RATIO = 200
SMALL_MEMBER_BYTES = 1_000_000
MAX_NAME_CHARACTERS = 400
SPARE_BYTES = 50_000_000

_FORBIDDEN_CHARACTERS = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# The oldest date that a zip file can hold: packing twice gives the same bytes.
_PACKED_DATE = (1980, 1, 1, 0, 0, 0)
_PACKED_MODE = 0o100644


Names = Collection[PurePosixPath]


def unpack(
    path: Path, folder: Path, choose: Callable[[Names], Names], monitor: Monitor | None = None
) -> Names:
    """Unpack members of a zip file.

    Args:
        path: The zip file.
        folder: An empty folder, which the caller removes if this raises.
        choose: Says which of the names are unpacked. All members are checked, whatever it says.
        monitor: Progress and cancel.

    Returns:
        The names unpacked.

    Raises:
        ModelError: An unsafe or damaged archive.
        InputError: The disk has not enough room.
    """
    monitor = monitor or Monitor()
    with open_zip(path) as archive:
        members = checked_members(archive, path.name)
        chosen = {name: members[name] for name in choose(members.keys())}
        _check_sizes(chosen, path.name)
        check_space(folder, sum(member.file_size for member in chosen.values()))
        for done, (name, member) in enumerate(chosen.items()):
            monitor.step("unpack", done, len(chosen))
            _unpack_member(archive, member, folder.joinpath(*name.parts), path.name, monitor)
    return chosen.keys()


def checked_members(archive: ZipFile, name: str) -> dict[PurePosixPath, ZipInfo]:
    """The files of an archive by their names, after every check that needs no unpacking.

    Raises:
        ModelError: Naming the first member that is unsafe, and why.
    """
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise ModelError(f"{name}: {len(entries)} members found, at most {MAX_MEMBERS} wanted")
    found: dict[PurePosixPath, ZipInfo] = {}
    spelled: dict[str, str] = {}
    for member in entries:
        fault = _fault(member)
        if fault:
            raise ModelError(
                f"{name}: the member {member.orig_filename[:80]!r} {fault}; nothing was unpacked"
            )
        path = PurePosixPath(member.filename)
        for part in (path, *path.parents):
            other = spelled.setdefault(_as_file_systems_see(part), str(part))
            if other != str(part):
                raise ModelError(
                    f"{name}: the members {other[:80]!r} and {str(part)[:80]!r} are one file on some "
                    "computers; nothing was unpacked"
                )
        if member.is_dir():
            continue
        if path in found:
            raise ModelError(f"{name}: the member {str(path)[:80]!r} stands twice; nothing was unpacked")
        found[path] = member
    for path in found:
        if any(parent in found for parent in path.parents):
            raise ModelError(f"{name}: {str(path)[:80]!r} lies below a file; nothing was unpacked")
    return found


def pack(path: Path, files: Sequence[tuple[str, Path]], monitor: Monitor | None = None) -> None:
    """Write a zip file; the same files give the same bytes (fixed dates, order as given, stored).

    Args:
        path: A new file.
        files: Name in the archive and file to read.
        monitor: Progress and cancel.

    Raises:
        OSError: A file cannot be read, or the zip not be written.
    """
    monitor = monitor or Monitor()
    with path.open("xb") as file:
        with ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for done, (name, source) in enumerate(files):
                monitor.step("write", done, len(files))
                entry = ZipInfo(name, _PACKED_DATE)
                entry.create_system = 3  # Unix, whatever this computer is
                entry.external_attr = _PACKED_MODE << 16
                entry.file_size = source.stat().st_size
                with source.open("rb") as reader, archive.open(entry, "w") as writer:
                    while chunk := reader.read(READ_BYTES):
                        monitor.check()
                        writer.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def check_space(folder: Path, needed_bytes: int) -> None:
    """Raise InputError if the disk of `folder` has no room for `needed_bytes` and a little more."""
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes + SPARE_BYTES > free_bytes:
        raise InputError(
            f"the disk of the model store has {free_bytes / 1e9:.2f} GB free, {needed_bytes / 1e9:.2f} GB "
            "and a little more wanted; make room or set UMAMBA_HOME to another disk"
        )


def _fault(member: ZipInfo) -> str | None:
    """Why a member must not be unpacked, or None. `orig_filename` is the name as it stands in the file."""
    name = member.orig_filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if name.startswith("/") or _FORBIDDEN_CHARACTERS.search(name):
        return "has an absolute path, a drive, a backslash or a forbidden character in its name"
    if ".." in parts or "." in parts or "" in parts:
        return "leads out of the folder or has an empty part in its name"
    if len(name) > MAX_NAME_CHARACTERS or any(len(part.encode()) > 255 for part in parts):
        return "has too long a name"
    if any(part.endswith((".", " ")) or _WINDOWS_DEVICE.fullmatch(part) for part in parts):
        return "has a name that some computers cannot hold"
    if name != member.filename:
        return "has a name that cannot be trusted"
    if name.lower().endswith(_ARCHIVES):
        return "is an archive in the archive; unpack it yourself if you trust it"
    if member.compress_type not in _METHODS:
        return "is compressed in a way other than deflate"
    return None


def _check_sizes(chosen: Mapping[PurePosixPath, ZipInfo], name: str) -> None:
    """Refuse a bomb. What is not unpacked may be as empty as a label map without labels is."""
    for path, member in chosen.items():
        if member.file_size > max(SMALL_MEMBER_BYTES, MAX_RATIO * member.compress_size):
            raise ModelError(
                f"{name}: the member {str(path)[:80]!r} would grow more than {MAX_RATIO}-fold; "
                "nothing was unpacked"
            )
    total_bytes = sum(member.file_size for member in chosen.values())
    packed_bytes = sum(member.compress_size for member in chosen.values())
    if total_bytes > min(MAX_TOTAL_BYTES, SMALL_MEMBER_BYTES + MAX_RATIO * packed_bytes):
        raise ModelError(f"{name}: would unpack to {total_bytes} bytes, more than any model")


def _as_file_systems_see(path: PurePosixPath) -> str:
    """One text for all names that some file system takes for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(path)).casefold())


def _unpack_member(archive: ZipFile, member: ZipInfo, target: Path, name: str, monitor: Monitor) -> None:
    """Copy one member; never more bytes than it says, and its checksum is compared at the end."""
    left = member.file_size
    with archive.open(member) as source, writing(target.name):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in _chunks(source, name):
                monitor.check()
                left -= len(chunk)
                if left < 0:
                    raise ModelError(f"{name}: the member {target.name[:80]!r} is longer than it says")
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    if left:
        raise ModelError(f"{name}: the member {target.name[:80]!r} is shorter than it says")


def _chunks(source: IO[bytes], name: str) -> Iterator[bytes]:
    """Read in pieces; what is wrong with the archive is said here, apart from what is wrong with the disk."""
    try:
        while chunk := source.read(READ_BYTES):
            yield chunk
    except ZIP_ERRORS as error:
        raise ModelError(f"{name}: damaged or cut off ({error or type(error).__name__})") from None


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Turn the operating system's refusal to write into one clear line.

    Raises:
        InputError: The disk is full, or writing is not allowed.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{name}: cannot be written to the model store ({error.strerror or error}); "
            "make room there or set UMAMBA_HOME to another folder"
        ) from None
