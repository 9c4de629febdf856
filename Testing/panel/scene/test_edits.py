"""What counts as a person's own work, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from scene.segment_cases import card, draw, grids, label_map, segments
from UMambaSegmentationLib.scene.edits import edited_segments
from UMambaSegmentationLib.scene.segmentations import show_result


@pytest.fixture
def labels():
    return label_map()


@pytest.fixture
def volume(volume_from, labels):
    return volume_from(np.zeros(labels.shape, np.int16), grids()["oblique"])


@pytest.fixture
def node(labels, volume):
    return show_result(labels, volume, card(), provenance={})


def test_a_result_is_no_edit(node):
    assert edited_segments(node) == []


def test_one_voxel_more_is_an_edit(node, volume, labels):
    mask = labels == 2
    mask[tuple(np.argwhere(labels == 0)[0])] = True

    draw(node, "Spleen", mask, volume)

    assert edited_segments(node) == ["Spleen"]


def test_a_voxel_changed_in_place_is_an_edit(node):
    array = slicer.util.arrayFromSegmentInternalBinaryLabelmap(
        node, node.GetSegmentation().GetNthSegmentID(0)
    )
    array[tuple(np.argwhere(array == 1)[5])] = 0

    assert edited_segments(node) == ["Liver"]


def test_the_same_shape_elsewhere_is_an_edit(volume_from):
    labels = np.zeros((7, 9, 11), np.uint8)
    labels[2:4, 3:5, 4:7] = 1
    volume = volume_from(np.zeros(labels.shape, np.int16), grids()["microscope"])
    node = show_result(labels, volume, card(), provenance={})

    draw(node, "Liver", np.roll(labels, 1, axis=2) == 1, volume)

    assert edited_segments(node) == ["Liver"]


def test_a_renamed_segment_is_an_edit(node):
    segments(node)["Liver"].SetName("Liver, checked")

    assert edited_segments(node) == ["Liver, checked"]


def test_a_segment_of_another_source_is_own_work(node, volume, labels):
    draw(node, "Mine", labels == 0, volume)

    assert edited_segments(node) == ["Mine"]


def test_an_empty_segment_is_nobodys_work(node):
    node.GetSegmentation().AddEmptySegment("", "To be drawn")

    assert edited_segments(node) == []


def test_colours_and_codes_may_change(node):
    liver = segments(node)["Liver"]
    liver.SetColor(0.1, 0.2, 0.3)
    liver.SetTag(liver.GetTerminologyEntryTagName(), "a~b^c^d~e^f^g~^^~h~^^~^^")

    assert edited_segments(node) == []


def test_a_rounding_error_of_the_place_is_no_edit(node):
    image = segments(node)["Liver"].GetRepresentation("Binary labelmap")
    image.SetOrigin(*(part + 0.01 * 0.7 for part in image.GetOrigin()))  # a hundredth of a voxel

    assert edited_segments(node) == []


def test_only_the_named_segments_are_looked_at(node, volume, labels):
    for name in ("Liver", "Spleen"):
        draw(node, name, labels == 0, volume)

    assert edited_segments(node, ["Spleen", "Something odd", "Nothing"]) == ["Spleen"]


def test_what_slicer_does_by_itself_is_no_edit(node, volume, labels):
    draw(node, "Mine", labels == 2, volume)  # a layer of its own
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    node.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SeparateSegmentLabelmap(node.GetSegmentation().GetNthSegmentID(1))

    assert edited_segments(node, ["Liver", "Spleen", "Something odd"]) == []


@pytest.mark.parametrize("grid", ["oblique", "left-handed", "microscope"])
def test_a_file_is_no_edit(scene, volume_from, labels, tmp_path, grid):
    volume = volume_from(np.zeros(labels.shape, np.int16), grids()[grid])
    node = show_result(labels, volume, card(), provenance={})
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "case.seg.nrrd"))
    assert storage.WriteData(node)
    again = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(again)

    assert edited_segments(again) == []
    draw(again, "Liver", labels == 0, volume)
    assert edited_segments(again) == ["Liver"]


def test_a_segmentation_of_surfaces_is_own_work(node):
    node.CreateClosedSurfaceRepresentation()
    node.SetSourceRepresentationToClosedSurface()
    node.RemoveBinaryLabelmapRepresentation()

    assert edited_segments(node) == ["Liver", "Spleen", "Something odd"]
