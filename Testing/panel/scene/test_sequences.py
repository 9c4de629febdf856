"""A sequence of volumes becomes a sequence of segmentations."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from scene.segment_cases import (
    PROVENANCE,
    card,
    draw,
    grids,
    label_map,
    node_ids,
    rotation,
    saved_and_read_again,
    segments,
    voxels,
)
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.segmentations import frame_result, provenance_of
from UMambaSegmentationLib.scene.sequences import FrameWriter, frames_of
from UMambaSegmentationLib.scene.tables import volumes_table

TIMES = ("0", "12.5", "25")
SHAPE = (5, 6, 7)


def _image(frame):
    return np.full(SHAPE, 10 * frame, np.int16)


def _labels(frame):
    return np.roll(label_map(shape=SHAPE), frame, axis=2)


@pytest.fixture
def browser(scene, volume_from):
    """Three frames, of which the second is shown."""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beats")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("ms")
    for frame, time in enumerate(TIMES):
        volume = volume_from(_image(frame), grids()["oblique"])
        sequence.SetDataNodeAtValue(volume, time)
        scene.RemoveNode(volume.GetDisplayNode())
        scene.RemoveNode(volume)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    browser.SetSelectedItemNumber(1)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser


@pytest.fixture
def volume(browser):
    return browser.GetProxyNode(browser.GetMasterSequenceNode())


def _show(browser, frame):
    browser.SetSelectedItemNumber(frame)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def _segmented(volume):
    frames = frames_of(volume)
    writer = FrameWriter(frames)
    for index in range(frames.count):
        result = frame_result(_labels(index), frames.node(index), card(), provenance=PROVENANCE)
        writer.add(index, result)
    return writer


def test_frames_are_read_where_they_are(browser, volume):
    frames = frames_of(volume)

    assert frames.count == 3
    assert [frames.value(index) for index in range(3)] == list(TIMES)
    for index in range(3):
        assert np.array_equal(slicer.util.arrayFromVolume(frames.node(index)), _image(index))
    assert browser.GetSelectedItemNumber() == 1
    assert np.array_equal(slicer.util.arrayFromVolume(volume), _image(1))


def test_a_volume_by_itself_has_no_frames(volume_from):
    assert frames_of(volume_from(np.zeros(SHAPE, np.int16))) is None
    assert frames_of(None) is None


def test_every_frame_gets_its_own_segments(browser, volume):
    node = _segmented(volume).finish()

    assert browser.GetSelectedItemNumber() == 1
    for frame in (1, 0, 2):
        _show(browser, frame)
        assert list(segments(node)) == ["Liver", "Spleen", "Something odd"]
        for value, name in enumerate(segments(node), start=1):
            assert np.array_equal(voxels(node, name, volume), _labels(frame) == value)


def test_the_sequence_fits_that_of_the_volumes(browser, volume):
    node = _segmented(volume).finish()

    sequence = browser.GetSequenceNode(node)
    assert browser.IsProxyNodeID(node.GetID())
    assert [sequence.GetNthIndexValue(index) for index in range(3)] == list(TIMES)
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "ms")
    assert frames_of(node).count == 3


def test_provenance_input_and_transform(scene, browser, volume):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(rotation()))
    volume.SetAndObserveTransformNodeID(transform.GetID())

    node = _segmented(volume).finish({"UMamba.Note": "a note"})

    assert provenance_of(node) == PROVENANCE
    assert provenance_of(browser.GetSequenceNode(node)) == PROVENANCE
    assert node.GetAttribute("UMamba.Note") == "a note"
    assert node.GetNodeReference("UMamba.Input") is volume
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume
    assert node.GetTransformNodeID() == transform.GetID()
    assert np.array_equal(voxels(node, "Spleen", volume), _labels(1) == 2)


def test_an_edit_stays_with_its_frame(browser, volume):
    node = _segmented(volume).finish()
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 2:4, 3:6] = True

    draw(node, "Liver", mask, volume)
    _show(browser, 2)
    assert np.array_equal(voxels(node, "Liver", volume), _labels(2) == 1)
    _show(browser, 1)

    assert np.array_equal(voxels(node, "Liver", volume), mask)


def test_a_saved_scene_keeps_every_frame(scene, browser, volume, tmp_path):
    node = _segmented(volume).finish()
    identifier, playing = node.GetID(), browser.GetID()

    saved_and_read_again(scene, tmp_path / "beats.mrb")

    node, browser = scene.GetNodeByID(identifier), scene.GetNodeByID(playing)
    assert provenance_of(node) == PROVENANCE
    for frame in range(3):
        _show(browser, frame)
        volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
        assert np.array_equal(voxels(node, "Spleen", volume), _labels(frame) == 2)


def test_dropping_a_writer_leaves_the_scene_as_it_was(scene, browser, volume):
    before = node_ids(scene)

    writer = _segmented(volume)
    del writer

    assert node_ids(scene) == before
    assert browser.GetNumberOfSynchronizedSequenceNodes() == 0
    assert browser.GetSelectedItemNumber() == 1


def test_a_finished_sequence_adds_its_three_nodes(scene, browser, volume):
    before = node_ids(scene)

    node = _segmented(volume).finish()

    sequence = browser.GetSequenceNode(node)
    assert node_ids(scene) - before == {node.GetID(), node.GetDisplayNodeID(), sequence.GetID()}


def test_frames_know_when_their_sequence_has_gone(scene, browser, volume):
    frames = frames_of(volume)
    assert frames.exists

    scene.RemoveNode(browser.GetMasterSequenceNode())

    assert not frames.exists
    with pytest.raises(SceneError, match="sequence"):
        frames.node(0)


def test_the_table_has_rows_for_each_frame(browser, volume):
    node = _segmented(volume).finish()

    table = volumes_table(node).GetTable()

    columns = {table.GetColumn(index).GetName(): table.GetColumn(index) for index in range(4)}
    assert list(columns) == ["frame", "segment", "voxels", "ml"]
    found = [
        tuple(columns[name].GetValue(row) for name in ("frame", "segment", "voxels"))
        for row in range(table.GetNumberOfRows())
    ]
    assert found == [
        (time, name, int((_labels(frame) == value).sum()))
        for frame, time in enumerate(TIMES)
        for value, name in enumerate(["Liver", "Spleen", "Something odd"], start=1)
    ]
