"""Where the extension's own files lie, and the person's.

The same answers hold for a source tree and for an installed extension: only the place of the top-level
`Resources` differs between them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ENGINE_NAME = "umamba"


def module_folder() -> Path:
    """The folder of UMambaSegmentation.py, which also holds the engine's package."""
    return Path(__file__).resolve().parents[1]


def resources() -> Path:
    """The panel's own resources: UI, icons."""
    return module_folder() / "Resources"


def shared_resources(name: str) -> Path | None:
    """A folder of the product's top-level `Resources`, such as "Models", or None where it was left out.

    An installed extension has it inside the module's own `Resources`, a source tree one folder above.
    """
    places = (module_folder() / "Resources" / name, module_folder().parent / "Resources" / name)
    return next((place for place in places if place.is_dir()), None)


def bundled_models_folder() -> Path | None:
    """The folder of the models that came with the extension, or None."""
    return shared_resources("Models")


def user_data_folder() -> Path:
    """The engine's folder for this person's models, packages and logs. It may not exist yet.

    $UMAMBA_HOME, else the place that the engine itself takes: $XDG_DATA_HOME or ~/.local/share on Linux,
    ~/Library/Application Support on macOS, %LOCALAPPDATA% on Windows, and there `umamba`.
    """
    home = os.environ.get("UMAMBA_HOME")
    if home:
        return Path(home)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
    else:
        chosen = Path(os.environ.get("XDG_DATA_HOME", ""))
        usual = ("Library", "Application Support") if sys.platform == "darwin" else (".local", "share")
        base = chosen if chosen.is_absolute() else Path.home().joinpath(*usual)
    return base / _ENGINE_NAME


def installed_models_folder() -> Path:
    """The person's own models, each in a folder of its id. It may not exist yet."""
    return user_data_folder() / "models"


def logs_folder() -> Path:
    """The folder of the panel's log files. It may not exist yet."""
    return user_data_folder() / "logs"
