"""Strict reading of small JSON files that a stranger wrote."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from umamba.errors import ModelError

# nnU-Net's largest known plans and fingerprints are under 1 MB; a file beyond this is not one of them.
MAX_JSON_BYTES = 32_000_000
# Far beyond any number of a plans file, and below the length that Python itself refuses.
_MAX_DIGITS = 1_000
_ESCAPED_SURROGATE = "\\ud"


def parse_json(text: str | bytes, name: str) -> dict[str, Any]:
    """Parse a JSON object; NaN, Infinity, repeated keys, half characters and bottomless nesting are refused.

    Args:
        text: The document, in UTF-8.
        name: What to call it in an error.

    Raises:
        ModelError: The document is not one plain JSON object.
    """
    try:
        document = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        found = json.loads(
            document,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_short_integer,
            object_pairs_hook=_unique_keys,
        )
        if _ESCAPED_SURROGATE in document.lower():  # half of an escaped pair could not be written again
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ModelError(f"{name}: nested too deeply for a plans or dataset file") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{name}: not valid JSON ({error})") from None
    if not isinstance(found, dict):
        raise ModelError(f"{name}: a JSON object was expected, found {type(found).__name__}")
    return found


def load_json(path: Path) -> dict[str, Any]:
    """Read one JSON object from a file, with the checks of `parse_json`.

    Raises:
        ModelError: The file is missing, too large or not a plain JSON object.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_JSON_BYTES:
            raise ModelError(f"{path.name}: {size_bytes} bytes is too large for a JSON file of a model")
        text = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name}: cannot be read ({error.strerror or error})") from None
    return parse_json(text, path.name)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:40]} is too large for a number")
    return value


def _short_integer(number: str) -> int:
    if len(number) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(number)} digits")
    return int(number)


def _unique_keys(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return found
