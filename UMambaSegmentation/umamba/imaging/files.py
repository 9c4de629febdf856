"""Files that are there, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from umamba.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# Endings of two parts; of any other name the last part alone is the suffix.
_DOUBLE_SUFFIXES = (".nii.gz", ".seg.nrrd")
_LONGEST_SUFFIX = 16
MEGABYTE = 1e6


def suffix_of(path: str | Path) -> str:
    """The ending that decides the format, in lower case: ".nii.gz", ".seg.nrrd", ".png", or ""."""
    name = Path(path).name.lower()
    for suffix in _DOUBLE_SUFFIXES:
        if name.endswith(suffix):
            return suffix
    return Path(name).suffix


def checked_input(path: str | Path) -> Path:
    """The path of a file or folder that can be read.

    Raises:
        InputError: It does not exist, cannot be reached (a loop of links, too long a name, no permission),
            is neither a file nor a folder, or is an empty file.
    """
    path = Path(path)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{path.name}: cannot be read: {reason(error)}; check the path") from error
    if stat.S_ISDIR(status.st_mode):
        return path
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path.name}: is neither a file nor a folder; give an image file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path.name}: may not be read; ask for permission or copy it")
    if status.st_size == 0:
        raise InputError(f"{path.name}: the file is empty; copy or export it again")
    return path


def reason(error: OSError | ValueError) -> str:
    """Why the operating system refused, in a few plain words."""
    code = getattr(error, "errno", None)
    if code in _FULL:
        return "the disk is full"
    if code in _FORBIDDEN:
        return "no permission"
    if code == errno.ENOENT:
        return "it does not exist"
    if code == errno.ENOTDIR:
        return "a part of its path is not a folder"
    if code == errno.ENAMETOOLONG:
        return "its name is too long"
    if code == errno.ELOOP:
        return "its links lead back to themselves"
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of our own among the temporary files, gone at the end of the block.

    Raises:
        InputError: It cannot be made or written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="umamba-") as folder:
            yield Path(folder)
    except OSError as error:
        raise InputError(
            f"the folder for temporary files cannot be written: {reason(error)}; make room there, or set "
            "TMPDIR to another folder"
        ) from error


def check_space(folder: str | Path, needed_bytes: int) -> None:
    """Refuse to begin what the disk of `folder` cannot hold.

    Raises:
        InputError: Less than `needed_bytes` are free, or the folder cannot be reached.
    """
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(f"folder {Path(folder).name}: cannot be used: {reason(error)}") from error
    if free_bytes < needed_bytes:
        raise InputError(
            f"folder {Path(folder).name}: {free_bytes / MEGABYTE:.0f} MB are free on its disk, "
            f"{needed_bytes / MEGABYTE:.0f} MB are needed; make room or choose another folder"
        )


@contextmanager
def atomic_write(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Write a file so that its final name only ever shows it whole.

    Gives the path of a new, empty, hidden file in the same folder, with the same suffix, to be filled. When
    the block ends it is flushed to the disk and renamed; when it raises, the file is removed and whatever
    was under the final name stays as it was.

    Args:
        path: Where the file shall be.
        overwrite: Replace a file that is there. Without it the last step never replaces one, even if it
            came while this one was written: of two writers the first wins.

    Raises:
        InputError: `path` exists, its folder is missing or not writable, the name is too long, the disk is
            full, the folder went away meanwhile.
    """
    path = Path(path)
    _check_target(path, overwrite)
    hidden = path.with_name(f".umamba-{secrets.token_hex(6)}{suffix_of(path)[:_LONGEST_SUFFIX]}")
    try:
        hidden.open("xb").close()
        yield hidden
        with hidden.open("rb+") as file:
            os.fsync(file.fileno())
        _move(hidden, path, overwrite)
    except OSError as error:
        raise InputError(
            f"{path.name}: cannot be written: {reason(error)}; make room or choose another place"
        ) from error
    finally:
        _remove(hidden)


def write_json(path: str | Path, content: Any, overwrite: bool = False) -> None:  # noqa: ANN401
    """Write plain values as JSON (UTF-8, no NaN), whole or not at all.

    Raises:
        InputError: As `atomic_write`.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path, overwrite) as hidden:
        hidden.write_text(text + "\n", encoding="utf-8")


def _check_target(path: Path, overwrite: bool) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path.name}: is a folder; give the name of a file")
        path.lstat()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise InputError(f"{path.name}: its folder does not exist; create it first") from None
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: cannot be written: {reason(error)}; choose another name") from error
    if not overwrite:
        raise InputError(f"{path.name}: exists already; choose another name or allow overwriting")


def _move(hidden: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        hidden.replace(path)
        return
    try:
        os.link(hidden, path)  # unlike a rename this never replaces a file
    except FileExistsError:
        raise InputError(
            f"{path.name}: was made by someone else meanwhile and is left as it is; choose another name"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOENT, *_FULL):
            raise
        _rename_new(hidden, path)  # a file system without hard links


def _rename_new(hidden: Path, path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path.name}: exists already; choose another name or allow overwriting")
    hidden.rename(path)


def _remove(hidden: Path) -> None:
    try:
        hidden.unlink(missing_ok=True)
    except OSError:
        return  # its folder is gone or out of reach: nothing of ours can be left there
