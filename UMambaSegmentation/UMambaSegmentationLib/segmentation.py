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
from UMambaSegmentationLib.run_options import RunOptions, SameName
from UMambaSegmentationLib.scene.edits import edited_segments
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.grids import same_grid
from UMambaSegmentationLib.scene.regions import region_options
from UMambaSegmentationLib.scene.segmentations import EditedSegments, show_result

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
        self._grid: tuple[tuple[int, ...], np.ndarray] | None = None
        self._answer: Answer | None = None

    def start(
        self,
        engine: Engine,
        volumes: Sequence[slicer.vtkMRMLScalarVolumeNode],
        card: Card,
        *,
        output: slicer.vtkMRMLSegmentationNode | None = None,
        region: slicer.vtkMRMLNode | None = None,
        options: RunOptions | None = None,
    ) -> None:
        """Hand the volumes to the engine; returns as soon as they are written.

        Args:
            engine: Computes.
            volumes: One for each channel, in the card's order, on one grid.
            card: The model.
            output: Takes the segments; None makes a new segmentation.
            region: A markups ROI, a point list (its last point counts), or None for the whole volume.
            options: How to run.

        Raises:
            SceneError: The nodes do not fit the model, each other, or the region.
            EditedSegments: The output holds segments that would be replaced and were edited.
        """
        options = options or RunOptions()
        check_inputs(card, volumes)
        kept = options.kept_values(card)
        if output is not None:
            check_edits(card, output, options)
        box = region_options(region, volumes[0])
        self._card, self._options, self._kept = card, options, kept
        self._output_id = output.GetID() if output is not None else ""
        self._grid = grid_of(volumes[0])
        self._computation = Computation(
            engine, card, volumes, box, options, on_event=self._tell, on_end=self._computed
        )
        self._begin(volumes)

    def _computed(self, computation: Computation) -> None:
        if computation.error is not None:
            self._fail(computation.error)
            return
        self._answer = computation.answer
        self._show(self._options.same_name, self._options.overwrite_edited)

    def _show(self, same_name: SameName, overwrite_edited: bool) -> None:
        """Make the nodes, and end; or ask first."""
        assert self._answer is not None
        try:
            self._make_nodes(self._answer, same_name, overwrite_edited)
        except EditedSegments as edited:
            if self._ask is None:
                self._show("beside", False)
            else:
                self._ask(list(edited.names), self._answered)
        except SceneError as error:
            self._fail(error)
        except Exception as error:  # a fault of ours must end the run, not leave it running for ever
            log(traceback.format_exc())
            self._fail(error)
        else:
            self.warnings = list(self._answer.warnings)
            self._answer = None
            self._end("done")

    def _answered(self, choice: SameName | None) -> None:
        if self.state != "running":  # cancelled while the question stood
            return
        if choice is None:
            self.cancel()
        else:
            self._show(choice, overwrite_edited=True)

    def _make_nodes(self, answer: Answer, same_name: SameName, overwrite_edited: bool) -> None:
        volume = self._scene.GetNodeByID(self._volume_ids[0])
        if volume is None or self._grid is None or not _same(grid_of(volume), self._grid):
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
        )
        self._result_id = node.GetID()
        if answer.uncertainty is not None:
            add_uncertainty(answer.uncertainty, volume)


def check_inputs(card: Card, volumes: Sequence[slicer.vtkMRMLScalarVolumeNode | None]) -> None:
    """What must hold before anything is sent.

    Raises:
        SceneError: Too few or too many volumes, one chosen twice is fine, grids that differ, or a model that
            is not installed.
    """
    if card.source == "available":
        raise SceneError(_("Install the model first."))
    count = len(card.channels)
    if len(volumes) != count or any(volume is None for volume in volumes):
        raise SceneError(
            _("The model needs {count} volumes: {names}.").format(
                count=count, names=", ".join(channel.name for channel in card.channels)
            )
            if count > 1
            else _("Choose a volume.")
        )
    for channel, volume in zip(card.channels[1:], volumes[1:], strict=True):
        difference = same_grid(volumes[0], volume)
        if difference:
            raise SceneError(f"{channel.name}: {difference}")


def check_edits(card: Card, output: slicer.vtkMRMLSegmentationNode, options: RunOptions) -> None:
    """Refuse to replace segments that a person has edited, unless that was said.

    Raises:
        EditedSegments: Naming them.
    """
    if options.same_name == "beside" or options.overwrite_edited:
        return
    kept = options.kept_values(card)
    names = [label.name for label in card.labels if kept is None or label.value in kept]
    edited = edited_segments(output, names)
    if edited:
        raise EditedSegments(edited)


def add_uncertainty(
    values: np.ndarray, volume: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """Show the entropy of a prediction, (K, J, I) float32, as a volume beside the one it belongs to."""
    matrix = slicer.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    node = slicer.util.addVolumeFromArray(
        values, ijkToRAS=slicer.util.arrayFromVTKMatrix(matrix), name=f"{volume.GetName()} uncertainty"
    )
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    display = node.GetDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, 1.0)
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = tree.GetItemByDataNode(node) if tree is not None else 0
    if item:
        tree.SetItemParent(item, tree.GetItemParent(tree.GetItemByDataNode(volume)))
    return node


def grid_of(volume: slicer.vtkMRMLScalarVolumeNode) -> tuple[tuple[int, ...], np.ndarray]:
    """Dimensions (I, J, K) and the 4 x 4 matrix from IJK to RAS, without transforms."""
    matrix = slicer.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image = volume.GetImageData()
    return (image.GetDimensions() if image else ()), slicer.util.arrayFromVTKMatrix(matrix)


def _same(one: tuple[tuple[int, ...], np.ndarray], other: tuple[tuple[int, ...], np.ndarray]) -> bool:
    return one[0] == other[0] and bool(np.array_equal(one[1], other[1]))
