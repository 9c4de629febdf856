"""Segmentations in the tree, in 3D and in the Segment Editor."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from scene.segment_cases import card
from UMambaSegmentationLib.scene.display import (
    edit_in_segment_editor,
    is_shown_in_3d,
    place_beside,
    show_in_3d,
)
from UMambaSegmentationLib.scene.segmentations import show_result


@pytest.fixture
def labels():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[2:9, 3:8, 4:10] = 1
    return labels


@pytest.fixture
def volume(volume_from, labels):
    return volume_from(np.zeros(labels.shape, np.int16))


@pytest.fixture
def node(labels, volume):
    return show_result(labels, volume, card(), provenance={})


@pytest.fixture
def tree(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def test_a_result_stands_in_the_volumes_study(tree, volume, labels):
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "Patient")
    study = tree.CreateStudyItem(patient, "Study")
    tree.SetItemParent(tree.GetItemByDataNode(volume), study)

    node = show_result(labels, volume, card(), provenance={})

    assert tree.GetItemParent(tree.GetItemByDataNode(node)) == study


def test_an_output_stays_where_a_person_put_it(tree, volume, labels, node):
    folder = tree.CreateFolderItem(tree.GetSceneItemID(), "My results")
    tree.SetItemParent(tree.GetItemByDataNode(node), folder)

    show_result(labels, volume, card(), output=node, provenance={})

    assert tree.GetItemParent(tree.GetItemByDataNode(node)) == folder


def test_a_node_that_the_tree_does_not_know_is_left_alone(scene, volume):
    hidden = slicer.vtkMRMLTableNode()
    hidden.SetHideFromEditors(True)
    scene.AddNode(hidden)

    place_beside(hidden, volume)
    place_beside(volume, hidden)


def test_surfaces_are_made_when_they_are_asked_for(node):
    assert not is_shown_in_3d(node)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")

    show_in_3d(node)

    surface = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Closed surface")
    assert surface.GetNumberOfPoints() > 0
    assert is_shown_in_3d(node)


def test_surfaces_can_be_hidden_again(node):
    show_in_3d(node)

    show_in_3d(node, False)

    assert not is_shown_in_3d(node)
    assert node.GetDisplayNode().GetVisibility()  # the slice views go on showing it


def test_other_nodes_keep_their_visibility(node, volume, labels):
    other = show_result(labels, volume, card(), provenance={})
    other.GetDisplayNode().SetVisibility(False)

    show_in_3d(node)

    assert not other.GetDisplayNode().GetVisibility()
    assert not is_shown_in_3d(other)


def test_the_segment_editor_opens_on_segmentation_and_volume(volume_from, node, volume, recorded):
    other = volume_from(np.zeros((12, 12, 12), np.int16), name="T2")

    assert edit_in_segment_editor(node, other)

    assert recorded.selected == ["SegmentEditor"]
    assert recorded.editor.segmentationNode() is node
    assert recorded.editor.sourceVolumeNode() is other


def test_the_segment_editor_chooses_the_volume_itself_if_it_has_gone(node, volume, recorded):
    assert edit_in_segment_editor(node, None)

    assert recorded.editor.sourceVolumeNode() is volume


def test_a_segmentation_that_has_left_the_scene_is_not_edited(scene, node, volume, recorded):
    scene.RemoveNode(node)

    assert not edit_in_segment_editor(node, volume)
    assert recorded.selected == []


def test_without_a_window_nothing_is_opened(node, volume, monkeypatch):
    def no_window(module):
        raise RuntimeError("Could not find main window")  # as slicer.util says it

    monkeypatch.setattr(slicer.util, "selectModule", no_window)

    assert not edit_in_segment_editor(node, volume)
