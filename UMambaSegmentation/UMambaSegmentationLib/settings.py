"""The person's settings, the same for every scene: kept in Slicer's settings file under UMambaSegmentation/.

What belongs to a case lies in the scene (state.py). Nothing of a patient is kept here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import slicer

PREFIX = "UMambaSegmentation/"
DEFAULT_DEVICE = "auto"
DEFAULT_KEEP_WARM_MINUTES = 10.0
LONGEST_KEEP_WARM_MINUTES = 24 * 60.0

_Value = TypeVar("_Value")


def device() -> str:
    """Where runs go unless the scene says otherwise: "auto", "cpu", "cuda", "cuda:N" or "mps"."""
    return _read("device", DEFAULT_DEVICE, _text)


def set_device(name: str) -> None:
    """Remember the device."""
    _write("device", name)


def keep_warm_minutes() -> float:
    """How long the engine's process waits for the next run, minutes; 0 ends it at once."""
    return _read("keepWarmMinutes", DEFAULT_KEEP_WARM_MINUTES, _minutes)


def set_keep_warm_minutes(minutes: float) -> None:
    """Remember the waiting time, minutes."""
    _write("keepWarmMinutes", str(float(minutes)))


def model_folder() -> Path | None:
    """The folder of model files that the person named (a group's share), or None."""
    return _read("modelFolder", None, _path)


def set_model_folder(folder: Path | None) -> None:
    """Remember the folder of model files; None forgets it."""
    _write("modelFolder", folder)


def last_folder() -> Path:
    """Where file dialogs open: the folder chosen last if it is still there, else the home folder."""
    folder = _read("lastFolder", None, _path)
    return folder if folder is not None and folder.is_dir() else Path.home()


def set_last_folder(folder: Path) -> None:
    """Remember where a file dialog was left."""
    _write("lastFolder", folder)


def _read(key: str, default: _Value, converter: Callable[[object], _Value]) -> _Value:
    """A value of the settings file; the default where it is absent or damaged."""
    try:
        found: _Value = slicer.util.settingsValue(
            PREFIX + key, default, converter=converter, settings=slicer.app.userSettings()
        )
    except ValueError:
        return default
    return found


def _write(key: str, value: str | Path | None) -> None:
    settings = slicer.app.userSettings()
    if value is None:
        settings.remove(PREFIX + key)
    else:
        settings.setValue(PREFIX + key, str(value))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text wanted")
    return value.strip()


def _path(value: object) -> Path:
    return Path(_text(value))


def _minutes(value: object) -> float:
    minutes = float(str(value))
    if not (math.isfinite(minutes) and 0 <= minutes <= LONGEST_KEEP_WARM_MINUTES):
        raise ValueError("minutes wanted")
    return minutes
