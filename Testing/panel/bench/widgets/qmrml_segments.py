"""qMRMLSegmentsTableView: the segments of a segmentation node, one row each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .base import prop, stand_in, stored
from .observers import Observers
from .qmrml_widget import qMRMLWidget

VISIBILITY, COLOR, OPACITY, NAME, LAYER, STATUS = range(6)
ID_ROLE = QtCore.Qt.UserRole + 1
EVENTS = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified")


def _column_shown(column: int) -> QtCore.Property:
    return prop(
        bool,
        lambda self: not self._table.isColumnHidden(column),
        lambda self, value: self._table.setColumnHidden(column, not value),
    )


@stand_in
class qMRMLSegmentsTableView(qMRMLWidget):
    """Slicer: a qMRMLWidget with a QTableView of visibility, color, opacity, name, layer, status.

    Visibility and opacity are the display node's, color and name the segment's: read, followed, and written.
    A name or opacity is edited in its cell, visibility by a click; a color needs a dialog.
    """

    CXX_SIGNALS = {
        "selectionChanged(QItemSelection,QItemSelection)": "selectionChanged",
        "segmentAboutToBeModified(QString)": "segmentAboutToBeModified",
    }
    selectionChanged = QtCore.Signal(object, object)
    segmentAboutToBeModified = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._node: Any = None
        self._filling = False
        self._hidden: list[str] = []
        self._readOnly = self._filterBarVisible = self._jumpToSelectedSegmentEnabled = False
        self._textFilter = ""
        self._useTerminologySelector = True
        self._terminologySelectorOptionVisible = self._terminologySelectorAutoDisable = False
        self._useTerminologySelectorSettingsKey = "Segmentations/UseTerminologySelector"
        super().__init__(parent)
        self._observers = Observers(self)
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
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._model.itemChanged.connect(self._on_item)
        self._table.clicked.connect(self._on_clicked)
        self._table.selectionModel().selectionChanged.connect(
            lambda chosen, left: self.selectionChanged.emit(chosen, left)
        )

    # Properties ------------------------------------------------------------------------------------------

    selectionMode = prop(
        int, lambda self: self._table.selectionMode.value, lambda self, value: self.setSelectionMode(value)
    )
    headerVisible = prop(
        bool,
        lambda self: not self._table.horizontalHeader().isHidden(),
        lambda self, value: self._table.horizontalHeader().setVisible(value),
    )
    visibilityColumnVisible = _column_shown(VISIBILITY)
    colorColumnVisible = _column_shown(COLOR)
    opacityColumnVisible = _column_shown(OPACITY)
    layerColumnVisible = _column_shown(LAYER)
    statusColumnVisible = _column_shown(STATUS)
    readOnly = stored(bool, "readOnly", lambda self: self._rebuild())
    filterBarVisible = stored(bool, "filterBarVisible")
    textFilter = stored(str, "textFilter", lambda self: self._rebuild())
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
        """Show a node's segments, and follow them; anything but a segmentation is none."""
        self._observers.clear()
        self._node = node if node is not None and node.IsA("vtkMRMLSegmentationNode") else None
        if self._node is not None:
            for name in EVENTS:
                number = getattr(slicer.vtkSegmentation, name)
                self._observers.add(self._node, number, self._on_segment, "string0")
            number = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
            self._observers.add(self._node, number, self._on_display)
        self._rebuild()

    def setMRMLScene(self, scene: Any) -> None:
        """A node of another scene is let go."""
        if self._node is not None and self._node.GetScene() is not scene:
            self.setSegmentationNode(None)
        super().setMRMLScene(scene)

    def tableWidget(self) -> QtWidgets.QTableView:
        """The table itself."""
        return self._table

    def setSelectionMode(self, mode: int) -> None:
        """As QAbstractItemView.SelectionMode; a number in the C++ class."""
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def selectedSegmentIDs(self) -> list[str]:
        """IDs of the selected rows."""
        return [index.data(ID_ROLE) for index in self._table.selectionModel().selectedRows()]

    def setSelectedSegmentIDs(self, segment_ids: Iterable[str]) -> None:
        """Select rows by ID."""
        self._table.clearSelection()
        mode = QtCore.QItemSelectionModel.Select | QtCore.QItemSelectionModel.Rows
        for segment_id in segment_ids:
            row = self.rowForSegmentID(segment_id)
            if row >= 0:
                self._table.selectionModel().select(self._model.index(row, 0), mode)

    def clearSelection(self) -> None:
        """Select nothing."""
        self._table.clearSelection()

    def setHideSegments(self, segment_ids: Iterable[str]) -> None:
        """Leave segments out of the table."""
        self._hidden = list(segment_ids)
        self._rebuild()

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

    def _wanted(self) -> list[str]:
        """Segments to be shown, in order."""
        if self._node is None:
            return []
        segmentation, text = self._node.GetSegmentation(), self._textFilter.lower()
        every = [name for name in segmentation.GetSegmentIDs() if name not in self._hidden]
        return [
            name
            for name in every
            if not text or text in (segmentation.GetSegment(name).GetName() or "").lower()
        ]

    def _rebuild(self) -> None:
        chosen = self.selectedSegmentIDs()
        self._filling = True
        self._model.setRowCount(0)
        for segment_id in self._wanted():
            self._insert(segment_id, self._model.rowCount())
        self._filling = False
        self.setSelectedSegmentIDs(chosen)

    def _insert(self, segment_id: str, row: int) -> None:
        items = [QtGui.QStandardItem() for _ in range(6)]
        for column, item in enumerate(items):
            item.setData(segment_id, ID_ROLE)
            item.setEditable(column in (NAME, OPACITY) and not self._readOnly)
        self._model.insertRow(row, items)
        self._write(segment_id, row)

    def _write(self, segment_id: str, row: int) -> None:
        """Write the node's present values into a row."""
        filling, self._filling = self._filling, True
        segment, display = self._node.GetSegmentation().GetSegment(segment_id), self._node.GetDisplayNode()
        if display is None:
            QtCore.qCritical("qMRMLSegmentsModel: the segmentation has no display node")
        else:
            visible = display.GetSegmentVisibility(segment_id)
            self._model.item(row, VISIBILITY).setText("◉" if visible else "○")
            self._model.item(row, OPACITY).setText(f"{display.GetSegmentOpacity3D(segment_id):.2f}")
        self._model.item(row, COLOR).setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
        self._model.item(row, NAME).setText(segment.GetName() or "")
        self._filling = filling

    # Events ----------------------------------------------------------------------------------------------

    def _on_segment(self, node: Any, event: str, segment_id: str = "") -> None:
        """One segment by its ID; after a bulk change all of them, as in the C++ class."""
        row = self.rowForSegmentID(segment_id) if segment_id else -1
        there = bool(segment_id) and node.GetSegmentation().GetSegment(segment_id) is not None
        if row >= 0 and there and not self._textFilter:
            self._write(segment_id, row)
        elif row < 0 and there and self._wanted()[-1:] == [segment_id]:
            self._insert(segment_id, self._model.rowCount())
        else:
            self._rebuild()

    def _on_display(self, node: Any, event: str) -> None:
        for row, segment_id in enumerate(self.displayedSegmentIDs()):
            if node.GetSegmentation().GetSegment(segment_id) is not None:
                self._write(segment_id, row)

    def _on_item(self, item: QtGui.QStandardItem) -> None:
        """A cell was edited."""
        if self._filling or self._node is None:
            return
        segment_id = item.data(ID_ROLE)
        if item.column() == NAME:
            self.segmentAboutToBeModified.emit(segment_id)
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())
        elif item.column() == OPACITY and self._node.GetDisplayNode():
            self._node.GetDisplayNode().SetSegmentOpacity3D(segment_id, float(item.text()))

    def _on_clicked(self, index: QtCore.QModelIndex) -> None:
        if index.column() == VISIBILITY and self._node and self._node.GetDisplayNode():
            display, segment_id = self._node.GetDisplayNode(), index.data(ID_ROLE)
            display.SetSegmentVisibility(segment_id, not display.GetSegmentVisibility(segment_id))
