"""What a prepared folder was made from, so that a changed dataset is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.imaging.files import write_json
from umamba.training.dataset.raw import RawDataset
from umamba.training.kept import load_kept

INVENTORY_FILE = "inventory.json"


def take_inventory(raw: RawDataset) -> dict[str, Any]:
    """Name, size and time of every case's files, and a hash of the description; places are left out."""
    description = json.dumps(raw.description, sort_keys=True).encode()
    return {
        "description": hashlib.sha256(description).hexdigest(),
        "cases": {case.name: [_facts(path) for path in (*case.images, case.label)] for case in raw.cases},
    }


def _facts(path: Path) -> list[Any]:
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def is_known(home: Path, inventory: Mapping[str, Any]) -> bool:
    """Whether this very dataset was checked and is prepared in `home`; False for a new folder.

    Raises:
        InputError: Another dataset was, or the folder is not ours, or damaged.
    """
    if not home.is_dir() or not any(home.iterdir()):
        return False
    advice = "choose another folder with -o"
    if not (home / INVENTORY_FILE).is_file():
        raise InputError(f"{home.name}: was prepared by another program; {advice}")
    before = load_kept(home / INVENTORY_FILE, advice)
    if before == inventory:
        return True
    change = _change(before.get("cases", {}), inventory["cases"])
    raise InputError(
        f"{home.name}: {change or 'its description (labels, channels)'} changed since this folder was "
        f"prepared, and what is there was made from the old data; {advice}"
    )


def write_inventory(home: Path, inventory: Mapping[str, Any]) -> None:
    """Claim `home` for this dataset."""
    home.mkdir(parents=True, exist_ok=True)
    write_json(home / INVENTORY_FILE, inventory, overwrite=True)


def _change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    added, removed = sorted(now.keys() - before.keys()), sorted(before.keys() - now.keys())
    other = sorted(name for name in now.keys() & before.keys() if now[name] != before[name])
    parts = [
        f"{len(names)} case{'s' if len(names) > 1 else ''} {what} ({some(names)})"
        for names, what in ((added, "added"), (removed, "removed"), (other, "with other files"))
        if names
    ]
    return f"the cases ({', '.join(parts)})" if parts else ""
