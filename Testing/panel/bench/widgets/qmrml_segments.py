"""qMRMLSegmentsTableView and qMRMLSegmentationShow3DButton: what a segmentation node holds, and shows."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .base import prop, stand_in, stored
from .qmrml_widget import qMRMLWidget

VISIBILITY, COLOR, OPACITY, NAME, LAYER, STATUS = range(6)
ID_ROLE = QtCore.Qt.UserRole + 1
SURFACE = "Closed surface"


def _observe(node: Any, events: tuple[str, ...], handler: Any) -> list[tuple[Any, int]]:
    numbers = [getattr(slicer.vtkSegmentation, name, name) for name in events]
    return [(node, node.AddObserver(number, handler)) for number in numbers] if node else []


@stand_in
class qMRMLSegmentsTableView(qMRMLWidget):
    """Slicer: a qMRMLWidget with a QTableView of visibility, color, opacity, name, layer, status.

    Visibility, colour and opacity are the display node's and the segment's own, read and written; a name or an
    opacity is edited in its cell, visibility and colour by a click (a colour dialog, which nobody could answer).
    """

    CXX_SIGNALS = {
        "selectionChanged(QItemSelection,QItemSelection)": "selectionChanged",
        "segmentAboutToBeModified(QString)": "segmentAboutToBeModified",
    }
    selectionChanged = QtCore.Signal(object, object)
    segmentAboutToBeModified = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._node: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._filling = False
        self._hidden: list[str] = []
        self._readOnly = self._filterBarVisible = self._jumpToSelectedSegmentEnabled = False
        self._textFilter = ""
        self._useTerminologySelector = True
        self._terminologySelectorOptionVisible = self._terminologySelectorAutoDisable = False
        self._useTerminologySelectorSettingsKey = "Segmentations/UseTerminologySelector"
        super().__init__(parent)
        self._model = QtGui.QStandardItemModel(0, 6, self)
        self._model.setHorizontalHeaderLabels(["", "", "Opacity", "Name", "Layer", ""])
        self._table = QtWidgets.QTableView(self)
        self._table.setModel(self._model)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.ExtendedSelection)
        self._table.verticalHeader().setVisible(False)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(QtWidgets.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(NAME, QtWidgets.QHeaderView.Stretch)
        self._table.setColumnHidden(LAYER, True)
        self._table.setColumnHidden(STATUS, True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._model.itemChanged.connect(self._on_item)
        self._table.clicked.connect(self._on_clicked)
        self._table.selectionModel().selectionChanged.connect(
            lambda chosen, left: self.selectionChanged.emit(chosen, left)
        )

    # Properties ------------------------------------------------------------------------------------------

    def _show_column(column: int) -> QtCore.Property:
        return prop(
            bool,
            lambda self: not self._table.isColumnHidden(column),
            lambda self, value: self._table.setColumnHidden(column, not value),
        )

    selectionMode = prop(
        int, lambda self: self._table.selectionMode.value, lambda self, value: self.setSelectionMode(value)
    )
    headerVisible = prop(
        bool,
        lambda self: not self._table.horizontalHeader().isHidden(),
        lambda self, value: self._table.horizontalHeader().setVisible(value),
    )
    visibilityColumnVisible = _show_column(VISIBILITY)
    colorColumnVisible = _show_column(COLOR)
    opacityColumnVisible = _show_column(OPACITY)
    layerColumnVisible = _show_column(LAYER)
    statusColumnVisible = _show_column(STATUS)
    readOnly = stored(bool, "readOnly", lambda self: self._fill())
    filterBarVisible = stored(bool, "filterBarVisible")
    textFilter = stored(str, "textFilter", lambda self: self._fill())
    jumpToSelectedSegmentEnabled = stored(bool, "jumpToSelectedSegmentEnabled")
    useTerminologySelector = stored(bool, "useTerminologySelector")
    useTerminologySelectorSettingsKey = stored(str, "useTerminologySelectorSettingsKey")
    terminologySelectorOptionVisible = stored(bool, "terminologySelectorOptionVisible")
    terminologySelectorAutoDisable = stored(bool, "terminologySelectorAutoDisable")
    segmentCount = prop(int, lambda self: self._model.rowCount())

    # Slots and invokable functions of the C++ class ------------------------------------------------------

    def segmentationNode(self) -> Any:
        """The node, or None."""
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        """Show a node's segments, and follow them."""
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._node = node if node is not None and node.IsA("vtkMRMLSegmentationNode") else None
        events = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified")
        self._observed = _observe(self._node, events, self._on_event)
        if self._node:
            event = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
            self._observed.append((self._node, self._node.AddObserver(event, self._on_event)))
        self._fill()

    def setMRMLScene(self, scene: Any) -> None:
        """A node of another scene is let go."""
        if self._node is not None and self._node.GetScene() is not scene:
            self.setSegmentationNode(None)
        super().setMRMLScene(scene)

    def tableWidget(self) -> QtWidgets.QTableView:
        """The table itself."""
        return self._table

    def setSelectionMode(self, mode: int) -> None:
        """As QAbstractItemView.SelectionMode; a number, as in the C++ class, or the name."""
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def selectedSegmentIDs(self) -> list[str]:
        """IDs of the selected rows."""
        return [index.data(ID_ROLE) for index in self._table.selectionModel().selectedRows()]

    def setSelectedSegmentIDs(self, segment_ids: list[str]) -> None:
        """Select rows by ID."""
        self._table.clearSelection()
        mode = QtCore.QItemSelectionModel.Select | QtCore.QItemSelectionModel.Rows
        for row in range(self._model.rowCount()):
            if self.segmentIDForRow(row) in segment_ids:
                self._table.selectionModel().select(self._model.index(row, 0), mode)

    def clearSelection(self) -> None:
        """Select nothing."""
        self._table.clearSelection()

    def setHideSegments(self, segment_ids: list[str]) -> None:
        """Leave segments out of the table."""
        self._hidden = list(segment_ids)
        self._fill()

    def hideSegments(self) -> list[str]:
        """IDs that are left out."""
        return list(self._hidden)

    def displayedSegmentIDs(self) -> list[str]:
        """IDs of all rows."""
        return [self.segmentIDForRow(row) for row in range(self._model.rowCount())]

    def rowForSegmentID(self, segment_id: str) -> int:
        """Row of a segment, or -1."""
        shown = self.displayedSegmentIDs()
        return shown.index(segment_id) if segment_id in shown else -1

    def segmentIDForRow(self, row: int) -> str:
        """Segment of a row."""
        return str(self._model.index(row, 0).data(ID_ROLE))

    # Rows ------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        chosen = self.selectedSegmentIDs()
        self._filling = True
        self._model.setRowCount(0)
        for segment_id in self._node.GetSegmentation().GetSegmentIDs() if self._node else ():
            name = self._node.GetSegmentation().GetSegment(segment_id).GetName() or ""
            if segment_id not in self._hidden and self._textFilter.lower() in name.lower():
                self._model.appendRow(self._items(segment_id))
        self._filling = False
        if chosen:
            self.setSelectedSegmentIDs(chosen)

    def _items(self, segment_id: str) -> list[QtGui.QStandardItem]:
        segment, display = self._node.GetSegmentation().GetSegment(segment_id), self._node.GetDisplayNode()
        visible = bool(display and display.GetSegmentVisibility(segment_id))
        opacity = display.GetSegmentOpacity3D(segment_id) if display else 1.0
        items = [QtGui.QStandardItem() for _ in range(6)]
        items[VISIBILITY].setText("◉" if visible else "○")
        items[COLOR].setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
        items[OPACITY].setText(f"{opacity:.2f}")
        items[NAME].setText(segment.GetName() or "")
        for column, item in enumerate(items):
            item.setData(segment_id, ID_ROLE)
            item.setEditable(column in (NAME, OPACITY) and not self._readOnly)
        return items

    def _on_item(self, item: QtGui.QStandardItem) -> None:
        """A cell was edited."""
        if self._filling or self._node is None:
            return
        segment_id = item.data(ID_ROLE)
        self.segmentAboutToBeModified.emit(segment_id)
        if item.column() == NAME:
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())
        elif item.column() == OPACITY and self._node.GetDisplayNode():
            self._node.GetDisplayNode().SetSegmentOpacity3D(segment_id, float(item.text()))

    def _on_clicked(self, index: QtCore.QModelIndex) -> None:
        if index.column() == VISIBILITY and self._node and self._node.GetDisplayNode():
            display, segment_id = self._node.GetDisplayNode(), index.data(ID_ROLE)
            display.SetSegmentVisibility(segment_id, not display.GetSegmentVisibility(segment_id))

    def _on_event(self, caller: Any, event: str) -> None:
        self._fill()


@stand_in
class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    """Slicer: a ctkMenuButton (a QPushButton); property locked; slot setSegmentationNode.

    Checked makes the closed surface and shows it, unchecked removes it; enabled while there are segments.
    """

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._node: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._locked = False
        super().__init__(parent)
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
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._node = node
        events = ("ModifiedEvent", "SegmentAdded", "SegmentRemoved", "ContainedRepresentationNamesModified")
        self._observed = _observe(node, events, lambda *_: self._update())
        self._update()

    def _update(self) -> None:
        segmentation = self._node.GetSegmentation() if self._node else None
        blocked = self.blockSignals(True)
        self.setEnabled(
            segmentation is not None
            and not self._locked
            and segmentation.GetNumberOfSegments() > 0
            and segmentation.GetSourceRepresentationName() != SURFACE
        )
        if segmentation is not None:
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
            if segmentation.ContainsRepresentation("Binary labelmap"):
                display.SetPreferredDisplayRepresentationName2D("Binary labelmap")
