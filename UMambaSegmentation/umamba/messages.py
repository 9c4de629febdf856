"""The events that `--json` prints and the worker sends: one JSON object a line (docs/worker-protocol.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from umamba.errors import Cancelled, InputError, ModelError

if TYPE_CHECKING:
    from umamba.events import Progress
    from umamba.inference.runplan import RunPlan

Event = dict[str, Any]

# What an "error" event calls its cause; the first class that fits.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (Cancelled, "cancelled"),
    (ModelError, "model"),
    (InputError, "input"),
)
FAULT = "fault"


def plan_event(plan: RunPlan) -> Event:
    """What the run will take, with the one line that a person reads."""
    return {"event": "plan", "line": plan.line(), **plan.as_dict()}


def progress_event(progress: Progress) -> Event:
    """`stage`, `done`, `total`, `seconds_left`."""
    return {"event": "progress", **progress.as_dict()}


def log_event(text: str, level: str = "warning") -> Event:
    """A line that a person should see; `level` is "warning" or "info"."""
    return {"event": "log", "level": level, "message": text}


def error_event(error: BaseException) -> Event:
    """Why there is no result. `kind` is "cancelled", "model", "input", or "fault" (ours)."""
    kind = next((name for known, name in _KINDS if isinstance(error, known)), FAULT)
    return {"event": "error", "kind": kind, "message": one_line(error)}


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks; for one of ours without a message its class."""
    text = " ".join(str(error).split())
    if isinstance(error, (Cancelled, InputError)):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def json_line(event: Mapping[str, Any]) -> str:
    """One line of strict JSON (no NaN, ASCII only, so that any pipe carries it), without the line break."""
    return json.dumps(event, default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    for method in ("as_dict", "item", "tolist"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
