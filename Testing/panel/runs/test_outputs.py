"""Where segments go, and which: structures by check box, new or existing segmentations."""

import numpy as np
import qt
import slicer

from UMambaSegmentationLib.scene.grids import ijk_to_ras

from .steps import names_in, run


def boxes(panel):
    rows = panel.ui.structuresList.count
    return [panel.ui.structuresList.item(row).checkState() == qt.Qt.Checked for row in range(rows)]


def test_all_structures_are_kept_unless_a_person_says_otherwise(ready):
    assert boxes(ready) == [True, True]
    assert ready.panel.case().options.labels is None


def test_no_structure_is_refused_before_the_run(ready):
    ready.ui.noStructuresButton.click()
    assert boxes(ready) == [False, False]
    assert not ready.ui.segmentButton.enabled
    assert ready.ui.statusLabel.text == "Choose at least one structure."
    ready.ui.allStructuresButton.click()
    assert boxes(ready) == [True, True]
    assert ready.ui.segmentButton.enabled


def test_what_is_kept_is_remembered_for_each_model(two_channels, start_panel, head):
    panel = start_panel()
    panel.ui.structuresList.item(1).setCheckState(qt.Qt.Unchecked)
    panel.panel.models.select("two-channels")
    assert all(boxes(panel))
    panel.panel.models.select("hippocampus-mr")
    assert boxes(panel) == [True, False]


def test_a_run_into_a_chosen_segmentation_keeps_its_other_segments(ready, head, point, spin):
    mine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    mine.CreateDefaultDisplayNodes()
    mine.SetReferenceImageGeometryParameterFromVolumeNode(head)
    mine.GetSegmentation().AddEmptySegment("tumour", "Tumour")
    ready.ui.regionSelector.setCurrentNode(point)
    assert not ready.ui.sameNameSelector.isVisible()
    ready.ui.outputSelector.setCurrentNode(mine)
    assert ready.ui.sameNameSelector.isVisible()
    assert run(ready, spin) == mine
    assert names_in(mine) == ["Tumour", "Anterior hippocampus", "Posterior hippocampus"]


def test_an_output_of_another_grid_is_told(ready, head, point, spin, volume_from):
    coarse = volume_from(np.ones((40, 40, 40), np.uint8), np.diag([4.0, 4.0, 4.0, 1.0]), "coarse")
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "own")
    own.SetReferenceImageGeometryParameterFromVolumeNode(coarse)
    own.GetSegmentation().AddEmptySegment("mine", "Mine")
    ready.ui.inputSelector.setCurrentNode(head)
    ready.ui.regionSelector.setCurrentNode(point)
    ready.ui.outputSelector.setCurrentNode(own)
    assert run(ready, spin) == own
    assert "on another grid than the volume's" in ready.ui.statusLabel.text


def test_add_beside_keeps_what_was_there(ready, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    segmentation = run(ready, spin)
    ready.ui.sameNameSelector.setCurrentIndex(ready.ui.sameNameSelector.findData("beside"))
    assert run(ready, spin) == segmentation
    assert len(names_in(segmentation)) == 4


def test_a_new_segmentation_is_chosen_for_the_next_run(ready, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    first = run(ready, spin)
    ready.ui.outputSelector.setCurrentNode(None)
    second = run(ready, spin)
    assert first != second
    assert first.GetName() == "MNI152 segmentation"


def test_another_volume_gets_a_segmentation_of_its_own(ready, head, point, spin, volume_from):
    ready.ui.regionSelector.setCurrentNode(point)
    first = run(ready, spin)
    other = volume_from(slicer.util.arrayFromVolume(head).copy(), ijk_to_ras(head), "another patient")
    ready.ui.inputSelector.setCurrentNode(other)
    assert ready.ui.outputSelector.currentNode() is None
    second = run(ready, spin)
    assert second != first
    assert first.GetNodeReference("UMamba.Input") == head
    ready.ui.outputSelector.setCurrentNode(first)
    assert ready.ui.outputSelector.currentNode() == first, "what a person chooses counts"


def test_two_panels_never_disagree(ready, point):
    from UMambaSegmentation import UMambaSegmentationWidget

    other = UMambaSegmentationWidget()
    try:
        assert other.ui.inputSelector.currentNode() == ready.ui.inputSelector.currentNode()
        other.ui.regionSelector.setCurrentNode(point)
        assert ready.ui.regionSelector.currentNode() == point
        ready.ui.structuresList.item(0).setCheckState(qt.Qt.Unchecked)
        assert boxes(other) == [False, True]
        ready.ui.stepSlider.value = 0.75
        assert other.ui.stepSlider.value == 0.75
        ready.ui.segmentButton.click()
        assert not other.ui.segmentButton.enabled
        assert "another panel" in other.ui.statusLabel.text
        ready.ui.segmentButton.click()
        assert (ready.ui.segmentButton.enabled, other.ui.segmentButton.enabled) == (True, True)
        assert "another panel" not in other.ui.statusLabel.text
    finally:
        other.cleanup()
        other.parent.close()
