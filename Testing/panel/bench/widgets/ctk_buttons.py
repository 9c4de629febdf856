"""ctkColorPickerButton and ctkMessageBox."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from .base import prop, stand_in, stored


@stand_in
class ctkColorPickerButton(QtWidgets.QPushButton):
    """CTK: a QPushButton; properties color, displayColorName; `colorChanged(QColor)` on change."""

    CXX_SIGNALS = {"colorChanged(QColor)": "colorChanged"}
    colorChanged = QtCore.Signal(QtGui.QColor)

    def __init__(self, *arguments: object) -> None:
        text = next((value for value in arguments if isinstance(value, str)), "")
        parent = next((value for value in arguments if isinstance(value, QtWidgets.QWidget)), None)
        self._color = next(
            (QtGui.QColor(value) for value in arguments if isinstance(value, QtGui.QColor)),
            QtGui.QColor(0, 0, 0),
        )
        self._displayColorName = True
        super().__init__(text, parent)
        self.setCheckable(True)

    def setColor(self, color: QtGui.QColor) -> None:
        """Slot of the C++ class."""
        if color == self._color:
            return
        self._color = QtGui.QColor(color)
        self.update()
        self.colorChanged.emit(self._color)

    color = prop(QtGui.QColor, lambda self: QtGui.QColor(self._color), setColor)
    displayColorName = stored(bool, "displayColorName", lambda self: self.update())

    def changeColor(self, change: bool = True) -> None:
        """Opens a colour dialog in Slicer; here nobody could answer it."""
        raise RuntimeError("a colour dialog opens here: set the property color instead")

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """A swatch, and the colour's name or the text beside it."""
        super().paintEvent(event)
        painter = QtGui.QPainter(self)
        painter.fillRect(QtCore.QRect(5, 5, 14, max(4, self.height - 10)), self._color)
        if self._displayColorName and not self.text:
            room = QtCore.QRect(24, 0, self.width - 24, self.height)
            painter.drawText(room, QtCore.Qt.AlignVCenter, self._color.name())


@stand_in
class ctkMessageBox(QtWidgets.QMessageBox):
    """CTK: a QMessageBox; properties dontShowAgain, dontShowAgainSettingsKey, dontShowAgainVisible."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._dontShowAgain = self._dontShowAgainVisible = False
        self._dontShowAgainSettingsKey = ""
        super().__init__(parent)

    dontShowAgain = stored(bool, "dontShowAgain")
    dontShowAgainSettingsKey = stored(str, "dontShowAgainSettingsKey")
    dontShowAgainVisible = stored(bool, "dontShowAgainVisible")

    def exec(self) -> int:
        """Waits for a user in Slicer; here nobody could answer."""
        raise RuntimeError(f"a message box waits for an answer here: {self.text}")

    exec_ = exec
