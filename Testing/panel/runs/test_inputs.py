"""Volumes, channels, regions, notes: what the panel chooses by itself, and what it leaves to the person."""

import numpy as np
import pytest
import slicer

from UMambaSegmentationLib.panel.channels import suggest

from .conftest import LEFT_RAS, LPS_TO_RAS
from .steps import click_in_a_view

VOLUMES = [("1", "patient FLAIR"), ("2", "patient T1 post"), ("3", "other")]


@pytest.mark.parametrize(
    ("channels", "volumes", "chosen", "active", "expected"),
    [
        (["T1", "FLAIR"], VOLUMES, (None, None), "", ("2", "1")),
        (["CT"], VOLUMES, (None,), "", (None,)),
        (["CT"], VOLUMES, (None,), "3", ("3",)),
        (["CT"], VOLUMES[:1], (None,), "", ("1",)),
        (["CT"], [], (None,), "", (None,)),
        (["T1", "ADC"], VOLUMES[:2], (None, None), "", ("2", "1")),
        (["T1", "ADC"], VOLUMES, (None, None), "3", ("2", None)),
        (["T1"], VOLUMES, ("3",), "1", ("3",)),
        (["T1", "T1"], VOLUMES, (None, None), "", ("2", None)),
    ],
)
def test_volumes_for_channels(channels, volumes, chosen, active, expected):
    assert suggest(channels, volumes, chosen, active) == expected


def small(volume_from, name="T1", shape=(14, 30, 33), spacing=1.0):
    array = np.random.default_rng(1).normal(100, 30, shape).astype(np.float32)
    return volume_from(array, LPS_TO_RAS * [spacing, spacing, spacing, 1.0], name)


def test_nothing_can_be_pressed_without_a_volume(panel):
    assert not panel.ui.segmentButton.enabled
    assert not panel.ui.pointButton.enabled
    assert not panel.ui.roiButton.enabled
    assert panel.ui.statusLabel.text == "Load or choose a volume."


def test_the_volume_that_is_loaded_is_chosen(panel, volume_from, spin):
    first = small(volume_from, "first")
    spin(lambda: panel.ui.inputSelector.currentNode() == first)
    small(volume_from, "second")
    spin(lambda: panel.ui.segmentButton.enabled)
    assert panel.ui.inputSelector.currentNode() == first, "a choice was taken back"


def test_label_maps_and_hidden_volumes_are_not_offered(panel, scene, volume_from, spin):
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.util.updateVolumeFromArray(node, np.zeros((4, 4, 4), np.uint8))
    assert panel.ui.inputSelector.nodeCount() == 0
    assert panel.ui.inputSelector.currentNode() is None


def test_a_model_of_two_channels_has_two_selectors(two_channels, start_panel, volume_from, spin):
    panel = start_panel()
    assert len(panel.panel.inputs.channels.selectors) == 1
    panel.panel.models.select("two-channels")
    second = panel.panel.inputs.channels.selectors[1]
    assert second.isVisible()
    first_volume = small(volume_from, "T1")
    spin(lambda: panel.ui.inputSelector.currentNode() == first_volume)
    assert panel.ui.statusLabel.text == "Choose a volume for each channel."
    other = small(volume_from, "T2")
    spin(lambda: second.currentNode() == other)
    assert panel.ui.segmentButton.enabled
    panel.panel.models.select("hippocampus-mr")
    assert not second.isVisible()
    assert panel.ui.inputLabel.text == "Volume:"
    assert panel.ui.inputSelector.currentNode() == first_volume


def test_channels_on_other_grids_can_be_resampled(two_channels, start_panel, volume_from, spin):
    first, other = small(volume_from, "T1"), small(volume_from, "T2", (10, 20, 20), 1.5)
    panel = start_panel()
    panel.panel.models.select("two-channels")
    assert panel.panel.inputs.channels.volumes() == [first, other]
    assert not panel.ui.segmentButton.enabled
    assert "different grids" in panel.ui.statusLabel.text
    assert "numbers of voxels" in panel.ui.inputNotesLabel.text
    panel.ui.resampleButton.click()
    copy = panel.panel.inputs.channels.volumes()[1]
    assert copy.GetImageData().GetDimensions() == first.GetImageData().GetDimensions()
    assert other.GetImageData().GetDimensions() == (20, 20, 10)
    assert panel.ui.segmentButton.enabled
    assert not panel.ui.resampleButton.isVisible()


def test_a_box_as_large_as_what_the_model_knows(ready, head):
    ready.ui.roiButton.click()
    box = ready.ui.regionSelector.currentNode()
    assert box.IsA("vtkMRMLMarkupsROINode")
    assert tuple(box.GetSize()) == (35.0, 50.0, 36.0)
    bounds = [0.0] * 6
    head.GetRASBounds(bounds)
    middle = [(bounds[axis * 2] + bounds[axis * 2 + 1]) / 2 for axis in range(3)]
    assert np.allclose(box.GetCenter(), middle)


def test_a_box_in_a_small_volume_stays_inside(panel, volume_from, spin):
    small(volume_from, "small")
    spin(lambda: panel.ui.roiButton.enabled)
    panel.ui.roiButton.click()
    assert tuple(panel.ui.regionSelector.currentNode().GetSize()) == (33.0, 30.0, 14.0)


def test_placing_a_point_can_be_given_up(ready):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    ready.ui.pointButton.click()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    ready.ui.pointButton.click()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert ready.ui.statusLabel.text == ""
    assert ready.ui.segmentButton.text == "Segment"


def test_escape_gives_the_point_up_too(ready, spin):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    ready.ui.pointButton.click()
    interaction.SwitchToViewTransformMode()
    spin(lambda: not ready.ui.pointButton.checked)


def test_leaving_the_module_gives_the_point_up(ready):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    ready.ui.pointButton.click()
    ready.parent.exit()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform


def test_a_point_cannot_be_asked_for_during_a_run(ready, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    ready.ui.segmentButton.click()
    assert not ready.ui.pointButton.enabled
    ready.ui.segmentButton.click()
    assert ready.ui.pointButton.enabled


def test_a_point_outside_the_volume_is_told_and_runs_nothing(ready, spin):
    ready.ui.pointButton.click()
    click_in_a_view((400.0, 0.0, 0.0))
    spin(lambda: "outside the volume" in ready.ui.statusLabel.text)
    assert ready.ui.segmentButton.text == "Segment"


def test_notes_follow_the_region(ready, point, spin):
    spin(lambda: ready.ui.inputNotesLabel.isVisible())
    whole = ready.ui.inputNotesLabel.text
    ready.ui.regionSelector.setCurrentNode(point)
    assert ready.ui.inputNotesLabel.text != whole
    point.SetNthControlPointPositionWorld(0, 500.0, 0.0, 0.0)
    spin(lambda: "outside" in ready.ui.inputNotesLabel.text)
    point.SetNthControlPointPositionWorld(0, *LEFT_RAS)
    spin(lambda: "outside" not in ready.ui.inputNotesLabel.text)


def test_a_ct_for_a_model_of_mr_is_told(panel, volume_from, spin):
    array = np.random.default_rng(2).normal(-200, 500, (40, 60, 60)).astype(np.int16)
    volume_from(array, LPS_TO_RAS, "CT")
    spin(lambda: "CT" in panel.ui.inputNotesLabel.text)
    assert panel.ui.segmentButton.enabled, "a note must not refuse"
