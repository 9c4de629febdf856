"""One message to the worker, checked: what it asks, with which keys of which types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from umamba.errors import InputError


@dataclass(frozen=True)
class Key:
    """What a message may say under one key.

    Attributes:
        types: JSON types of its value. A number is no flag, and a flag no number.
        wanted: For a key that must be there and not be empty: what it should hold, in words.
    """

    types: tuple[type, ...]
    wanted: str = ""


_TEXT, _LIST, _FLAG, _NUMBER = Key((str,)), Key((list,)), Key((bool,)), Key((int, float))
_IMAGES = Key((list,), "a list with one entry for each channel")
_FILE = Key((str,), "the path of a file")
# Keywords of `umamba.segment`.
OPTIONS = {
    "device": _TEXT,
    "labels": _LIST,
    "roi": _LIST,
    "around": _LIST,
    "folds": Key((str, list)),
    "mirror": _FLAG,
    "step": _NUMBER,
    "max_memory": _NUMBER,
    "threads": Key((int,)),
    "series": _TEXT,
    "uncertainty": _FLAG,
}
_RUN = {"images": _IMAGES, "model": Key((str,), "an id or a folder"), "folder": _TEXT, **OPTIONS}
_WRITTEN = {"output": _TEXT, "overwrite": _FLAG}
_STORED = Key((str,), "the id of a model")
_SOURCE = Key((str,), "the path of a results folder, a zip of one, or a checkpoint")
# What can be asked, and the keys that each request may have beside id and do.
ACTIONS: dict[str, dict[str, Key]] = {
    "hello": {},
    "models": {},
    "doctor": {},
    "plan": _RUN,
    "segment": {**_RUN, **_WRITTEN},
    "inspect": {"path": _SOURCE},
    "import": {
        "path": _SOURCE,
        "model": _TEXT,
        "name": _TEXT,
        "orientation": _TEXT,
        "channels": _LIST,
        "labels": _LIST,
    },
    "install": {"file": _FILE},
    "export": {"model": _STORED, "file": _FILE, "overwrite": _FLAG},
    "remove": {"model": _STORED},
    "preview": {"images": _IMAGES, "labels": _FILE, "segments": _LIST, "file": _FILE},
    "cancel": {},
    "shutdown": {},
}
_COMMON = ("id", "do")


@dataclass(frozen=True)
class Request:
    """A message.

    Attributes:
        id: Stands in every event that answers it; a text or a number.
        do: One of `ACTIONS`.
        values: The other keys, without those that are null.
    """

    id: str | int
    do: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """Of a run: keywords for `umamba.segment`."""
        return {key: value for key, value in self.values.items() if key in OPTIONS}

    @property
    def output(self) -> Path | None:
        """Of a run: the file that the labels become, or None for arrays."""
        return Path(self.values["output"]) if self.values.get("output") else None

    @property
    def overwrite(self) -> bool:
        """Whether a file that is there may be replaced."""
        return bool(self.values.get("overwrite", False))

    @property
    def folder(self) -> Path | None:
        """Of a run: where to write arrays, or None for a folder of the worker's own."""
        return Path(self.values["folder"]) if "folder" in self.values else None


def request_id(message: object) -> str | int | None:
    """The id of a message, be the rest of it wrong; None if it has none."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, (str, int)) else None


def decode(line: bytes) -> Any:  # noqa: ANN401  (JSON)
    """Read one line.

    Raises:
        InputError: It is not JSON.
    """
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON object on one line: {error}") from None


def parse(message: object) -> Request:
    """Check one message.

    Raises:
        InputError: Something is missing, unknown or of the wrong type.
    """
    if not isinstance(message, dict):
        raise InputError("a message is a JSON object with the keys id and do")
    identity = request_id(message)
    if identity is None:
        raise InputError("a message needs an id, a text or a number")
    do = message.get("do")
    if not isinstance(do, str) or do not in ACTIONS:
        raise InputError(f"do: {do!r} found, one of {', '.join(ACTIONS)} wanted")
    known = ACTIONS[do]
    values = {key: value for key, value in message.items() if key not in _COMMON and value is not None}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"unknown key {key!r}; {do} knows {', '.join((*_COMMON, *known))}")
        _check_type(key, value, known[key])
    for key, rule in known.items():
        if rule.wanted and not values.get(key):
            raise InputError(f"{key}: {rule.wanted} is wanted")
    if "folder" in values and not Path(values["folder"]).is_dir():
        raise InputError(f"folder: {values['folder']!r} is not a folder")
    return Request(identity, do, values)


def _check_type(key: str, value: object, rule: Key) -> None:
    if not isinstance(value, rule.types) or (isinstance(value, bool) and bool not in rule.types):
        wanted = rule.wanted or " or ".join(kind.__name__ for kind in rule.types)
        raise InputError(f"{key}: {value!r} found, {wanted} wanted")
