"""qMRMLSegmentationShow3DButton: makes, shows and removes the closed surface of a segmentation."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtWidgets

from .base import stand_in, stored
from .observers import Observers

SURFACE, LABELMAP = "Closed surface", "Binary labelmap"
EVENTS = ("SegmentAdded", "SegmentRemoved", "ContainedRepresentationNamesModified")


@stand_in
class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    """Slicer: a ctkMenuButton (a QPushButton); property locked; slot setSegmentationNode.

    Checked while there is a closed surface; enabled while there are segments that it can be made from.
    """

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._node: Any = None
        self._locked = False
        super().__init__(parent)
        self._observers = Observers(self)
        self.setText("Show 3D")
        self.setCheckable(True)
        self.setEnabled(False)
        self.toggled.connect(self._on_toggled)

    locked = stored(bool, "locked", lambda self: self._update())

    def segmentationNode(self) -> Any:
        """The node, or None."""
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        """Slot of the C++ class."""
        self._observers.clear()
        self._node = node
        if node is not None:
            for event in ("ModifiedEvent", *(getattr(slicer.vtkSegmentation, name) for name in EVENTS)):
                self._observers.add(node, event, self._on_event)
        self._update()

    def _on_event(self, caller: Any, event: str) -> None:
        self._update()

    def _update(self) -> None:
        segmentation = self._node.GetSegmentation() if self._node else None
        self.setEnabled(
            segmentation is not None
            and not self._locked
            and segmentation.GetNumberOfSegments() > 0
            and segmentation.GetSourceRepresentationName() != SURFACE
        )
        if segmentation is not None:
            blocked = self.blockSignals(True)
            self.setChecked(segmentation.ContainsRepresentation(SURFACE))
            self.blockSignals(blocked)

    def _on_toggled(self, on: bool) -> None:
        if self._node is None:
            return
        segmentation, display = self._node.GetSegmentation(), self._node.GetDisplayNode()
        if not on:
            segmentation.RemoveRepresentation(SURFACE)
        elif segmentation.CreateRepresentation(SURFACE) and display:
            display.SetPreferredDisplayRepresentationName3D(SURFACE)
            if segmentation.ContainsRepresentation(LABELMAP):
                display.SetPreferredDisplayRepresentationName2D(LABELMAP)
