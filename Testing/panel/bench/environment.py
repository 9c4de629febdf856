"""What must be so before the first import of Qt: variables, packages, system libraries, fonts.

Run as a script, as `make setup` does, it installs the system libraries where that may be done.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# What Qt's libraries need on Linux and PySide6's wheel does not bring, and letters to draw.
SYSTEM_PACKAGES = (
    *("libegl1", "libgl1", "libfontconfig1", "libxkbcommon0", "libdbus-1-3", "libx11-6", "libglib2.0-0"),
    "fonts-dejavu-core",
)
APT_LINE = "apt-get install -y --no-install-recommends " + " ".join(SYSTEM_PACKAGES)
SETUP_LINE = "make setup"
FONTS = Path("/usr/share/fonts/truetype/dejavu")
PYSIDE = "6.12.0"  # 6.8.3 asks an object's own connect for a signal's: the patches of pythonqt.py fail there

Load = Callable[[str], object]


class BenchError(RuntimeError):
    """The bench cannot stand: one sentence with the line to type."""


class LibraryError(BenchError):
    """A system library or the fonts are missing."""


def prepare() -> None:
    """Set the variables that Qt reads once: an off-screen, unscaled, quiet Qt, the same everywhere."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QT_SCALE_FACTOR"] = "1"
    os.environ["QT_LOGGING_RULES"] = "*.debug=false;qt.qpa.*=false"
    os.environ["QT_STYLE_OVERRIDE"] = "fusion"
    if FONTS.is_dir():
        os.environ["QT_QPA_FONTDIR"] = str(FONTS)


def check(load: Load = importlib.import_module) -> None:
    """Import what the bench stands on. Raises BenchError with the line to type where something is missing."""
    for module, package in (("slicer", "slicer-core"), ("PySide6", "PySide6-Essentials")):
        try:
            load(module)
        except ImportError as error:
            hint = "" if module != "slicer" else " (it exists for Linux x86_64, Windows and macOS arm64)"
            raise BenchError(f"{package} is not installed{hint}; type: {SETUP_LINE}") from error
    version = getattr(load("PySide6"), "__version__", "unknown")
    if version != PYSIDE:
        raise BenchError(f"PySide6 {version} is installed, {PYSIDE} is needed; type: {SETUP_LINE}")
    for module in ("PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtUiTools"):
        try:
            load(module)
        except ImportError as error:
            raise LibraryError(f"Qt lacks a system library ({error}); type: {APT_LINE}") from error
    terminologies()


def terminologies() -> Path:
    """Folder of Slicer's terminology files, which trame-slicer carries and slicer-core does not."""
    try:
        package = importlib.metadata.distribution("trame-slicer").locate_file("trame_slicer")
    except importlib.metadata.PackageNotFoundError as error:
        raise BenchError(f"trame-slicer is not installed; type: {SETUP_LINE}") from error
    folder = Path(str(package)) / "resources" / "terminologies"
    if not list(folder.glob("*.term.json")):
        raise BenchError(f"{folder} holds no terminology files; type: {SETUP_LINE}")
    return folder


def install_libraries() -> None:
    """Install the system libraries. Raises LibraryError where that is not for this user or this system."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LibraryError(f"Qt lacks system libraries; type: {APT_LINE}")
    quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
    if subprocess.run(APT_LINE.split(), check=False, **quiet).returncode != 0:
        raise LibraryError(f"the system libraries could not be installed; type: {APT_LINE}")


def main() -> int:
    """Check, install what may be installed, and say what is left to do. 0: the bench stands."""
    prepare()
    fonts_missing = sys.platform == "linux" and not FONTS.is_dir()
    try:
        try:
            check()
        except LibraryError:
            install_libraries()
            check()
        else:
            if fonts_missing:
                install_libraries()
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
