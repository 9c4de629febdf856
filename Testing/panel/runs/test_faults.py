"""What goes wrong becomes one sentence; the scene stays whole and the next run works."""

import os
import signal

import numpy as np
import pytest
import slicer

from UMambaSegmentationLib.scene.edits import edited_segments

from .conftest import LPS_TO_RAS
from .steps import PATIENCE_S, answer, answers, draw, finish, names_in, run

PARTS = ["Anterior hippocampus", "Posterior hippocampus"]


def status_after(panel, spin):
    """The line below the button when the run has ended."""
    spin(lambda: panel.ui.segmentButton.text == "Segment", PATIENCE_S)
    return panel.ui.statusLabel.text


def predicting(panel):
    return panel.ui.statusLabel.text.startswith("Segmenting")


@pytest.fixture
def going(ready, spin):
    """A long run that has begun to predict."""
    ready.ui.stepSlider.value = 0.1
    ready.ui.segmentButton.click()
    spin(lambda: predicting(ready), PATIENCE_S)
    return ready


def test_a_killed_worker_is_told_and_the_next_run_works(going, spin, nodes, run_folders, engine, point):
    before = nodes()
    os.kill(engine._worker.pid, signal.SIGKILL)
    told = status_after(going, spin)
    assert "stopped unexpectedly" in told
    assert nodes() == before
    assert run_folders() == []
    going.ui.stepSlider.value = 0.5
    going.ui.regionSelector.setCurrentNode(point)
    assert run(going, spin) is not None


def test_the_volume_is_removed_during_a_run(going, head, spin, run_folders):
    slicer.mrmlScene.RemoveNode(head)
    assert status_after(going, spin) == "Load or choose a volume."
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    assert run_folders() == []


def test_the_volume_is_removed_while_another_is_there(going, head, spin, volume_from):
    volume_from(np.zeros((8, 8, 8), np.int16), LPS_TO_RAS, "other")
    slicer.mrmlScene.RemoveNode(head)
    assert "was removed" in status_after(going, spin)


def test_the_scene_is_closed_during_a_run(going, spin, run_folders, engine):
    slicer.mrmlScene.Clear(0)
    assert going.ui.segmentButton.text == "Segment"
    assert run_folders() == []
    spin(lambda: not engine._job, 10)
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert status_after(going, spin) == "Load or choose a volume."


def test_the_volume_is_changed_during_a_run(ready, head, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    ready.ui.segmentButton.click()
    head.SetSpacing(2.0, 2.0, 2.0)
    assert status_after(ready, spin) == "The volume was changed while the run went on; run again."
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_the_output_is_removed_during_a_run(ready, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    first = run(ready, spin)
    ready.ui.segmentButton.click()
    slicer.mrmlScene.RemoveNode(first)
    second = finish(ready, spin)
    assert names_in(second) == PARTS


def test_a_box_beside_the_volume(ready, box, spin):
    ready.ui.regionSelector.setCurrentNode(box)
    box.SetCenter([500.0, 0.0, 0.0])
    ready.ui.segmentButton.click()
    assert "outside the volume" in ready.ui.statusLabel.text
    assert ready.ui.segmentButton.text == "Segment"


def test_a_damaged_model_is_told(two_channels, start_panel, volume_from, spin, tmp_path):
    (two_channels / "fold_0.safetensors").write_bytes(b"damaged")
    array = np.random.default_rng(1).normal(100, 30, (14, 30, 33)).astype(np.float32)
    volume_from(array, LPS_TO_RAS, "T1")
    volume_from(array, LPS_TO_RAS, "T2")
    panel = start_panel()
    panel.panel.models.select("two-channels")
    panel.ui.segmentButton.click()
    told = status_after(panel, spin)
    assert "fold_0.safetensors" in told
    assert "\n" not in told


def test_too_little_memory_is_told(ready, spin):
    ready.ui.memorySpinBox.value = 0.1
    ready.ui.segmentButton.click()
    assert "at least" in status_after(ready, spin)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("Replace", ["Anterior hippocampus", "Posterior hippocampus"]),
        (
            "Add beside",
            [
                "Anterior hippocampus",
                "Posterior hippocampus",
                "Anterior hippocampus (2)",
                "Posterior hippocampus (2)",
            ],
        ),
        ("Cancel", ["Anterior hippocampus", "Posterior hippocampus"]),
    ],
)
def test_edited_segments_are_asked_about_before_the_run(ready, head, point, spin, choice, expected):
    ready.ui.regionSelector.setCurrentNode(point)
    segmentation = run(ready, spin)
    draw(segmentation, head)
    ready.ui.segmentButton.click()
    assert ready.ui.segmentButton.text == "Segment", "it ran without asking"
    assert answers(ready) == ["Replace", "Add beside", "Cancel"]
    answer(ready, choice)
    assert answers(ready) == []
    if choice != "Cancel":
        finish(ready, spin)
    assert names_in(segmentation) == expected
    edited = slicer.util.arrayFromSegmentBinaryLabelmap(
        segmentation, segmentation.GetSegmentation().GetNthSegmentID(0), head
    )
    assert bool(edited[:4, :4, :4].all()) == (choice != "Replace")


def test_segments_edited_during_the_run_are_asked_about_at_its_end(ready, head, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    segmentation = run(ready, spin)
    ready.ui.segmentButton.click()
    draw(segmentation, head)
    spin(lambda: answers(ready), PATIENCE_S)
    assert answers(ready) == ["Replace", "Add beside", "Drop the result"]
    answer(ready, "Replace")
    finish(ready, spin)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(
        segmentation, segmentation.GetSegmentation().GetNthSegmentID(0), head
    )
    assert not voxels[:4, :4, :4].any()
    assert voxels.any()


def test_unedited_segments_are_replaced_without_a_question(ready, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    segmentation = run(ready, spin)
    assert run(ready, spin) == segmentation
    assert names_in(segmentation) == ["Anterior hippocampus", "Posterior hippocampus"]


def test_an_answer_does_not_hold_for_work_that_came_after_it(ready, head, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    segmentation = run(ready, spin)
    draw(segmentation, head, 0)
    ready.ui.segmentButton.click()
    answer(ready, "Replace")
    draw(segmentation, head, 1)
    spin(lambda: answers(ready), PATIENCE_S)
    segmentation.GetSegmentation().GetNthSegment(1).SetName("Mine")  # while the question stands
    answer(ready, "Replace")
    assert answers(ready) == ["Replace", "Add beside", "Drop the result"]
    answer(ready, "Drop the result")
    assert names_in(segmentation) == [PARTS[0], "Mine"]
    assert edited_segments(segmentation) == [PARTS[0], "Mine"]
