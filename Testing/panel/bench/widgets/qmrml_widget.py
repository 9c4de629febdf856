"""qMRMLWidget: the base of MRML widgets, and the top of a module's `.ui`."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .base import stand_in


@stand_in
class qMRMLWidget(QtWidgets.QWidget):
    """Slicer: mrmlScene(), slot setMRMLScene, signal mrmlSceneChanged(vtkMRMLScene*) on change."""

    CXX_SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._scene: Any = None
        super().__init__(parent)

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        """Slot of the C++ class."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)
