"""The Segment Editor's panel, as far as other modules use it: which segmentation and volume it edits."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .widgets.base import stand_in
from .widgets.qmrml_widget import qMRMLWidget


@stand_in
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Slicer: the editor itself. A volume that is set before there is a segmentation is lost, as there."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._segmentation: Any = None
        self._volume: Any = None
        super().__init__(parent)

    def segmentationNode(self) -> Any:
        """The segmentation, or None."""
        return self._segmentation

    def setSegmentationNode(self, node: Any) -> None:
        """Choose the segmentation; its reference volume comes with it."""
        if node is self._segmentation:
            return
        self._segmentation = node
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        reference = node.GetNodeReference(role) if node is not None else None
        self._volume = reference if reference is not None or node is None else self._volume

    def sourceVolumeNode(self) -> Any:
        """The volume, or None."""
        return self._volume

    def setSourceVolumeNode(self, node: Any) -> None:
        """Choose the volume; refused, in words that nobody sees, while there is no segmentation."""
        if self._segmentation is not None:
            self._volume = node
        elif node is not None:
            QtCore.qCritical("setSourceVolumeNode failed: the segmentation must be set first")


class SegmentEditorModule:
    """slicer.modules.segmenteditor."""

    name = title = "SegmentEditor"
    path = ""

    def __init__(self) -> None:
        self.editor: qMRMLSegmentEditorWidget | None = None

    def forget(self) -> None:
        """As if Slicer had just been started: between tests."""
        self.editor = None

    def widgetRepresentation(self) -> SegmentEditorModule:
        """The panel, made when it is first asked for."""
        if self.editor is None:
            self.editor = qMRMLSegmentEditorWidget()
            self.editor.setMRMLScene(slicer.mrmlScene)
        return self

    def self(self) -> SegmentEditorModule:
        """The panel's Python side, which has the editor."""
        return self
