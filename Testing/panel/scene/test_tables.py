"""Volumes of segments in a table."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from scene.segment_cases import card, draw, grids, hippocampus, label_map, node_ids
from umamba.imaging.image import Geometry, Image
from umamba.inference.result import Result
from UMambaSegmentationLib.scene.segmentations import show_result
from UMambaSegmentationLib.scene.tables import segment_volumes, volumes_table


@pytest.fixture
def labels():
    return label_map(2)


@pytest.fixture
def volume(volume_from, labels):
    return volume_from(np.zeros(labels.shape, np.int16), grids()["left-handed"])


def _rows(table):
    columns = [table.GetTable().GetColumn(index) for index in range(table.GetNumberOfColumns())]
    names = [column.GetName() for column in columns]
    return [
        dict(zip(names, [column.GetValue(row) for column in columns], strict=True))
        for row in range(table.GetNumberOfRows())
    ]


def test_the_counts_are_the_engines(labels, volume):
    model = hippocampus()
    node = show_result(labels, volume, model, provenance={})
    matrix = grids()["left-handed"][:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    geometry = Geometry(
        size=labels.shape[::-1],
        spacing=tuple(spacing),
        origin=(0.0, 0.0, 0.0),
        direction=tuple((matrix / spacing).ravel()),
    )
    engine = Result(labels, Image(labels, geometry), model, plan=None, provenance={}).volumes()

    found = segment_volumes(node)

    assert [(one.name, one.voxels) for one in found] == [(one.name, one.voxels) for one in engine]
    assert [one.ml for one in found] == pytest.approx([one.ml for one in engine], rel=1e-12)


def test_the_table_has_a_row_for_each_segment(labels, volume):
    node = show_result(labels, volume, card(), provenance={})

    table = volumes_table(node, volume)

    rows = _rows(table)
    assert list(rows[0]) == ["segment", "voxels", "ml"]
    assert [row["segment"] for row in rows] == ["Liver", "Spleen", "Something odd"]
    assert [row["voxels"] for row in rows] == [int((labels == value).sum()) for value in (1, 2, 3)]
    assert rows[0]["ml"] == pytest.approx(rows[0]["voxels"] * 0.7 * 0.9 * 2.3 / 1000)
    assert rows[2]["ml"] == 0


def test_the_table_follows_edits(scene, labels, volume):
    node = show_result(labels, volume, card(), provenance={})
    table = volumes_table(node, volume)
    mask = np.zeros(labels.shape, bool)
    mask[1:3, 1:3, 1:3] = True
    draw(node, "Something odd", mask, volume)
    draw(node, "Mine", ~mask, volume)
    before = node_ids(scene)

    again = volumes_table(node, volume)

    assert again is table
    assert node_ids(scene) == before
    assert [row["segment"] for row in _rows(table)] == ["Liver", "Spleen", "Something odd", "Mine"]
    assert [row["voxels"] for row in _rows(table)][2:] == [8, int((~mask).sum())]


def test_the_table_stands_in_the_volumes_study(scene, labels, volume):
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = tree.CreateStudyItem(tree.GetSceneItemID(), "Study")
    tree.SetItemParent(tree.GetItemByDataNode(volume), study)
    node = show_result(labels, volume, card(), provenance={})

    table = volumes_table(node)

    assert tree.GetItemParent(tree.GetItemByDataNode(table)) == study


def test_a_segmentation_of_surfaces_is_counted_too(volume_from):
    labels = np.zeros((14, 14, 14), np.uint8)
    labels[4:10, 4:10, 4:10] = 1
    volume = volume_from(np.zeros(labels.shape, np.int16))
    node = show_result(labels, volume, card(), keep=[1], provenance={})
    node.CreateClosedSurfaceRepresentation()
    node.SetSourceRepresentationToClosedSurface()
    node.RemoveBinaryLabelmapRepresentation()

    (found,) = segment_volumes(node)

    assert found.voxels == pytest.approx(216, rel=0.3)
