"""The names in the header of 3D Slicer's segmentation file (.seg.nrrd); its voxels are read like any NRRD."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from umamba.errors import InputError
from umamba.imaging.files import reason

_FIELD = re.compile(r"Segment(\d+)_(Name|LabelValue|Tags):=(.*)")
_KEY = re.compile(r"UMamba\.Key:([^|]*)")
_LONGEST_LINE_BYTES = 1 << 20
_LARGEST_HEADER_BYTES = 1 << 26


@dataclass(frozen=True)
class NamedSegment:
    """A segment: the value of its voxels, its name, and the key that our own files have for it or ""."""

    value: int
    name: str
    key: str = ""

    def is_called(self, name: str) -> bool:
        """Whether a label of this name is meant, in upper or lower case."""
        return name.casefold() in (self.name.casefold(), self.key.casefold())


def read_segments(path: Path) -> list[NamedSegment]:
    """The segments of a file, in its order; none if it has no such fields.

    Raises:
        InputError: The file cannot be read.
    """
    fields: dict[int, dict[str, str]] = {}
    try:
        with path.open("rb") as file:
            while (
                block := file.readline(_LONGEST_LINE_BYTES)
            ).strip() and file.tell() < _LARGEST_HEADER_BYTES:
                found = _FIELD.fullmatch(block.decode("utf-8", "replace").strip())
                if found:
                    fields.setdefault(int(found[1]), {})[found[2]] = found[3].strip()
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {reason(error)}; check the file") from error
    segments = []
    for number, of_one in sorted(fields.items()):
        value = of_one.get("LabelValue", str(number + 1))
        if not value.isdecimal():
            raise InputError(f"{path.name}: segment {number} has the value {value[:20]!r}; save it again")
        key = _KEY.search(of_one.get("Tags", ""))
        name = of_one.get("Name", "") or f"Segment_{value}"
        segments.append(NamedSegment(int(value), name, key[1].strip() if key else ""))
    return segments
