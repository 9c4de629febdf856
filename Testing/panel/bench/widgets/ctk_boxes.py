"""ctkCollapsibleButton and ctkCollapsibleGroupBox: sections that fold."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from .base import prop, stand_in, stored

UNLIMITED = 16777215  # QWIDGETSIZE_MAX


class Contents(QtCore.QObject):
    """Children of a folding section; those that were hidden on their own stay hidden when it opens."""

    def __init__(self, section: QtWidgets.QWidget) -> None:
        self._closed = False
        self._busy = False
        self._hidden_by_us: list[QtWidgets.QWidget] = []
        super().__init__(section)

    def fold(self, closed: bool) -> None:
        """Hide the children, or show again those that folding had hidden."""
        self._closed = closed
        self._busy = True
        if closed:
            self._hidden_by_us = [child for child in self._children() if not child.isHidden()]
        for child in self._hidden_by_us:
            child.setVisible(not closed)
        if not closed:
            self._hidden_by_us = []
        self._busy = False

    def adopt(self, child: QtCore.QObject) -> None:
        """Watch a new child."""
        if child.isWidgetType():
            child.installEventFilter(self)

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """A child shown or hidden by others while the section is closed is so when the section opens."""
        state = vars(self)  # empty when Python has let go of this object and Qt has not yet
        if state.get("_closed") and not state["_busy"]:
            if event.type() == QtCore.QEvent.ShowToParent:
                self._busy = True
                child.setVisible(False)
                self._busy = False
                if child not in self._hidden_by_us:
                    self._hidden_by_us.append(child)
            elif event.type() == QtCore.QEvent.HideToParent and child in self._hidden_by_us:
                self._hidden_by_us.remove(child)
        return False

    def _children(self) -> list[QtWidgets.QWidget]:
        found = self.parent().findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly)
        return [child for child in found if not child.isWindow()]


@stand_in
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """CTK: a QAbstractButton; properties collapsed, collapsedHeight, contents* and *Alignment.

    Checked is open. `contentsCollapsed(bool)` and `toggled(bool)` tell of each change.
    """

    CXX_SIGNALS = {"contentsCollapsed(bool)": "contentsCollapsed"}
    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, *arguments: object) -> None:
        text = next((value for value in arguments if isinstance(value, str)), "")
        parent = next((value for value in arguments if isinstance(value, QtWidgets.QWidget)), None)
        self._collapsed = False
        self._collapsedHeight = 8
        self._contentsFrameShape = self._contentsFrameShadow = 0
        self._contentsLineWidth, self._contentsMidLineWidth = 1, 0
        self._contents: Contents | None = None
        super().__init__(parent)
        self._contents = Contents(self)
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.toggled.connect(self._on_toggled)
        self._leave_room()

    collapsed = prop(bool, lambda self: self._collapsed, lambda self, value: self.setChecked(not value))
    collapsedHeight = stored(int, "collapsedHeight")
    contentsFrameShape = stored(int, "contentsFrameShape")
    contentsFrameShadow = stored(int, "contentsFrameShadow")
    contentsLineWidth = stored(int, "contentsLineWidth")
    contentsMidLineWidth = stored(int, "contentsMidLineWidth")

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        """Watch the children that a layout brings."""
        if event.added() and self._contents is not None and event.child() is not self._contents:
            self._contents.adopt(event.child())
        super().childEvent(event)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        """Only the head folds."""
        return position.y() < self._head()

    def sizeHint(self) -> QtCore.QSize:
        """Head and contents; the head alone while closed."""
        inner = self.layout().totalSizeHint() if self._opened() else QtCore.QSize(0, 0)
        text = self.fontMetrics().horizontalAdvance(self.text) + 2 * self._head()
        return QtCore.QSize(max(text, inner.width()), max(self._head(), inner.height()))

    def minimumSizeHint(self) -> QtCore.QSize:
        """As narrow as the contents allow."""
        inner = self.layout().totalMinimumSize() if self._opened() else QtCore.QSize(0, 0)
        return QtCore.QSize(inner.width(), max(self._head(), inner.height()))

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """A head with an arrow, and a frame."""
        painter = QtGui.QPainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._head())
        self.style().drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option, painter, self)
        arrow = QtWidgets.QStyle.PE_IndicatorArrowRight if self._collapsed else None
        option.rect = QtCore.QRect(6, self._head() // 2 - 5, 10, 10)
        self.style().drawPrimitive(arrow or QtWidgets.QStyle.PE_IndicatorArrowDown, option, painter, self)
        painter.setPen(self.palette.color(QtGui.QPalette.ButtonText))
        room = QtCore.QRect(22, 0, self.width - 22, self._head())
        painter.drawText(room, QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, self.text)
        if not self._collapsed:
            painter.setPen(self.palette.color(QtGui.QPalette.Mid))
            painter.drawRect(0, 0, self.width - 1, self.height - 1)

    def changeEvent(self, event: QtCore.QEvent) -> None:
        """The head grows with the font."""
        if event.type() in (QtCore.QEvent.FontChange, QtCore.QEvent.StyleChange):
            self._leave_room()
        super().changeEvent(event)

    def _opened(self) -> bool:
        return self.layout() is not None and not self._collapsed

    def _head(self) -> int:
        return int(self.fontMetrics().height()) + 8

    def _leave_room(self) -> None:
        self.setContentsMargins(1, self._head(), 1, 1)

    def _on_toggled(self, opened: bool) -> None:
        self._collapsed = not opened
        self._contents.fold(self._collapsed)
        self.setMaximumHeight(self._head() if self._collapsed else UNLIMITED)
        self.updateGeometry()
        self.update()
        self.contentsCollapsed.emit(self._collapsed)


@stand_in
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """CTK: a QGroupBox; properties collapsed, collapsedHeight. Checked is open."""

    def __init__(self, *arguments: object) -> None:
        title = next((value for value in arguments if isinstance(value, str)), "")
        parent = next((value for value in arguments if isinstance(value, QtWidgets.QWidget)), None)
        self._collapsedHeight = 14
        self._contents: Contents | None = None
        super().__init__(parent)
        self._contents = Contents(self)
        self.setTitle(title)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._on_toggled)

    collapsed = prop(bool, lambda self: not self.checked, lambda self, value: self.setChecked(not value))
    collapsedHeight = stored(int, "collapsedHeight")

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        """Watch the children that a layout brings."""
        if event.added() and self._contents is not None and event.child() is not self._contents:
            self._contents.adopt(event.child())
        super().childEvent(event)

    def _on_toggled(self, opened: bool) -> None:
        self._contents.fold(not opened)
        self.setMaximumHeight(UNLIMITED if opened else self.fontMetrics().height() + self._collapsedHeight)
