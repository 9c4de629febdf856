"""Typed access to the fields of a decoded JSON object, with errors that name the field."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from umamba.errors import ModelError


def required(raw: Mapping[str, Any], key: str, where: str) -> Any:  # noqa: ANN401
    """Return `raw[key]`; ModelError naming `where` and `key` when it is missing."""
    if key not in raw:
        raise ModelError(f"{where}: the key {key!r} is missing")
    return raw[key]


def integer(value: object, where: str, least: int, most: int) -> int:
    """Return an int within `least`..`most`; floats with no fraction are taken as nnU-Net takes them."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ModelError(f"{where}: {_short(value)} found, an integer from {least} to {most} wanted")
    return value


def number(value: object, where: str) -> float:
    """Return a finite float."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(f"{where}: {_short(value)} found, a finite number wanted")
    return float(value)


def text(value: object, where: str) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise ModelError(f"{where}: {_short(value)} found, a text wanted")
    return value


def mapping(value: object, where: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping):
        raise ModelError(f"{where}: {_short(value)} found, an object wanted")
    return value


def sequence(value: object, where: str, length: int | None = None) -> Sequence[Any]:
    """Return a JSON array, of `length` entries when given."""
    if not isinstance(value, list | tuple):
        raise ModelError(f"{where}: {_short(value)} found, a list wanted")
    if length is not None and len(value) != length:
        raise ModelError(f"{where}: {len(value)} entries found, {length} wanted")
    return value


def integers(value: object, where: str, least: int, most: int, length: int | None = None) -> tuple[int, ...]:
    """Return a tuple of ints, each within `least`..`most`."""
    return tuple(integer(entry, where, least, most) for entry in sequence(value, where, length))


def flag(value: object, where: str) -> bool:
    """Return a bool."""
    if not isinstance(value, bool):
        raise ModelError(f"{where}: {_short(value)} found, true or false wanted")
    return value


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
