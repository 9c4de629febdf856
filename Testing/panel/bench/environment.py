"""What must be so before the first import of Qt: variables, packages, system libraries, fonts."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

# What PySide6's Qt links to on Linux and no wheel brings; README, Makefile and the message below agree.
SYSTEM_PACKAGES = (
    "libegl1",
    "libgl1",
    "libfontconfig1",
    "libxkbcommon0",
    "libdbus-1-3",
    "libx11-6",
    "libglib2.0-0",
    "fonts-dejavu-core",
)
APT_LINE = "apt-get install -y --no-install-recommends " + " ".join(SYSTEM_PACKAGES)
PIP_LINE = "make setup"
FONTS = Path("/usr/share/fonts/truetype/dejavu")
PYSIDE = "6.12.0"  # with 6.8.3 the shim's connect is not reached: see pythonqt.py

Import = Callable[[str], object]


class BenchError(RuntimeError):
    """The bench cannot stand; one sentence with the line to type."""


def prepare() -> None:
    """Set the variables that Qt reads once. An off-screen, unscaled, quiet Qt, the same on every computer."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QT_SCALE_FACTOR"] = "1"
    os.environ["QT_LOGGING_RULES"] = "*.debug=false;qt.qpa.*=false"
    os.environ["QT_STYLE_OVERRIDE"] = "fusion"
    if FONTS.is_dir():
        os.environ["QT_QPA_FONTDIR"] = str(FONTS)


def check(load: Import = importlib.import_module) -> None:
    """Import what the bench stands on. Raises BenchError with the line to type where something is missing."""
    for module, package in (("slicer", "slicer-core"), ("PySide6", "PySide6-Essentials")):
        try:
            load(module)
        except ImportError as error:
            raise BenchError(f"{package} is not installed ({error}); type: {PIP_LINE}") from error
    for module in ("PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtUiTools"):
        try:
            load(module)
        except ImportError as error:
            raise BenchError(f"Qt lacks a system library ({error}); type: {APT_LINE}") from error
    version = getattr(load("PySide6"), "__version__", "unknown")
    if version != PYSIDE:
        raise BenchError(
            f"PySide6 {version} is installed, the bench needs {PYSIDE} exactly; type: {PIP_LINE}"
        )
    terminologies()


def terminologies() -> Path:
    """Folder of Slicer's own terminology files, which trame-slicer carries and slicer-core does not."""
    import importlib.metadata

    try:
        base = importlib.metadata.distribution("trame-slicer").locate_file("trame_slicer")
    except importlib.metadata.PackageNotFoundError as error:
        raise BenchError(f"trame-slicer is not installed ({error}); type: {PIP_LINE}") from error
    folder = Path(str(base)) / "resources" / "terminologies"
    if not list(folder.glob("*.term.json")):
        raise BenchError(f"{folder} holds no terminology; type: {PIP_LINE}")
    return folder
