"""Names of labels from what lies in a plain folder: dataset.json, labels.json or labels.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.imaging.files import reason
from umamba.plans.jsonfile import load_json
from umamba.training.dataset.raw import DATASET_FILE

BACKGROUND = "background"
_NAMES_JSON, _NAMES_CSV = "labels.json", "labels.csv"
_LONGEST_CSV_BYTES = 1_000_000


def find_description(folder: Path, given: Mapping[str, int] | None) -> tuple[dict[str, Any], str]:
    """What is known of a plain folder's labels (and channels), and where that stands.

    Args:
        folder: The folder.
        given: Name to value, before anything in the folder; 0 is the background, named or not.

    Returns:
        Fields of dataset.json, `labels` only where there are names; and a name for errors.

    Raises:
        InputError: A file with names is there and cannot be used.
    """
    found: dict[str, Any] = {}
    source = folder.name
    if (folder / DATASET_FILE).is_file():
        found, source = dict(load_json(folder / DATASET_FILE)), DATASET_FILE
    if given is not None:
        found.pop("regions_class_order", None)
        return {**found, "labels": _with_background(given, "the labels given")}, "the labels given"
    if "labels" in found:
        return found, source
    if (folder / _NAMES_JSON).is_file():
        return {**found, "labels": _from_json(folder / _NAMES_JSON)}, _NAMES_JSON
    if (folder / _NAMES_CSV).is_file():
        return {**found, "labels": _from_csv(folder / _NAMES_CSV)}, _NAMES_CSV
    return found, source


def _with_background(labels: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The names with the background first; a value must have one name."""
    zero = [name for name, value in labels.items() if value == 0]
    if zero not in ([], [BACKGROUND]):
        raise InputError(f"{source}: 0 is called {zero[0]!r}; it is the background: leave it out")
    plain = [value for value in labels.values() if not isinstance(value, list | tuple)]
    twice = next((value for value in plain if plain.count(value) > 1), None)
    if twice is not None:
        raise InputError(f"{source}: value {twice} has two names; give it one")
    return {BACKGROUND: 0, **{name: value for name, value in labels.items() if name != BACKGROUND or value}}


def _from_json(path: Path) -> dict[str, Any]:
    """{"liver": 1} or {"1": "liver"}."""
    found = load_json(path)
    if found and all(isinstance(value, str) for value in found.values()):
        numbers = [key for key in found if not key.isdecimal()]
        if numbers:
            raise InputError(
                f'{path.name}: {{"liver": 1}} or {{"1": "liver"}} is wanted, found {numbers[0][:40]!r}: '
                f"{found[numbers[0]][:40]!r}; correct it"
            )
        if len(set(found.values())) < len(found):
            raise InputError(f"{path.name}: a name stands twice; give each value its own")
        found = {name: int(value) for value, name in found.items()}
    return _with_background(found, path.name)


def _from_csv(path: Path) -> dict[str, Any]:
    """Columns `value` and `name` (others are passed over)."""
    wanted = f"{path.name}: columns `value` and `name` are wanted, and a line for each label; correct it"
    try:
        if path.stat().st_size > _LONGEST_CSV_BYTES:
            raise InputError(wanted)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path.name}: cannot be read: {_why(error)}; correct it") from error
    labels: dict[str, Any] = {}
    for row in rows:
        name, value = (row.get("name") or "").strip(), (row.get("value") or "").strip()
        if not name or not value.isdecimal():
            raise InputError(wanted)
        if name in labels:
            raise InputError(f"{path.name}: {name!r} stands twice; give each value its own name")
        labels[name] = int(value)
    if not labels:
        raise InputError(wanted)
    return _with_background(labels, path.name)


def _why(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)
