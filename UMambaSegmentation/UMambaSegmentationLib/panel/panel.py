"""The panel: its sections, and what one tells the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from UMambaSegmentationLib import settings
from UMambaSegmentationLib.client.engine import shared_engine
from UMambaSegmentationLib.panel.advanced import AdvancedSection
from UMambaSegmentationLib.panel.case import Case
from UMambaSegmentationLib.panel.inputs import InputsSection
from UMambaSegmentationLib.panel.models import ModelsSection
from UMambaSegmentationLib.panel.outputs import OutputsSection
from UMambaSegmentationLib.panel.results import ResultsSection
from UMambaSegmentationLib.panel.run import RunSection
from UMambaSegmentationLib.panel.services import Services
from UMambaSegmentationLib.panel.setup import SetupSection
from UMambaSegmentationLib.run_options import RunOptions
from UMambaSegmentationLib.scene.segmentations import INPUT_ROLE
from UMambaSegmentationLib.state import PanelState, StateNode

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentation import UMambaSegmentationLogic
    from UMambaSegmentationLib.run import Run


class Panel(VTKObservationMixin):
    """Made once in the widget's setup(), closed in its cleanup()."""

    _open = 0  # panels that share the engine

    def __init__(self, ui: SimpleNamespace, logic: UMambaSegmentationLogic) -> None:
        """Fill the panel.

        Args:
            ui: The panel's widgets by their names.
            logic: What the console uses too.
        """
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._node = logic.getParameterNode()
        self.services = Services(
            engine=shared_engine(),
            logic=logic,
            state=StateNode(self._node),
            say=self._say,
            busy=self._busy,
            show_setup=self._show_setup,
        )
        self.run: RunSection | None = None
        self.setup = SetupSection(ui, self.services)
        self.models = ModelsSection(ui, self.services)
        self.inputs = InputsSection(ui, self.services)
        self.outputs = OutputsSection(ui, self.services)
        self.advanced = AdvancedSection(ui, self.services)
        self.run = RunSection(ui, self.services, self.case)
        self.results = ResultsSection(ui, self.services)
        self._connect()
        self._use_card()
        Panel._open += 1

    def case(self) -> Case:
        """The choices of the moment."""
        card = self.models.card
        ready = self.setup.ready
        if not ready:
            missing = _("The engine is not installed yet.")
        elif card is None:
            missing = _("Choose a model.")
        elif card.source == "available":
            missing = _("Install the model first.")
        elif self.inputs.missing:
            missing = self.inputs.missing
        elif self.outputs.nothing_kept:
            missing = _("Choose at least one structure.")
        else:
            missing = ""
        return Case(
            missing=missing,
            needs_setup=not ready,
            card=card,
            volumes=tuple(self.inputs.channels.volumes()),
            region=self.inputs.region.node,
            output=None if self.inputs.all_frames else self.outputs.node,
            all_frames=self.inputs.all_frames,
            options=self._options(),
        )

    def refresh(self) -> None:
        """Look again at everything that may have changed while nobody looked."""
        if self._node.GetScene() is None:  # somebody removed it
            slicer.mrmlScene.AddNode(self._node)
        self.setup.refresh()
        self.models.refresh()
        self._use_card()

    def leave(self) -> None:
        """The person goes to another module: a click in a view is no longer for us."""
        self.inputs.region.stop_placing()

    def close(self) -> None:
        """Cancel the run; let go of scene, widgets, engine."""
        self.removeObservers()
        sections = (self.run, self.results, self.advanced, self.outputs, self.inputs, self.models, self.setup)
        for section in sections:
            if section is not None:
                section.close()
        self.services.state.close()
        Panel._open -= 1
        if not Panel._open:  # else another panel's run would end
            self.services.engine.close()

    def _connect(self) -> None:
        assert self.run is not None
        self.models.on_change(self._use_card)
        self.setup.on_change(self.run.choices_changed)
        self.inputs.on_change(self._on_inputs)
        self.outputs.on_change(self.run.choices_changed)
        self.advanced.on_change(self.run.choices_changed)
        self.inputs.on_point(self.run.start)
        self.run.on_ready(self.inputs.offer_point)
        self.run.on_end(self._use_result)
        self.services.state.listen(self._on_state)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.EndBatchProcessEvent, self._on_scene_changed)

    def _on_state(self, state: PanelState, changed: frozenset[str]) -> None:
        """Another image was chosen: its segments do not take the place of those of the one before."""
        if "inputs" not in changed or "output" in changed or not state.output or not any(state.inputs[:1]):
            return
        output = slicer.mrmlScene.GetNodeByID(state.output)
        made_of = output.GetNodeReferenceID(INPUT_ROLE) if output is not None else None
        if made_of and made_of != state.inputs[0]:
            self.services.state.write(output=None)

    def _on_inputs(self) -> None:
        assert self.run is not None
        self.outputs.set_frames(self.inputs.all_frames)
        self.run.choices_changed()

    def _use_card(self) -> None:
        card = self.models.card
        if card is not None:
            self.services.state.write(model=card.id)
        self.inputs.set_card(card)
        self.outputs.set_card(card)
        self.advanced.set_card(card)
        self.results.refresh()

    def _use_result(self, run: Run) -> None:
        if run.state == "done" and run.node is not None:
            self.services.state.write(output=run.node.GetID())
            self.results.refresh()

    def _options(self) -> RunOptions:
        state = self.services.state.state
        return RunOptions(
            device=state.device or settings.device(),
            folds=list(state.folds) or None,
            mirror=state.mirror,
            step=state.step,
            threads=state.threads,
            max_memory=state.max_memory,
            uncertainty=state.uncertainty,
            labels=state.keep.get(state.model),
            same_name=state.same_name,
        )

    def _on_scene_changed(self, _caller: vtk.vtkObject, _event: str) -> None:
        """A scene was read or closed: its own choices, or none."""
        self.refresh()

    def _say(self, message: str) -> None:
        if self.run is not None:
            self.run.say(message)

    def _busy(self) -> bool:
        return self.run is not None and self.run.running

    def _show_setup(self) -> None:
        section = self._ui.setupSection
        section.collapsed = False
        self._ui.installButton.setFocus()
        area = section.parentWidget()
        while area is not None and not area.inherits("QScrollArea"):
            area = area.parentWidget()
        if area is not None:  # once the section has its height
            qt.QTimer.singleShot(0, lambda: area.ensureWidgetVisible(section))
