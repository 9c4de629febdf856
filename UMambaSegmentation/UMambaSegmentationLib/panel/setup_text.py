"""What the set-up says: what is installed, what is missing, and the part of the report that Slicer knows."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.client.packages import Status

_MOST_NAMES = 4
_GIGABYTE, _MEGABYTE = 1e9, 1e6
# A place where a line may break, though nothing is seen there.
_BREAK = "\u200b"


def status_text(status: Status, *, own_python: bool) -> str:
    """What is installed and where, or what is missing, for the person.

    Args:
        status: Of the installation.
        own_python: Whether Slicer's own Python runs the engine.
    """
    if status.engine_version is None:
        return _("The engine's files are missing from this extension; install the extension again.")
    engine = _("Engine {version}, Python {python}.").format(
        version=status.engine_version, python=status.python
    )
    if not status.ready:
        text = _("Not installed yet: {names}.")
        if status.folder.is_dir():
            text = _("Missing or too old: {names}.")
        where = _("It goes into {folder}.").format(folder=breakable(status.folder))
        return f"{text.format(names=_names(status.missing))} {where}\n{engine}"
    place = _("in the engine's own folder")
    if status.torch_place == "slicer":
        place = _("the one of Slicer") if own_python else _("the one of the chosen Python")
    torch = _("PyTorch {version}, {place}.").format(version=status.torch, place=place)
    lines = [_("The engine is installed."), f"{engine} {torch}"]
    if status.folder.is_dir():
        lines.append(f"{breakable(status.folder)} ({size(status.bytes)})")
    return "\n".join(lines)


def report_text(status: Status, engine_report: str) -> str:
    """A report without patient data.

    Args:
        status: Of the installation.
        engine_report: What the engine says of itself, or why it says nothing.
    """
    lines = [
        f"Slicer: {slicer.app.majorVersion}.{slicer.app.minorVersion}",
        f"Slicer's Python: {sys.version.split()[0]}",
        f"System: {platform.platform()}",
        f"Engine: {status.engine_version}, Python {status.python}",
        f"PyTorch: {status.torch} ({status.torch_place})",
        f"Missing: {', '.join(status.missing) or 'nothing'}",
        f"Folder: {status.folder} ({size(status.bytes)})",
        "",
        engine_report,
    ]
    home = str(Path.home())
    text = "\n".join(lines)
    return text.replace(home, "~") if len(home) > 1 else text  # the home folder is named after the person


def breakable(path: Path) -> str:
    """A path that a narrow panel can show in several lines."""
    return str(path).replace(os.sep, os.sep + _BREAK)


def size(number: int) -> str:
    """Bytes for a person: "1.2 GB"."""
    if number >= _GIGABYTE:
        return f"{number / _GIGABYTE:.1f} GB"
    return f"{number / _MEGABYTE:.0f} MB"


def _names(packages: tuple[str, ...]) -> str:
    names = ["PyTorch" if name == "torch" else name for name in packages]
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return _("{names} and {n} more").format(
        names=", ".join(names[: _MOST_NAMES - 1]), n=len(names) - _MOST_NAMES + 1
    )
