"""The panel's section Output: where the segments go, and which of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.cards import Card
    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.state import PanelState

# More structures than this are scrolled.
MOST_ROWS = 6


class OutputsSection:
    """New or existing segmentation, segments of the same name, structures to keep."""

    def __init__(self, ui: SimpleNamespace, services: Services) -> None:
        """Take over the widgets of `outputSection`.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
        """
        self._ui = ui
        self._services = services
        self._card: Card | None = None
        self._showing = False
        self._changed: list[Callable[[], None]] = []
        ui.sameNameSelector.addItem(_("Replace"), "replace")
        ui.sameNameSelector.addItem(_("Add beside"), "beside")
        ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_output)
        ui.sameNameSelector.connect("currentIndexChanged(int)", self._on_same_name)
        ui.structuresList.connect("itemChanged(QListWidgetItem*)", self._on_structure)
        ui.allStructuresButton.connect("clicked(bool)", self._on_all)
        ui.noStructuresButton.connect("clicked(bool)", self._on_none)
        services.state.listen(self._on_state)

    @property
    def node(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The chosen segmentation; None for a new one."""
        return self._ui.outputSelector.currentNode()

    @property
    def nothing_kept(self) -> bool:
        """Whether every structure is unchecked."""
        return self._card is not None and self._services.state.state.keep.get(self._card.id) == ()

    def set_card(self, card: Card | None) -> None:
        """List the structures of this model."""
        if card == self._card:
            self.refresh()
            return
        self._card = card
        several = card is not None and len(card.labels) > 1
        self._ui.structuresLabel.visible = several
        self._ui.structuresButtons.visible = several
        self._ui.structuresList.visible = several
        self._showing = True
        try:
            self._ui.structuresList.clear()
            for label in card.labels if card is not None else ():
                item = qt.QListWidgetItem(label.name)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
                item.setIcon(_patch(label.color))
                item.setToolTip(label.name)
                self._ui.structuresList.addItem(item)
        finally:
            self._showing = False
        self._fit_list()
        self.refresh()

    def set_frames(self, all_frames: bool) -> None:
        """A sequence of segmentations is always a new one."""
        self._ui.outputSelector.enabled = not all_frames
        self._ui.sameNameSelector.enabled = not all_frames

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after a change."""
        self._changed.append(callback)

    def refresh(self) -> None:
        """Bring the widgets in line with the state."""
        state = self._services.state.state
        node = slicer.mrmlScene.GetNodeByID(state.output) if state.output else None
        self._showing = True
        try:
            if self.node != node:
                self._ui.outputSelector.setCurrentNode(node)
            self._ui.sameNameSelector.setCurrentIndex(self._ui.sameNameSelector.findData(state.same_name))
            kept = state.keep.get(self._card.id) if self._card is not None else None
            for row, label in enumerate(self._card.labels if self._card is not None else ()):
                checked = kept is None or label.value in kept
                self._ui.structuresList.item(row).setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
        finally:
            self._showing = False
        self._ui.sameNameLabel.visible = node is not None
        self._ui.sameNameSelector.visible = node is not None
        for callback in list(self._changed):
            callback()

    def close(self) -> None:
        """Let go of the widgets."""
        self._changed.clear()
        self._ui.outputSelector.disconnect("currentNodeChanged(vtkMRMLNode*)", self._on_output)
        self._ui.sameNameSelector.disconnect("currentIndexChanged(int)", self._on_same_name)
        self._ui.structuresList.disconnect("itemChanged(QListWidgetItem*)", self._on_structure)
        self._ui.allStructuresButton.disconnect("clicked(bool)", self._on_all)
        self._ui.noStructuresButton.disconnect("clicked(bool)", self._on_none)

    def _on_state(self, _state: PanelState, changed: frozenset[str]) -> None:
        if changed & {"output", "same_name", "keep"}:
            self.refresh()

    def _on_output(self) -> None:
        if not self._showing and not slicer.mrmlScene.IsBatchProcessing():
            self._services.state.write(output=self.node.GetID() if self.node is not None else None)

    def _on_same_name(self) -> None:
        if not self._showing:
            self._services.state.write(same_name=self._ui.sameNameSelector.currentData)

    def _on_structure(self) -> None:
        if self._showing or self._card is None:
            return
        self._keep(
            tuple(
                label.value
                for row, label in enumerate(self._card.labels)
                if self._ui.structuresList.item(row).checkState() == qt.Qt.Checked
            )
        )

    def _on_all(self) -> None:
        if self._card is not None:
            self._keep(tuple(label.value for label in self._card.labels))

    def _on_none(self) -> None:
        self._keep(())

    def _keep(self, values: tuple[int, ...]) -> None:
        """Remember what to keep for this model; all is remembered as nothing said."""
        if self._card is None:
            return
        keep = {key: kept for key, kept in self._services.state.state.keep.items() if key != self._card.id}
        if len(values) < len(self._card.labels):
            keep[self._card.id] = values
        self._services.state.write(keep=keep)

    def _fit_list(self) -> None:
        """As high as its rows, up to a few: neither an empty frame nor a second panel."""
        rows = self._ui.structuresList.count
        height = max(
            self._ui.structuresList.sizeHintForRow(0), self._ui.structuresList.fontMetrics().height()
        )
        self._ui.structuresList.setFixedHeight(min(max(rows, 1), MOST_ROWS) * height + 6)


def _patch(color: tuple[int, int, int]) -> qt.QIcon:
    picture = qt.QPixmap(12, 12)
    picture.fill(qt.QColor(*color))
    return qt.QIcon(picture)
