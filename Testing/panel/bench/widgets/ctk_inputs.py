"""ctkSliderWidget, ctkDoubleSpinBox, ctkComboBox, ctkCheckableComboBox, ctkSearchBox: single values."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from .base import prop, stand_in, stored

STEPS = 1000  # of the slider between minimum and maximum


@stand_in
class ctkSliderWidget(QtWidgets.QWidget):
    """CTK: a slider and a spin box of doubles.

    Properties decimals, singleStep, pageStep, minimum, maximum, value, prefix, suffix, tracking,
    spinBoxVisible; signals valueChanged(double), valueIsChanging(double); slots setValue, reset,
    setSpinBoxVisible.
    """

    CXX_SIGNALS = {"valueChanged(double)": "valueChanged", "valueIsChanging(double)": "valueIsChanging"}
    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._tracking = True
        self._pageStep = 10.0
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        self._slider.setRange(0, STEPS)
        self._box = QtWidgets.QDoubleSpinBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._box)
        self.setFocusProxy(self._box)
        self._box.valueChanged.connect(self._on_value)
        self._slider.sliderMoved.connect(self._on_moved)

    value = prop(float, lambda self: self._box.value, lambda self, value: self.setValue(value))
    minimum = prop(float, lambda self: self._box.minimum, lambda self, value: self._box.setMinimum(value))
    maximum = prop(float, lambda self: self._box.maximum, lambda self, value: self._box.setMaximum(value))
    singleStep = prop(
        float, lambda self: self._box.singleStep, lambda self, value: self._box.setSingleStep(value)
    )
    pageStep = stored(float, "pageStep")
    decimals = prop(int, lambda self: self._box.decimals, lambda self, value: self._box.setDecimals(value))
    prefix = prop(str, lambda self: self._box.prefix, lambda self, value: self._box.setPrefix(value))
    suffix = prop(str, lambda self: self._box.suffix, lambda self, value: self._box.setSuffix(value))
    tracking = stored(bool, "tracking")
    spinBoxVisible = prop(
        bool, lambda self: not self._box.isHidden(), lambda self, value: self.setSpinBoxVisible(value)
    )

    def setValue(self, value: float) -> None:
        """Slot of the C++ class."""
        self._box.setValue(value)

    def reset(self) -> None:
        """Slot of the C++ class: the value becomes 0."""
        self.setValue(0.0)

    def setSpinBoxVisible(self, visible: bool) -> None:
        """Slot of the C++ class."""
        self._box.setVisible(visible)

    def _span(self) -> float:
        return float(self._box.maximum - self._box.minimum) or 1.0

    def _on_value(self, value: float) -> None:
        self._slider.setValue(round((value - self._box.minimum) / self._span() * STEPS))
        self.valueChanged.emit(value)

    def _on_moved(self, position: int) -> None:
        self._box.setValue(self._box.minimum + position / STEPS * self._span())


@stand_in
class ctkDoubleSpinBox(QtWidgets.QWidget):
    """CTK: a QWidget around a QDoubleSpinBox.

    Properties frame, prefix, suffix, cleanText, decimals, minimum, maximum, singleStep, value,
    invertedControls; signals valueChanged(double), valueChanged(QString), decimalsChanged(int),
    editingFinished(); slots setValue, setValueIfDifferent, stepUp, stepDown, selectAll.
    """

    CXX_SIGNALS = {
        "valueChanged(double)": "valueChanged",
        "valueChanged(QString)": "_textChanged",
        "decimalsChanged(int)": "decimalsChanged",
        "editingFinished()": "editingFinished",
    }
    valueChanged = QtCore.Signal(float)
    _textChanged = QtCore.Signal(str)
    decimalsChanged = QtCore.Signal(int)
    editingFinished = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._invertedControls = False
        super().__init__(parent)
        self._box = QtWidgets.QDoubleSpinBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self.setFocusProxy(self._box)
        self._box.valueChanged.connect(self.valueChanged)
        self._box.textChanged.connect(self._textChanged)
        self._box.editingFinished.connect(self.editingFinished)

    def setValue(self, value: float) -> None:
        """Slot of the C++ class."""
        self._box.setValue(value)

    def setValueIfDifferent(self, value: float) -> None:
        """Slot of the C++ class."""
        self._box.setValue(value)

    def stepUp(self) -> None:
        """Slot of the C++ class."""
        self._box.stepUp()

    def stepDown(self) -> None:
        """Slot of the C++ class."""
        self._box.stepDown()

    def selectAll(self) -> None:
        """Slot of the C++ class."""
        self._box.selectAll()

    def _set_decimals(self, decimals: int) -> None:
        if decimals != self._box.decimals:
            self._box.setDecimals(decimals)
            self.decimalsChanged.emit(decimals)

    value = prop(float, lambda self: self._box.value, setValue)
    minimum = prop(float, lambda self: self._box.minimum, lambda self, value: self._box.setMinimum(value))
    maximum = prop(float, lambda self: self._box.maximum, lambda self, value: self._box.setMaximum(value))
    singleStep = prop(
        float, lambda self: self._box.singleStep, lambda self, value: self._box.setSingleStep(value)
    )
    decimals = prop(int, lambda self: self._box.decimals, _set_decimals)
    prefix = prop(str, lambda self: self._box.prefix, lambda self, value: self._box.setPrefix(value))
    suffix = prop(str, lambda self: self._box.suffix, lambda self, value: self._box.setSuffix(value))
    cleanText = prop(str, lambda self: self._box.cleanText)
    frame = prop(bool, lambda self: self._box.frame, lambda self, value: self._box.setFrame(value))
    invertedControls = stored(bool, "invertedControls")


@stand_in
class ctkComboBox(QtWidgets.QComboBox):
    """CTK: a QComboBox; properties defaultText (shown while nothing is chosen), forceDefault, elideMode,
    scrollWheelEffect, currentUserDataAsString.
    """

    NeverScroll, AlwaysScroll, ScrollWithFocus, ScrollWithNoVScrollBar = range(4)
    CXX_SIGNALS = {
        "defaultTextChanged(QString)": "defaultTextChanged",
        "currentUserDataAsStringChanged(QString)": "currentUserDataAsStringChanged",
    }
    defaultTextChanged = QtCore.Signal(str)
    currentUserDataAsStringChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._defaultText = ""
        self._forceDefault = False
        self._elideMode = QtCore.Qt.ElideNone
        self._scrollWheelEffect = self.AlwaysScroll
        super().__init__(parent)
        self.currentIndexChanged.connect(
            lambda index: self.currentUserDataAsStringChanged.emit(self.currentUserDataAsString)
        )

    def setCurrentUserDataAsString(self, text: str) -> None:
        """Slot of the C++ class."""
        self.setCurrentIndex(self.findData(text))

    def _set_default_text(self, text: str) -> None:
        if text != self._defaultText:
            self._defaultText = text
            self.update()
            self.defaultTextChanged.emit(text)

    defaultText = prop(str, lambda self: self._defaultText, _set_default_text)
    forceDefault = stored(bool, "forceDefault", lambda self: self.update())
    elideMode = stored("int", "elideMode", lambda self: self.update())
    scrollWheelEffect = stored(int, "scrollWheelEffect")
    currentUserDataAsString = prop(
        str,
        lambda self: "" if self.currentData is None else str(self.currentData),
        setCurrentUserDataAsString,
    )

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """As a QComboBox, with the default text where nothing is chosen."""
        if self.currentIndex >= 0 and not self._forceDefault:
            super().paintEvent(event)
            return
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self._defaultText
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)


@stand_in
class ctkCheckableComboBox(QtWidgets.QComboBox):
    """CTK: a QComboBox whose items can be checked; `checkedIndexesChanged()`.

    Python sees checkState, setCheckState, checkedIndexes, allChecked, noneChecked through CTK's decorators.
    """

    CXX_SIGNALS = {"checkedIndexesChanged()": "checkedIndexesChanged"}
    checkedIndexesChanged = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.model().rowsInserted.connect(self._on_rows)
        self.model().dataChanged.connect(self._on_data)

    def checkedIndexes(self) -> list[QtCore.QModelIndex]:
        """Indexes of the checked items."""
        return [index for index in self._indexes() if self.checkState(index) == QtCore.Qt.Checked]

    def allChecked(self) -> bool:
        """Whether every item is checked."""
        return len(self.checkedIndexes()) == self.count

    def noneChecked(self) -> bool:
        """Whether no item is checked."""
        return not self.checkedIndexes()

    def checkState(self, index: QtCore.QModelIndex) -> QtCore.Qt.CheckState:
        """State of one item."""
        return QtCore.Qt.CheckState(self.model().data(index, QtCore.Qt.CheckStateRole) or 0)

    def setCheckState(self, index: QtCore.QModelIndex, state: QtCore.Qt.CheckState) -> None:
        """Check or uncheck one item."""
        if self.checkState(index) != state:
            self.model().setData(index, QtCore.Qt.CheckState(state).value, QtCore.Qt.CheckStateRole)

    def _indexes(self) -> list[QtCore.QModelIndex]:
        return [self.model().index(row, 0) for row in range(self.count)]

    def _on_rows(self, parent: QtCore.QModelIndex, first: int, last: int) -> None:
        for row in range(first, last + 1):
            self.model().item(row).setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsUserCheckable)
            self.model().item(row).setCheckState(QtCore.Qt.Unchecked)

    def _on_data(self, first: object, last: object, roles: list[int]) -> None:
        if not roles or QtCore.Qt.CheckStateRole in roles:
            self.checkedIndexesChanged.emit()


@stand_in
class ctkSearchBox(QtWidgets.QLineEdit):
    """CTK: a QLineEdit; properties showSearchIcon, alwaysShowClearIcon."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._showSearchIcon = self._alwaysShowClearIcon = False
        super().__init__(parent)
        self.setClearButtonEnabled(True)

    showSearchIcon = stored(bool, "showSearchIcon")
    alwaysShowClearIcon = stored(bool, "alwaysShowClearIcon")
