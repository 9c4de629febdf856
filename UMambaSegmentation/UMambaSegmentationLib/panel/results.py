"""The panel's section Result: the segments in a table, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from UMambaSegmentationLib import settings
from UMambaSegmentationLib.panel import dialogs
from UMambaSegmentationLib.scene.display import edit_in_segment_editor
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.tables import segment_volumes, volumes_table

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.reporting import Report
    from UMambaSegmentationLib.state import PanelState

SHOWN, COLOR, NAME, VOLUME = range(4)
# More segments than this are scrolled.
MOST_ROWS = 8
# Pixels around the text of a row.
CELL_MARGIN = 8
# Drawing in Segment Editor changes the node many times a second; the table follows when it rests.
REST_MS = 300


class ResultsSection(VTKObservationMixin):
    """Follows the segmentation that is chosen as output; hidden while that is a new one."""

    def __init__(self, ui: SimpleNamespace, services: Services) -> None:
        """Take over the widgets of `resultSection`.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
        """
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._services = services
        self._node_id = ""
        self._segment_ids: list[str] = []
        self._showing = False
        self._report: Report | None = None
        self._rest = qt.QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._links: tuple[tuple[qt.QObject, str, Callable[..., None]], ...] = (
            (self._rest, "timeout()", self._fill),
            (ui.segmentsTable, "itemChanged(QTableWidgetItem*)", self._on_item),
            (ui.segmentsTable, "cellDoubleClicked(int,int)", self._on_double_click),
            (ui.editButton, "clicked(bool)", self._on_edit),
            (ui.tableButton, "clicked(bool)", self._on_table),
            (ui.reportButton, "clicked(bool)", self._on_report),
        )
        for sender, signal, slot in self._links:
            sender.connect(signal, slot)
        _prepare(ui.segmentsTable)
        services.state.listen(self._on_state)
        self.refresh()

    def refresh(self) -> None:
        """Show the segmentation that the state names, or hide."""
        chosen = self._services.state.state.output
        node = slicer.mrmlScene.GetNodeByID(chosen) if chosen else None
        if (node.GetID() if node is not None else "") != self._node_id:
            self._follow(node)
        self._fill()

    def close(self) -> None:
        """Let go of scene and widgets."""
        self._rest.stop()
        self.removeObservers()
        if self._report is not None:
            self._report.cancel()
        self._ui.show3DButton.setSegmentationNode(None)
        for sender, signal, slot in self._links:
            sender.disconnect(signal, slot)

    @property
    def _node(self) -> slicer.vtkMRMLSegmentationNode | None:
        return slicer.mrmlScene.GetNodeByID(self._node_id) if self._node_id else None

    def _follow(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self.removeObservers(self._on_modified)
        self._node_id = node.GetID() if node is not None else ""
        self._say("")
        self._ui.show3DButton.setSegmentationNode(node)
        if node is None:
            return
        segmentation = node.GetSegmentation()
        for event in (
            segmentation.SegmentAdded,
            segmentation.SegmentRemoved,
            segmentation.SegmentModified,
            segmentation.SegmentsOrderModified,
            segmentation.SourceRepresentationModified,
        ):
            self.addObserver(segmentation, event, self._on_modified)
        self.addObserver(node, slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, self._on_modified)

    def _on_state(self, _state: PanelState, changed: frozenset[str]) -> None:
        if "output" in changed:
            self.refresh()

    def _on_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        if not self._showing:
            self._rest.start()

    def _fill(self) -> None:
        """Write the table anew; the section is there while there are segments."""
        self._rest.stop()
        node = self._node
        rows = segment_volumes(node) if node is not None else []
        self._segment_ids = [row[0] for row in rows]
        self._ui.resultSection.visible = bool(rows)
        self._showing = True
        try:
            self._ui.segmentsTable.setRowCount(len(rows))
            for index, (segment_id, name, _voxels, millilitres) in enumerate(rows):
                self._fill_row(index, segment_id, name, millilitres)
        finally:
            self._showing = False
        _fit(self._ui.segmentsTable)

    def _fill_row(self, row: int, segment_id: str, name: str, millilitres: float) -> None:
        node = self._node
        assert node is not None
        display = node.GetDisplayNode()
        shown = _cell(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
        visible = display is not None and display.GetSegmentVisibility(segment_id)
        shown.setCheckState(qt.Qt.Checked if visible else qt.Qt.Unchecked)
        shown.setToolTip(_("Shown or hidden in all views."))
        color = _cell(qt.Qt.ItemIsEnabled)
        color.setBackground(qt.QBrush(_color(node, segment_id)))
        color.setToolTip(_("Colour of the segment. Double-click to change it."))
        label = _cell(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsEditable | qt.Qt.ItemIsSelectable, name)
        label.setToolTip(name)
        volume = _cell(qt.Qt.ItemIsEnabled, f"{millilitres:.2f}")
        volume.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        for column, item in ((SHOWN, shown), (COLOR, color), (NAME, label), (VOLUME, volume)):
            self._ui.segmentsTable.setItem(row, column, item)

    def _on_item(self, item: qt.QTableWidgetItem) -> None:
        """A check box was clicked or a name was typed."""
        node = self._node
        if self._showing or node is None or item.row() >= len(self._segment_ids):
            return
        segment_id = self._segment_ids[item.row()]
        segment = node.GetSegmentation().GetSegment(segment_id)
        if segment is None:
            return
        if item.column() == SHOWN and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetSegmentVisibility(segment_id, item.checkState() == qt.Qt.Checked)
        elif item.column() == NAME and item.text().strip():
            segment.SetName(item.text().strip())
        self._fill()

    def _on_double_click(self, row: int, column: int) -> None:
        node = self._node
        if column != COLOR or node is None or row >= len(self._segment_ids):
            return
        segment_id = self._segment_ids[row]
        before = _color(node, segment_id)
        chosen = dialogs.choose_color(
            self._ui.segmentsTable,
            _("Colour of the segment"),
            (before.red(), before.green(), before.blue()),
        )
        segment = node.GetSegmentation().GetSegment(segment_id)
        if chosen is not None and segment is not None:
            segment.SetColor([part / 255.0 for part in chosen])

    def _on_edit(self) -> None:
        node = self._node
        if node is not None and not edit_in_segment_editor(node, _volume_of(node)):
            self._say(_("Segment Editor cannot be opened here."))

    def _on_table(self) -> None:
        if self._node is not None:
            table = volumes_table(self._node)
            self._say(_("The volumes were written to the table {name}.").format(name=table.GetName()))

    def _on_report(self) -> None:
        node = self._node
        if node is None:
            return
        offered = str(settings.last_folder() / "report.html")
        file = dialogs.save_file(
            self._ui.reportButton, _("Save the report"), offered, _("Web pages") + " (*.html)"
        )
        if file is None:
            return
        settings.set_last_folder(file.parent)
        try:
            self._report = self._services.logic.startReport(node, file, self._on_report_end)
        except (SceneError, OSError) as error:
            self._say(str(error))
            return
        self._say(_("Drawing the pictures..."))
        self._ui.reportButton.enabled = False

    def _on_report_end(self, message: str) -> None:
        self._report = None
        self._ui.reportButton.enabled = True
        self._say(message)

    def _say(self, message: str) -> None:
        self._ui.resultStatusLabel.text = message
        self._ui.resultStatusLabel.visible = bool(message)


def _prepare(table: qt.QTableWidget) -> None:
    table.setColumnCount(4)
    table.setHorizontalHeaderLabels(["", "", _("Name"), _("ml")])
    table.verticalHeader().setVisible(False)
    table.setEditTriggers(qt.QAbstractItemView.DoubleClicked | qt.QAbstractItemView.EditKeyPressed)
    header = table.horizontalHeader()
    for column in (SHOWN, COLOR, VOLUME):
        header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
    header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)


def _fit(table: qt.QTableWidget) -> None:
    """As high as its rows, up to a few."""
    row = table.fontMetrics().height() + CELL_MARGIN
    table.verticalHeader().setDefaultSectionSize(row)
    header = table.horizontalHeader()
    header.setFixedHeight(row)
    table.setFixedHeight(min(max(table.rowCount, 1), MOST_ROWS) * row + row + 2 * table.frameWidth)


def _cell(flags: object, text: str = "") -> qt.QTableWidgetItem:
    item = qt.QTableWidgetItem(text)
    item.setFlags(flags)
    return item


def _color(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> qt.QColor:
    return qt.QColor(
        *(round(255 * part) for part in node.GetSegmentation().GetSegment(segment_id).GetColor())
    )


def _volume_of(node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    return node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
