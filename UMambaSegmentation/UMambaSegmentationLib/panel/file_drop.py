"""Files and folders that are dropped on the panel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt


class FileDrop(qt.QObject):
    """Takes one zip file or folder of this computer that is dropped on a widget; lets all else pass."""

    def __init__(self, widget: qt.QWidget, dropped: Callable[[Path], None]) -> None:
        """Watch a widget until `close`.

        Args:
            widget: Anything dropped on its children counts too, where they take no drops themselves.
            dropped: Called with the file or folder after the drop has ended.
        """
        qt.QObject.__init__(self)
        self._widget = widget
        self._dropped = dropped
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def close(self) -> None:
        """Watch no longer."""
        self._dropped = lambda _path: None  # a drop may be on its way still
        self._widget.removeEventFilter(self)
        self._widget.setAcceptDrops(False)

    def eventFilter(self, watched: qt.QObject, event: qt.QEvent) -> bool:  # noqa: N802  (Qt's name)
        """Qt's hook: True where the event was for this."""
        kind = event.type()
        if kind not in (qt.QEvent.DragEnter, qt.QEvent.DragMove, qt.QEvent.Drop):
            return False
        path = _dropped_path(event)
        if path is None:
            return False
        event.acceptProposedAction()
        if kind == qt.QEvent.Drop:
            # The system waits for the drop to end, so that nothing may be asked or begun within it.
            qt.QTimer.singleShot(0, lambda: self._dropped(path))
        return True


def _dropped_path(event: qt.QEvent) -> Path | None:
    urls = event.mimeData().urls() if event.mimeData().hasUrls() else []
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    path = Path(urls[0].toLocalFile())
    return path if path.suffix.lower() == ".zip" or path.is_dir() else None
