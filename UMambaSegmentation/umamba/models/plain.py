"""From a checkpoint's values to plain JSON values, within a budget.

Lists and dicts of a pickle may be shared or hold themselves, so that a small file can stand for an endless
document. Every value that is written counts, and so does depth.
"""

from __future__ import annotations

import math
from typing import Any

from umamba.models.pickle_values import Refused

# Known plans and dataset files have up to 10,000 values, nested six deep; 65,535 labels are the most.
MAX_VALUES = 200_000
MAX_CHARACTERS = 32_000_000
MAX_DEPTH = 40


def plain_object(value: object, what: str) -> dict[str, Any]:
    """Copy a dict of a checkpoint as JSON knows it: tuples become lists, keys become texts.

    Args:
        value: What the pickle reader gave.
        what: Its name in an error.

    Raises:
        Refused: It is not a dict, holds something that is not JSON, or is too large.
    """
    if not isinstance(value, dict):
        raise Refused(f"{what} that is not a dict")
    found = _Copier(what).copy(value, 0)
    assert isinstance(found, dict)
    return found


class _Copier:
    def __init__(self, what: str) -> None:
        self.what = what
        self.values = 0
        self.characters = 0

    def copy(self, value: object, depth: int) -> object:
        self.values += 1
        if self.values > MAX_VALUES or self.characters > MAX_CHARACTERS or depth > MAX_DEPTH:
            raise Refused(f"{self.what} larger or deeper than any real one")
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise Refused(f"{self.what} with a number that is not finite")
            return value
        if isinstance(value, str):
            self.characters += len(value)
            return value
        if isinstance(value, list | tuple):
            return [self.copy(entry, depth + 1) for entry in value]
        if isinstance(value, dict):
            return self.copy_dict(value, depth)
        raise Refused(f"{self.what} with a {type(value).__name__}, which JSON does not have")

    def copy_dict(self, value: dict[Any, Any], depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, entry in value.items():
            self.characters += len(str(key))
            found[str(key)] = self.copy(entry, depth + 1)
        if len(found) != len(value):
            raise Refused(f"{self.what} with a key that stands twice")
        return found
