"""Where to segment: the whole volume, a box, or around a point that the person clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.util import VTKObservationMixin

if TYPE_CHECKING:
    from types import SimpleNamespace

    import vtk

    from UMambaSegmentationLib.cards import Card
    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.state import PanelState

BOX_NAME = "UMamba box"
POINT_NAME = "UMamba point"
POINT_CLASS = "vtkMRMLMarkupsFiducialNode"


class Region(VTKObservationMixin):
    """The region's selector and its two buttons."""

    def __init__(
        self, ui: SimpleNamespace, services: Services, moved: Callable[[], None], placed: Callable[[], None]
    ) -> None:
        """Take over the widgets.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
            moved: Called when the chosen region's box or points were moved.
            placed: Called when the person has placed the point that the Point button asked for.
        """
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._services = services
        self._moved = moved
        self._placed = placed
        self._watched = ""
        self._placing = ""
        ui.regionSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_chosen)
        services.state.listen(self._on_state)

    @property
    def node(self) -> slicer.vtkMRMLMarkupsNode | None:
        """A markups ROI, a point list, or None for the whole volume."""
        return self._ui.regionSelector.currentNode()

    def add_box(self, volume: slicer.vtkMRMLScalarVolumeNode, card: Card | None) -> None:
        """Make a box in the middle of the volume, as large as what the model knows, and choose it."""
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        extent = [bounds[2 * axis + 1] - bounds[2 * axis] for axis in range(3)]
        wanted = card.field_of_view if card is not None and card.field_of_view else [e / 2 for e in extent]
        box = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLMarkupsROINode", slicer.mrmlScene.GenerateUniqueName(BOX_NAME)
        )
        box.CreateDefaultDisplayNodes()
        box.SetCenter([(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)])
        box.SetSize([float(min(wanted[axis], extent[axis])) for axis in range(3)])
        self._services.state.write(region=box.GetID())

    def start_placing(self) -> None:
        """Let the next click in a view place the point."""
        self.stop_placing()
        node = self._point_node()
        self._placing = node.GetID()
        self.addObserver(node, node.PointPositionDefinedEvent, self._on_point)
        selection, interaction = _placing_nodes()
        selection.SetReferenceActivePlaceNodeClassName(POINT_CLASS)
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self.addObserver(interaction, interaction.InteractionModeChangedEvent, self._on_mode)
        self._ui.pointButton.checked = True

    def stop_placing(self) -> None:
        """Give the mouse back; nothing happens if no point is awaited."""
        if not self._placing:
            return
        node = slicer.mrmlScene.GetNodeByID(self._placing)
        self._placing = ""
        _selection, interaction = _placing_nodes()
        if node is not None:
            self.removeObserver(node, node.PointPositionDefinedEvent, self._on_point)
        if interaction is not None:
            self.removeObserver(interaction, interaction.InteractionModeChangedEvent, self._on_mode)
            if interaction.GetCurrentInteractionMode() == interaction.Place:
                interaction.SwitchToViewTransformMode()
        self._ui.pointButton.checked = False

    def show_state(self) -> None:
        """Bring the selector in line with the state."""
        chosen = self._services.state.state.region
        node = slicer.mrmlScene.GetNodeByID(chosen) if chosen else None
        if self.node != node:
            self._ui.regionSelector.setCurrentNode(node)
        self._watch(node)

    def close(self) -> None:
        """Let go of nodes and widgets."""
        self.stop_placing()
        self.removeObservers()
        self._ui.regionSelector.disconnect("currentNodeChanged(vtkMRMLNode*)", self._on_chosen)

    def _point_node(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        """Ours of an earlier click if it is still there: a new click moves the point."""
        for node in slicer.util.getNodesByClass(POINT_CLASS):
            if node.GetAttribute("UMamba.Point"):
                return node
        node = slicer.mrmlScene.AddNewNodeByClass(POINT_CLASS, POINT_NAME)
        node.CreateDefaultDisplayNodes()
        node.SetAttribute("UMamba.Point", "1")
        return node

    def _on_chosen(self) -> None:
        if not slicer.mrmlScene.IsBatchProcessing():
            self._services.state.write(region=self.node.GetID() if self.node is not None else None)

    def _on_state(self, _state: PanelState, changed: frozenset[str]) -> None:
        if "region" in changed:
            self.show_state()

    def _watch(self, node: slicer.vtkMRMLMarkupsNode | None) -> None:
        """Hear of the chosen region's moves; of its points as well as of its box."""
        if self._watched == (node.GetID() if node is not None else ""):
            return
        before = slicer.mrmlScene.GetNodeByID(self._watched) if self._watched else None
        if before is not None:
            for event in _moves(before):
                self.removeObserver(before, event, self._on_moved)
        self._watched = node.GetID() if node is not None else ""
        if node is not None:
            for event in _moves(node):
                self.addObserver(node, event, self._on_moved)

    def _on_moved(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._moved()

    def _on_mode(self, caller: vtk.vtkObject, _event: str) -> None:
        if caller.GetCurrentInteractionMode() != caller.Place:
            # After the point's own event, should that be on its way.
            qt.QTimer.singleShot(0, self.stop_placing)

    def _on_point(self, _caller: vtk.vtkObject, _event: str) -> None:
        # The view is in the middle of placing: what follows waits until it is done.
        qt.QTimer.singleShot(0, self._use_point)

    def _use_point(self) -> None:
        node = slicer.mrmlScene.GetNodeByID(self._placing) if self._placing else None
        if node is None:
            return
        self.stop_placing()
        placed = [
            index
            for index in range(node.GetNumberOfControlPoints())
            if node.GetNthControlPointPositionStatus(index) == node.PositionDefined
        ]
        for index in reversed(placed[:-1]):
            node.RemoveNthControlPoint(index)
        self._services.state.write(region=node.GetID())
        self._placed()


def _moves(node: slicer.vtkMRMLMarkupsNode) -> tuple[int, ...]:
    return (
        node.PointModifiedEvent,
        node.PointAddedEvent,
        node.PointRemovedEvent,
        slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
    )


def _placing_nodes() -> tuple[slicer.vtkMRMLSelectionNode, slicer.vtkMRMLInteractionNode]:
    logic = slicer.app.applicationLogic()
    return logic.GetSelectionNode(), logic.GetInteractionNode()
