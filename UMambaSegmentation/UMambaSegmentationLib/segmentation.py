"""One run: from the volumes of a case to its segmentation."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.computation import Answer, Computation
from UMambaSegmentationLib.logs import log
from UMambaSegmentationLib.run import EventCallback, Run
from UMambaSegmentationLib.run_options import RunOptions
from UMambaSegmentationLib.scene.display import place_beside
from UMambaSegmentationLib.scene.edits import EditedSegments
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.grids import ijk_to_ras, size_of
from UMambaSegmentationLib.scene.merging import SameName
from UMambaSegmentationLib.scene.regions import region_options
from UMambaSegmentationLib.scene.segmentations import NOTE_ATTRIBUTE, check_output, output_note, show_result

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.engine import Engine

# Asks a person about edited segments: their names, and the function that takes the answer.
Ask = Callable[[list[str], Callable[[SameName | None], None]], None]


class Segmentation(Run):
    """A run over one volume (or one for each channel of the model)."""

    def __init__(
        self,
        *,
        callback: EventCallback | None = None,
        on_end: Callable[[Any], None] | None = None,
        ask: Ask | None = None,
    ) -> None:
        """Make a run that has not begun.

        Args:
            callback: Gets the engine's events while it runs.
            on_end: Called once, with this object, at the end.
            ask: Called when segments that the result would replace were edited while the run went on. Its
                second argument takes "replace", "beside" or None (drop the result). Without anybody to ask,
                the new segments are put beside.
        """
        super().__init__(callback=callback, on_end=on_end)
        self._ask = ask
        self._answer: Answer | None = None
        self._agreed: dict[str, str] = {}  # the work, as it was, that a person agreed to lose

    def start(
        self,
        engine: Engine,
        volumes: Sequence[slicer.vtkMRMLVolumeNode | None],
        card: Card,
        *,
        output: slicer.vtkMRMLSegmentationNode | None = None,
        region: slicer.vtkMRMLNode | None = None,
        options: RunOptions | None = None,
    ) -> None:
        """Hand the volumes to the engine; returns as soon as they are written.

        Args:
            engine: Computes.
            volumes: One for each channel, in the card's order, on one grid; None where a colour volume in the
                first place has all channels.
            card: The model.
            output: Takes the segments; None makes a new segmentation.
            region: A markups ROI, a point list (its last point counts), or None for the whole volume.
            options: How to run.

        Raises:
            SceneError: The nodes do not fit the model, each other, or the region.
            EditedSegments: The output holds segments that would be replaced and were edited.
        """
        options = options or RunOptions()
        if card.source == "available":
            raise SceneError(_("Install the model first."))
        if not volumes or volumes[0] is None:
            raise SceneError(_("Choose a volume."))
        kept = options.kept_values(card)
        if output is not None:
            try:
                check_output(output, volumes[0], card, keep=kept, same_name=options.same_name)
            except EditedSegments as edited:
                if not options.overwrite_edited:
                    raise
                self._agreed = edited.work
        box = region_options(region, volumes[0])
        self._card, self._options, self._kept = card, options, kept
        self._output_id = output.GetID() if output is not None else ""
        self._grid = _grid_of(volumes[0])
        self._begin(
            volumes,
            lambda: Computation(
                engine, card, volumes, box, options, on_event=self._tell, on_end=self._computed
            ),
        )

    def _computed(self, computation: Computation) -> None:
        if computation.error is not None:
            self._fail(computation.error)
            return
        self._answer = computation.answer
        self._show(self._options.same_name)

    def _show(self, same_name: SameName) -> None:
        """Make the nodes, and end; or ask first: what was agreed to holds for the work of that moment."""
        assert self._answer is not None
        try:
            try:
                self._make_nodes(self._answer, same_name, overwrite_edited=False)
            except EditedSegments as edited:
                if not edited.work.items() <= self._agreed.items():
                    raise
                self._make_nodes(self._answer, same_name, overwrite_edited=True)
        except EditedSegments as edited:
            if self._ask is None:
                self._show("beside")
            else:
                work = edited.work
                self._ask(list(edited.names), lambda choice: self._answered(choice, work))
        except SceneError as error:
            self._fail(error)
        except Exception as error:  # a fault of ours must end the run, not leave it running for ever
            log(traceback.format_exc())
            self._fail(error)
        else:
            self._answer = None
            self._end("done")

    def _answered(self, choice: SameName | None, work: dict[str, str]) -> None:
        if self.state != "running":  # cancelled while the question stood
            return
        if choice is None:
            self.cancel()
        else:
            self._agreed = work
            self._show(choice)

    def _make_nodes(self, answer: Answer, same_name: SameName, overwrite_edited: bool) -> None:
        volume = self._scene.GetNodeByID(self._volume_ids[0])
        if volume is None or _grid_of(volume) != self._grid:
            raise SceneError(_("The volume was changed while the run went on; run again."))
        node = show_result(
            answer.labels,
            volume,
            self._card,
            output=self._scene.GetNodeByID(self._output_id) if self._output_id else None,
            keep=self._kept,
            same_name=same_name,
            overwrite_edited=overwrite_edited,
            provenance=dict(answer.provenance),
            inputs=[self._scene.GetNodeByID(volume_id) for volume_id in self._volume_ids],
        )
        self._result_id = node.GetID()
        notes = (node.GetAttribute(NOTE_ATTRIBUTE), output_note(node, volume))
        self.warnings = [*answer.warnings, *(note for note in notes if note)]
        if not answer.labels.any():
            self.warnings.append(_("Nothing was found: check the region, and what the model needs."))
        if answer.uncertainty is not None:
            add_uncertainty(answer.uncertainty, volume)


def add_uncertainty(
    values: np.ndarray, volume: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """Show the entropy of a prediction, (K, J, I) float32, as a volume beside the one it belongs to."""
    node = slicer.util.addVolumeFromArray(
        values, ijkToRAS=ijk_to_ras(volume), name=f"{volume.GetName()} uncertainty"
    )
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    display = node.GetDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, 1.0)
    place_beside(node, volume)
    return node


def _grid_of(volume: slicer.vtkMRMLVolumeNode) -> tuple[tuple[int, int, int], list[list[float]]]:
    return size_of(volume), ijk_to_ras(volume).tolist()
