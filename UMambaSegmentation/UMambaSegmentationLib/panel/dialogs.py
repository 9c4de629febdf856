"""The few dialogs of the system that the panel needs, each behind a function that tests replace."""

from __future__ import annotations

from pathlib import Path

import qt


def choose_folder(parent: qt.QWidget, title: str, start: Path | None = None) -> Path | None:
    """Ask for a folder that exists.

    Args:
        parent: The widget that the dialog belongs to.
        title: What is asked for.
        start: Where to begin; None for the person's last place.

    Returns:
        The folder, or None if the person cancelled.
    """
    return _path(qt.QFileDialog.getExistingDirectory(parent, title, _text(start)))


def choose_file(parent: qt.QWidget, title: str, kinds: str, start: Path | None = None) -> Path | None:
    """Ask for a file that exists.

    Args:
        parent, title, start: As for `choose_folder`.
        kinds: Filter of names, such as "Zip files (*.zip)".
    """
    return _path(qt.QFileDialog.getOpenFileName(parent, title, _text(start), kinds))


def save_file(parent: qt.QWidget, title: str, name: str, kinds: str) -> Path | None:
    """Ask where to write a file; the dialog itself asks whether a file that exists shall be replaced.

    Args:
        parent, title, kinds: As for `choose_file`.
        name: The name that is offered; its suffix is added to a name that has none.
    """
    found = _path(qt.QFileDialog.getSaveFileName(parent, title, name, kinds))
    if found is not None and not found.suffix:
        found = found.with_suffix(Path(name).suffix)
    return found


def choose_color(parent: qt.QWidget, title: str, color: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """Ask for a colour: red, green, blue, each 0 to 255; None if the person cancelled."""
    found = qt.QColorDialog.getColor(qt.QColor(*color), parent, title)
    return (found.red(), found.green(), found.blue()) if found.isValid() else None


def open_folder(folder: Path) -> bool:
    """Show a folder in the system's file manager; False if it cannot."""
    return bool(qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder))))


def open_page(address: str) -> bool:
    """Show a page in the person's browser; only https is followed, for addresses come from strangers."""
    url = qt.QUrl(address)
    return url.scheme() == "https" and bool(qt.QDesktopServices.openUrl(url))


def copy_text(text: str) -> None:
    """Put a text on the clipboard."""
    qt.QApplication.clipboard().setText(text)


def _text(start: Path | None) -> str:
    return "" if start is None else str(start)


def _path(chosen: object) -> Path | None:
    # Slicer's Qt bindings give the name alone, others the name and the filter that was chosen.
    name = chosen[0] if isinstance(chosen, tuple) else chosen
    return Path(name) if isinstance(name, str) and name else None
