"""A result goes into a segmentation that already has segments."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from scene.segment_cases import (
    card,
    draw,
    grids,
    label_map,
    node_ids,
    rotation,
    segments,
    voxels,
)
from UMambaSegmentationLib.scene import segmentations
from UMambaSegmentationLib.scene.edits import tag
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.segmentations import (
    EditedSegments,
    check_output,
    output_note,
    show_result,
)


@pytest.fixture
def labels():
    return label_map()


@pytest.fixture
def others(labels):
    return np.roll(labels[::-1], 2, axis=1)


@pytest.fixture
def volume(volume_from, labels):
    return volume_from(np.zeros(labels.shape, np.int16), grids()["oblique"])


@pytest.fixture
def node(labels, volume):
    return show_result(labels, volume, card(), provenance={"engine_version": "0.1.0"})


@pytest.fixture
def mine(node, volume, labels):
    """A segmentation with a segment that a person drew."""
    draw(node, "Mine", labels != 1, volume)
    return node


def _state(node, volume):
    """All that a person would miss."""
    found = segments(node)
    return (
        {name: voxels(node, name, volume).tobytes() for name in found},
        {
            name: (s.GetColor(), tag(s, "UMamba.Hash"), tag(s, "TerminologyEntry"))
            for name, s in found.items()
        },
        {name: node.GetAttribute(name) for name in node.GetAttributeNames()},
        [node.GetSegmentation().GetNthSegmentID(i) for i in range(len(found))],
        node.GetTransformNodeID(),
        node.GetNodeReferenceID("UMamba.Input"),
    )


def test_a_second_run_replaces_in_place(mine, volume, others, labels):
    before = segments(mine)
    shown = mine.GetDisplayNode()
    identifier = mine.GetSegmentation().GetSegmentIdBySegment(before["Spleen"])
    shown.SetSegmentVisibility(identifier, False)

    again = show_result(others, volume, card(), output=mine, provenance={"engine_version": "0.2.0"})

    assert again is mine
    assert list(segments(mine)) == ["Liver", "Spleen", "Something odd", "Mine"]
    for value, name in enumerate(["Liver", "Spleen", "Something odd"], start=1):
        assert np.array_equal(voxels(mine, name, volume), others == value)
        assert segments(mine)[name] is before[name]
    assert np.array_equal(voxels(mine, "Mine", volume), labels != 1)
    assert not shown.GetSegmentVisibility(identifier)
    assert mine.GetAttribute("UMamba.Version") == "0.2.0"
    assert tag(segments(mine)["Liver"], "UMamba.Version") == "0.2.0"


def test_beside_leaves_everything_and_finds_free_names(mine, volume, others, labels):
    show_result(others, volume, card(), output=mine, same_name="beside", provenance={})
    show_result(labels, volume, card(), output=mine, same_name="beside", keep=[1], provenance={})

    assert list(segments(mine)) == [
        *("Liver", "Spleen", "Something odd", "Mine"),
        *("Liver (2)", "Spleen (2)", "Something odd (2)", "Liver (3)"),
    ]
    assert np.array_equal(voxels(mine, "Spleen", volume), labels == 2)
    assert np.array_equal(voxels(mine, "Spleen (2)", volume), others == 2)
    assert np.array_equal(voxels(mine, "Mine", volume), labels != 1)


def test_replacing_leaves_those_that_were_put_beside(node, volume, others, labels):
    show_result(labels, volume, card(), output=node, same_name="beside", provenance={})

    show_result(others, volume, card(), output=node, provenance={})

    assert len(segments(node)) == 6
    assert np.array_equal(voxels(node, "Liver", volume), others == 1)
    assert np.array_equal(voxels(node, "Liver (2)", volume), labels == 1)


def test_another_model_joins(node, volume, others, labels):
    show_result(others, volume, card(["Kidney"]), output=node, keep=[1], provenance={})

    assert list(segments(node)) == ["Liver", "Spleen", "Something odd", "Kidney"]
    assert np.array_equal(voxels(node, "Kidney", volume), others == 1)
    assert np.array_equal(voxels(node, "Liver", volume), labels == 1)


def test_labels_that_are_not_kept_stay_as_they_were(node, volume, others, labels):
    show_result(others, volume, card(), output=node, keep=[2], provenance={})

    assert np.array_equal(voxels(node, "Liver", volume), labels == 1)
    assert np.array_equal(voxels(node, "Spleen", volume), others == 2)
    assert np.array_equal(voxels(node, "Something odd", volume), labels == 3)


def test_voxels_of_replaced_segments_do_not_come_back(node, volume, others):
    show_result(others, volume, card(), output=node, keep=[2], provenance={})

    node.GetSegmentation().AddEmptySegment("", "To be drawn")  # Slicer gives it a free value of a layer

    assert not voxels(node, "To be drawn", volume).any()


@pytest.mark.parametrize("change", ["edited", "renamed", "drawn"])
def test_own_work_is_never_overwritten_unasked(node, volume, others, labels, change):
    if change == "edited":
        draw(node, "Liver", labels == 0, volume)
    elif change == "renamed":
        segments(node)["Liver"].SetName("Liver, checked")
    else:
        node.GetSegmentation().RemoveSegment(segments(node)["Liver"])
        draw(node, "Liver", labels == 0, volume)
    before = _state(node, volume)

    with pytest.raises(EditedSegments) as raised:
        show_result(others, volume, card(), output=node, provenance={})

    assert raised.value.names == ["Liver, checked" if change == "renamed" else "Liver"]
    assert "Liver" not in str(raised.value)
    assert _state(node, volume) == before


def test_own_work_is_overwritten_when_that_is_said(node, volume, others, labels):
    draw(node, "Liver", labels == 0, volume)

    show_result(others, volume, card(), output=node, overwrite_edited=True, provenance={})

    assert np.array_equal(voxels(node, "Liver", volume), others == 1)
    show_result(labels, volume, card(), output=node, provenance={})  # no edit any more
    assert np.array_equal(voxels(node, "Liver", volume), labels == 1)


def test_the_question_can_be_asked_before_the_run(scene, node, volume, labels):
    check_output(node, volume, card())
    draw(node, "Spleen", labels == 0, volume)
    before, nodes = _state(node, volume), node_ids(scene)

    with pytest.raises(EditedSegments) as raised:
        check_output(node, volume, card())
    check_output(node, volume, card(), keep=[1])
    check_output(node, volume, card(), same_name="beside")
    check_output(node, volume, card(), overwrite_edited=True)

    assert raised.value.names == ["Spleen"]
    assert node_ids(scene) == nodes
    assert _state(node, volume) == before


def test_an_empty_output_is_filled(scene, volume, labels):
    output = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "My name")

    node = show_result(labels, volume, card(), output=output, provenance={})

    assert node is output
    assert node.GetName() == "My name"
    assert node.GetDisplayNode() is not None
    assert np.array_equal(voxels(node, "Spleen", volume), labels == 2)
    assert slicer.util.arrayFromSegmentBinaryLabelmap(
        node, node.GetSegmentation().GetNthSegmentID(0)
    ).shape == (labels.shape)


def test_an_output_of_another_grid_takes_the_segments_as_they_are(node, volume, volume_from, labels):
    small = label_map(shape=(5, 6, 4))
    other = volume_from(np.zeros(small.shape, np.int16), grids()["left-handed"], name="T2")
    assert output_note(node, volume) is None

    assert "grid" in output_note(node, other)
    show_result(small, other, card(["Kidney", "Pancreas", "Colon"]), output=node, provenance={})

    for value, name in enumerate(["Kidney", "Pancreas", "Colon"], start=1):
        assert np.array_equal(voxels(node, name, other), small == value)
    for value, name in enumerate(["Liver", "Spleen", "Something odd"], start=1):
        assert np.array_equal(voxels(node, name, volume), labels == value)
    assert output_note(node, volume) is None  # those that were there keep their grid in files
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume


def test_an_output_of_another_grid_that_is_replaced_whole_takes_the_new_grid(node, volume_from):
    small = label_map(shape=(5, 6, 4))
    other = volume_from(np.zeros(small.shape, np.int16), grids()["left-handed"], name="T2")

    show_result(small, other, card(), output=node, provenance={})

    assert output_note(node, other) is None
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is other


def test_an_output_under_another_transform_is_refused(scene, node, volume, labels):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(rotation()))
    volume.SetAndObserveTransformNodeID(transform.GetID())

    with pytest.raises(SceneError, match="transform"):
        show_result(labels, volume, card(["Kidney"]), output=node, keep=[1], provenance={})

    assert list(segments(node)) == ["Liver", "Spleen", "Something odd"]
    show_result(labels, volume, card(), output=node, provenance={})  # nothing else in it would move
    assert node.GetTransformNodeID() == transform.GetID()


def test_an_output_of_surfaces_is_refused(node, volume, labels):
    node.CreateClosedSurfaceRepresentation()
    node.SetSourceRepresentationToClosedSurface()

    with pytest.raises(SceneError, match="surfaces"):
        show_result(labels, volume, card(["Kidney"]), output=node, keep=[1], provenance={})


def test_surfaces_that_were_shown_follow_the_new_voxels(volume_from):
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[2:5, 2:5, 2:5] = 1
    volume = volume_from(np.zeros(labels.shape, np.int16))
    node = show_result(labels, volume, card(), provenance={})
    node.CreateClosedSurfaceRepresentation()

    show_result(np.roll(labels, 6, axis=0), volume, card(), output=node, provenance={})

    bounds = [0.0] * 6
    surface = segments(node)["Liver"].GetRepresentation("Closed surface")
    surface.GetBounds(bounds)
    assert bounds[4] == pytest.approx(7.5, abs=1.0)


def test_slicer_hears_of_changes_to_the_new_voxels(node, volume, others):
    show_result(others, volume, card(), output=node, provenance={})
    node.CreateClosedSurfaceRepresentation()

    segments(node)["Liver"].GetRepresentation("Binary labelmap").Modified()

    assert segments(node)["Liver"].GetRepresentation("Closed surface") is None


def test_objects_of_an_earlier_run_are_cleared(volume, labels):
    cells = card(["Cell boundary", "Cell interior"], instances={"boundary": 1, "interior": 2})
    node = show_result(label_map(5), volume, cells, provenance={})
    draw(node, "Mine", labels == 1, volume)

    show_result(label_map(2), volume, cells, output=node, provenance={})

    assert set(segments(node)) == {"Cell 1", "Cell 2", "Mine"}
    assert np.array_equal(voxels(node, "Cell 2", volume), label_map(2) == 2)
    assert np.array_equal(voxels(node, "Mine", volume), labels == 1)


def test_an_edited_object_of_an_earlier_run_is_asked_for(volume, labels):
    cells = card(["Cell boundary", "Cell interior"], instances={"boundary": 1, "interior": 2})
    node = show_result(label_map(5), volume, cells, provenance={})
    draw(node, "Cell 5", labels == 1, volume)

    with pytest.raises(EditedSegments) as raised:
        show_result(label_map(2), volume, cells, output=node, provenance={})

    assert raised.value.names == ["Cell 5"]


@pytest.mark.parametrize("same_name", ["replace", "beside"])
@pytest.mark.parametrize("step", ["write_segments", "_refer"])
def test_a_fault_on_the_way_leaves_the_output_as_it_was(mine, volume, others, monkeypatch, same_name, step):
    mine.CreateClosedSurfaceRepresentation()
    before = _state(mine, volume)
    real = getattr(segmentations, step)

    def broken(*arguments):
        real(*arguments)
        raise OSError("a fault")

    monkeypatch.setattr(segmentations, step, broken)
    with pytest.raises(OSError, match="a fault"):
        show_result(
            others,
            volume,
            card(["Spleen", "Liver", "New"]),
            output=mine,
            same_name=same_name,
            overwrite_edited=True,
            provenance={"date": "today"},
        )

    assert segments(mine)["Mine"].GetRepresentation("Closed surface").GetNumberOfPoints() > 0
    assert _state(mine, volume) == before


def test_a_fault_while_objects_are_cleared_brings_them_back(volume, monkeypatch):
    cells = card(["Cell boundary", "Cell interior"], instances={"boundary": 1, "interior": 2})
    node = show_result(label_map(5), volume, cells, provenance={})
    node.GetSegmentation().SetSegmentIndex(node.GetSegmentation().GetNthSegmentID(4), 1)
    before = _state(node, volume)

    def broken(*_arguments):
        raise OSError("a fault")

    monkeypatch.setattr(segmentations, "_refer", broken)
    with pytest.raises(OSError, match="a fault"):
        show_result(label_map(3), volume, cells, output=node, provenance={})

    assert _state(node, volume) == before


def test_a_fault_leaves_an_empty_output_empty(scene, volume, labels, monkeypatch):
    output = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    output.SetAttribute("Mine", "1")
    geometry = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()

    def broken(*_arguments):
        raise OSError("a fault")

    monkeypatch.setattr(segmentations, "_refer", broken)
    with pytest.raises(OSError, match="a fault"):
        show_result(labels, volume, card(), output=output, provenance={})

    assert segments(output) == {}
    assert output.GetAttributeNames() == ("Mine",)
    assert output.GetSegmentation().GetConversionParameter(geometry) == ""
    assert output.GetNodeReference(output.GetReferenceImageGeometryReferenceRole()) is None


def test_views_hear_of_new_voxels(node, volume, others):
    heard = []
    node.AddObserver(slicer.vtkSegmentation.SourceRepresentationModified, lambda *_: heard.append(1))

    show_result(others, volume, card(), output=node, provenance={})

    assert heard


def test_the_scene_gains_nothing_by_a_second_run(scene, node, volume, others):
    before = node_ids(scene)

    show_result(others, volume, card(), output=node, provenance={})

    assert node_ids(scene) == before
