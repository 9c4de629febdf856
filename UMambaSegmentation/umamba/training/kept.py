"""Files that an earlier run of a training left, and that only damage can have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from umamba.errors import InputError, ModelError
from umamba.plans.jsonfile import load_json

REMADE = "delete it, and the same command makes it anew"


def load_kept(path: Path, advice: str = REMADE) -> dict[str, Any]:
    """Read a JSON object of a training's folder.

    Args:
        path: The file.
        advice: What a person can do where it is damaged.

    Raises:
        InputError: It is.
    """
    try:
        return load_json(path)
    except ModelError as error:
        raise InputError(f"{path.parent.name}/{error}; {advice}") from error
