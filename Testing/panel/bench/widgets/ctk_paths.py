"""ctkPathLineEdit: a path that is typed or chosen."""

from __future__ import annotations

import re

from PySide6 import QtCore, QtWidgets

from .base import prop, stand_in, stored


@stand_in
class ctkPathLineEdit(QtWidgets.QWidget):
    """CTK: an editable combo box (the history) and a browse button.

    Properties label, filters, currentPath, options, settingKey, showBrowseButton, showHistoryButton,
    minimumContentsLength, nameFilters; signals currentPathChanged(QString), validInputChanged(bool); slots
    setCurrentPath, browse, retrieveHistory, addCurrentPathToHistory.
    """

    Dirs, Files, Drives, NoSymLinks = 0x001, 0x002, 0x004, 0x008
    AllEntries, Readable, Writable, Executable, Hidden = 0x007, 0x010, 0x020, 0x040, 0x100
    ShowDirsOnly, DontConfirmOverwrite, DontUseNativeDialog = 0x01, 0x04, 0x10

    CXX_SIGNALS = {
        "currentPathChanged(QString)": "currentPathChanged",
        "validInputChanged(bool)": "validInputChanged",
    }
    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._label = self._settingKey = ""
        self._filters = self.AllEntries
        self._options = self._minimumContentsLength = 0
        self._nameFilters: list[str] = []
        self._showBrowseButton = self._showHistoryButton = True
        self._valid = False
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox()
        self._combo.setEditable(True)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button = QtWidgets.QToolButton()
        self._button.setText("...")
        self._button.clicked.connect(lambda: self.browse())
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        layout.addWidget(self._button)
        self.setFocusProxy(self._combo)
        self._combo.editTextChanged.connect(self._on_text)

    def setCurrentPath(self, path: str) -> None:
        """Slot of the C++ class."""
        self._combo.setEditText(path)

    label = stored(str, "label")
    filters = stored(int, "filters")
    options = stored(int, "options")
    settingKey = stored(str, "settingKey", lambda self: self.retrieveHistory())
    showBrowseButton = stored(
        bool, "showBrowseButton", lambda self: self._button.setVisible(self._showBrowseButton)
    )
    showHistoryButton = stored(bool, "showHistoryButton")
    minimumContentsLength = stored(int, "minimumContentsLength")
    nameFilters = stored("QStringList", "nameFilters")
    currentPath = prop(str, lambda self: self._combo.currentText, setCurrentPath)

    def browse(self) -> None:
        """Opens a file dialog in Slicer; here nobody could answer it."""
        raise RuntimeError("a file dialog opens here: set the property currentPath instead")

    def retrieveHistory(self) -> None:
        """Fill the list from the settings; the text stays."""
        known = QtCore.QSettings().value(self._settingKey) or []
        text = self._combo.currentText
        blocked = self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItems([known] if isinstance(known, str) else known)
        self._combo.setEditText(text)
        self._combo.blockSignals(blocked)

    def addCurrentPathToHistory(self) -> None:
        """Remember the path in the settings, newest first."""
        if not self.currentPath:
            return
        known = QtCore.QSettings().value(self._settingKey) or []
        known = [known] if isinstance(known, str) else known
        paths = [self.currentPath, *[path for path in known if path != self.currentPath]]
        QtCore.QSettings().setValue(self._settingKey, paths)
        self.retrieveHistory()

    def _on_text(self, text: str) -> None:
        """A path is valid by the name filters alone; currentPathChanged tells of valid ones only."""
        endings = re.findall(r"\*([^\s*()]*)", " ".join(self._nameFilters))
        valid = bool(text) and (not endings or text.endswith(tuple(endings)))
        if valid:
            self.currentPathChanged.emit(text)
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)
