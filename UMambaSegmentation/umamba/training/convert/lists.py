"""The lists that say which published case is trained on, validated on and tested on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from umamba.errors import InputError
from umamba.imaging.files import checked_input

# A list names files; nothing in it may lead out of the dataset's folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class PartList:
    """One list.

    Attributes:
        file: Its name, for errors.
        names: As listed, in that order.
    """

    file: str
    names: tuple[str, ...]


def read_lists(folder: Path, wanted: Mapping[str, Sequence[str]]) -> dict[str, PartList]:
    """Read the lists of a folder.

    Args:
        folder: Where they lie.
        wanted: Names that the list of a part may have, by part; the first that is there is read.

    Returns:
        The lists found, by part; none if there are none.

    Raises:
        InputError: A list cannot be read, is empty, or has a line that is no name.
    """
    found = {}
    for part, files in wanted.items():
        path = next((folder / file for file in files if (folder / file).is_file()), None)
        if path is not None:
            found[part] = PartList(path.name, _names(path))
    return found


def demand_lists(folder: Path, wanted: Mapping[str, Sequence[str]]) -> dict[str, PartList]:
    """As `read_lists`, of a folder that the user named.

    Raises:
        InputError: Also where it has no list.
    """
    found = read_lists(folder, wanted)
    if not found:
        names = ", ".join(file for files in wanted.values() for file in files)
        raise InputError(f"{folder.name}: has no list of cases; {names} were looked for")
    return found


def _names(path: Path) -> tuple[str, ...]:
    try:
        lines = checked_input(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: cannot be read as text ({error}); copy it again") from error
    names = [line.strip() for line in lines if line.strip()]
    for name in names:
        if not _NAME.fullmatch(name):
            raise InputError(f"{path.name}: {name[:80]!r} is no name of a case; one name a line is wanted")
    if not names:
        raise InputError(f"{path.name}: names no case; copy it again, or take it away")
    return tuple(dict.fromkeys(names))
