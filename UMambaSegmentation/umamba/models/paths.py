"""What lies at a path that a person gave, with the operating system's refusals in plain words."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from umamba.errors import ModelError

FILE, FOLDER, NOTHING = "file", "folder", "nothing"


def kind_of(path: Path) -> str:
    """FILE, FOLDER or NOTHING.

    Raises:
        ModelError: The path cannot be followed (a loop of links, too long a name, no permission), or leads to
            a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path.name[:80]!r}: cannot be reached ({reason}); check the path") from None
    if stat.S_ISDIR(mode):
        return FOLDER
    if not stat.S_ISREG(mode):
        raise ModelError(f"{path.name[:80]!r}: is neither a file nor a folder")
    return FILE


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to read something at or below `path` into one clear line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{path.name[:80] or path}: cannot be read ({reason})") from None
