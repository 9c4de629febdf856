"""The panel's section Input: volumes, region, and what should be known about them before a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from UMambaSegmentationLib.panel.channels import Channels
from UMambaSegmentationLib.panel.region import Region
from UMambaSegmentationLib.scene.checks import notes
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.grids import resample_to, same_grid
from UMambaSegmentationLib.scene.sequences import frames_of

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.cards import Card
    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.state import PanelState

# A box that is dragged, a volume that is loaded: notes are made once they have come to rest.
REST_MS = 250


class InputsSection(VTKObservationMixin):
    """Which volumes, where in them, and which frames."""

    def __init__(self, ui: SimpleNamespace, services: Services) -> None:
        """Take over the widgets of `inputSection`.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
        """
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._services = services
        self._card: Card | None = None
        self._mismatch = False
        self._is_sequence = False
        self._changed: list[Callable[[], None]] = []
        self._point: list[Callable[[], None]] = []
        self.channels = Channels(ui, services)
        self.region = Region(ui, services, self._come_to_rest, self._on_placed)
        self._rest = qt.QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.connect("timeout()", self.refresh)
        ui.roiButton.connect("clicked(bool)", self._on_box)
        ui.pointButton.connect("clicked(bool)", self._on_point)
        ui.sequenceCheckBox.connect("toggled(bool)", self._on_frames)
        ui.resampleButton.connect("clicked(bool)", self._on_resample)
        services.state.listen(self._on_state)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self._on_node_added)

    @property
    def missing(self) -> str:
        """What the person should do about the volumes before a run; empty if nothing."""
        volumes = self.channels.volumes()
        if volumes[0] is None:
            return _("Load or choose a volume.")
        if not self.channels.complete:
            return _("Choose a volume for each channel.")
        if self._mismatch:
            return _("The channels lie on different grids: resample them to the first.")
        return ""

    @property
    def all_frames(self) -> bool:
        """Whether each frame of the sequence is wanted."""
        return self._is_sequence and self._services.state.state.all_frames

    def set_card(self, card: Card | None) -> None:
        """Show what this model needs."""
        self._card = card
        self.channels.set_card(card)
        self.refresh()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after a change of volumes, region or frames."""
        self._changed.append(callback)

    def on_point(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when the person has clicked the point around which to run."""
        self._point.append(callback)

    def refresh(self) -> None:
        """Bring all widgets in line with the state and the scene."""
        self._rest.stop()
        self.channels.show_state()
        self.region.show_state()
        volume = self.channels.volumes()[0]
        self._is_sequence = frames_of(volume) is not None
        self._ui.sequenceCheckBox.visible = self._is_sequence
        self._ui.sequenceCheckBox.checked = self._services.state.state.all_frames
        self._show_notes()
        self._ui.roiButton.enabled = volume is not None
        for callback in list(self._changed):
            callback()

    def offer_point(self, ready: bool) -> None:
        """A point starts a run: it is offered only while one could begin."""
        self._ui.pointButton.enabled = ready

    def close(self) -> None:
        """Let go of scene and widgets."""
        self._rest.stop()
        self._rest.disconnect("timeout()", self.refresh)
        self._changed.clear()
        self._point.clear()
        self.removeObservers()
        self.region.close()
        self.channels.close()
        self._ui.roiButton.disconnect("clicked(bool)", self._on_box)
        self._ui.pointButton.disconnect("clicked(bool)", self._on_point)
        self._ui.sequenceCheckBox.disconnect("toggled(bool)", self._on_frames)
        self._ui.resampleButton.disconnect("clicked(bool)", self._on_resample)

    def _show_notes(self) -> None:
        first, *others = self.channels.volumes()
        self._mismatch = first is not None and any(
            volume is not None and same_grid(first, volume) is not None for volume in others
        )
        try:
            lines = notes(self._card, [first, *others], self.region.node) if self._card is not None else []
        except SceneError as error:
            lines = [str(error)]
        self._ui.resampleButton.visible = self._mismatch
        self._ui.inputNotesLabel.text = "\n".join(lines)
        self._ui.inputNotesLabel.visible = bool(lines)

    def _come_to_rest(self) -> None:
        self._rest.start()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, _caller: vtk.vtkObject, _event: str, node: vtk.vtkObject) -> None:
        if node.IsA("vtkMRMLScalarVolumeNode"):
            # A reader adds the node first and its voxels after.
            qt.QTimer.singleShot(0, self._fill)

    def _fill(self) -> None:
        if self._changed:  # not closed meanwhile
            self.channels.fill()

    def _on_state(self, _state: PanelState, changed: frozenset[str]) -> None:
        if changed & {"inputs", "region", "all_frames"}:
            self.refresh()

    def _on_frames(self, checked: bool) -> None:
        self._services.state.write(all_frames=bool(checked))

    def _on_box(self) -> None:
        volume = self.channels.volumes()[0]
        if volume is not None:
            self.region.add_box(volume, self._card)

    def _on_point(self, checked: bool) -> None:
        if checked:
            self.region.start_placing()
            self._services.say(_("Click a point in a slice view; the model runs there at once."))
        else:
            self.region.stop_placing()
            self._services.say("")

    def _on_placed(self) -> None:
        for callback in list(self._point):
            callback()

    def _on_resample(self) -> None:
        first, *others = self.channels.volumes()
        try:
            copies = [
                volume if volume is None or not same_grid(first, volume) else resample_to(volume, first)
                for volume in others
            ]
        except SceneError as error:
            self._services.say(str(error))
            return
        self.channels.use([first, *copies])
