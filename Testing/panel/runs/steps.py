"""Steps that the tests of this folder share: what a person does, and what stands there afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

PATIENCE_S = 120.0


def finish(panel: Any, spin: Callable[..., None]) -> Any:
    """Wait for the end of a run that must succeed; its segmentation."""
    spin(lambda: panel.ui.segmentButton.text == "Segment", PATIENCE_S)
    assert panel.ui.statusLabel.text.startswith("Done in "), panel.ui.statusLabel.text
    return panel.ui.outputSelector.currentNode()


def run(panel: Any, spin: Callable[..., None]) -> Any:
    """Press Segment and wait for the segmentation."""
    panel.ui.segmentButton.click()
    return finish(panel, spin)


def click_in_a_view(ras: tuple[float, float, float]) -> None:
    """What a click does while Slicer places points."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    slicer.mrmlScene.GetNodeByID(selection.GetActivePlaceNodeID()).AddControlPointWorld(*ras)
    interaction.SwitchToViewTransformMode()


def names_in(segmentation: Any) -> list[str]:
    """Names of the segments, in order."""
    inner = segmentation.GetSegmentation()
    return [inner.GetSegment(segment_id).GetName() for segment_id in inner.GetSegmentIDs()]


def draw(segmentation: Any, volume: Any, index: int = 0) -> None:
    """Edit a segment by hand: a cube in the corner of the volume."""
    segment_id = segmentation.GetSegmentation().GetNthSegmentID(index)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
    voxels[:4, :4, :4] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, segmentation, segment_id, volume)


def answers(panel: Any) -> list[str]:
    """The buttons of the question that stands there; none if there is none."""
    if not panel.ui.runQuestion.isVisible():
        return []
    buttons = panel.ui.runQuestion.findChildren(qt.QPushButton)
    return [button.text for button in buttons if button.isVisible()]


def answer(panel: Any, text: str) -> None:
    """Press a button of the question."""
    buttons = panel.ui.runQuestion.findChildren(qt.QPushButton)
    next(button for button in buttons if button.isVisible() and button.text == text).click()
