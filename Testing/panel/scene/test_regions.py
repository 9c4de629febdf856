"""Regions: the engine takes the voxels that lie in the ROI, or around the point, in the world."""

import numpy as np
import pytest
import slicer
import vtk

from umamba.inference.region import box_around, box_from_roi
from umamba.worker.images import load_sources
from UMambaSegmentationLib.scene import regions
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.volumes import image_entry

SHAPE = (20, 24, 28)


def rotation(axis, degrees):
    found = np.eye(4)
    first, second = [other for other in range(3) if other != axis]
    angle = np.radians(degrees)
    found[first, first] = found[second, second] = np.cos(angle)
    found[first, second], found[second, first] = -np.sin(angle), np.sin(angle)
    return found


def shift(*by):
    found = np.eye(4)
    found[:3, 3] = by
    return found


OBLIQUE = shift(-12, 5, 3) @ rotation(0, 15) @ rotation(2, -25) @ np.diag([-1.1, 0.9, 1.4, 1])
UPRIGHT = shift(-10, -10, -10)


@pytest.fixture
def linear(scene):
    def make(matrix, parent=None):
        node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        found = vtk.vtkMatrix4x4()
        found.DeepCopy(np.asarray(matrix, float).ravel().tolist())
        node.SetMatrixTransformToParent(found)
        if parent is not None:
            node.SetAndObserveTransformNodeID(parent.GetID())
        return node

    return make


@pytest.fixture
def roi(scene):
    def make(center, size, under=None, turn=None):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        node.SetCenter(center)
        node.SetSize(size)
        if turn is not None:
            matrix = vtk.vtkMatrix4x4()
            matrix.DeepCopy((shift(*center) @ turn).ravel().tolist())
            node.SetAndObserveObjectToNodeMatrix(matrix)
        if under is not None:
            node.SetAndObserveTransformNodeID(under.GetID())
        return node

    return make


@pytest.fixture
def points(scene):
    def make(*positions, under=None):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        if under is not None:
            node.SetAndObserveTransformNodeID(under.GetID())
        for position in positions:
            node.AddControlPointWorld(position)
        return node

    return make


def engine_geometry(volume, tmp_path):
    (image,) = load_sources((image_entry(volume, tmp_path, "a"),))
    return image.geometry


def engine_mask(volume, options, tmp_path):
    box = box_from_roi(engine_geometry(volume, tmp_path), tuple(options["roi"]))
    mask = np.zeros(SHAPE, bool)
    mask[box.slices] = True if box.inside is None else box.inside
    return mask


def world_of(volume):
    """Centres of all voxels in the world, RAS, (K, J, I, 3), through every transform above."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    local = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    k, j, i = np.indices(SHAPE)
    points = np.stack([i, j, k], axis=-1) @ local[:3, :3].T + local[:3, 3]
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volume.GetParentTransformNode(), None, to_world)
    return np.array([to_world.TransformPoint(*p) for p in points.reshape(-1, 3)]).reshape(*SHAPE, 3)


def inside(region, world):
    """Whether world points lie in the ROI, by Slicer's own judgement."""
    return np.array([bool(region.IsPointInROIWorld(list(p))) for p in world.reshape(-1, 3)]).reshape(SHAPE)


# --- boxes ---------------------------------------------------------------


def test_no_region_is_the_whole_volume(volume_from):
    assert regions.region_options(None, volume_from(np.zeros(SHAPE))) == {}


def test_an_upright_roi_holds_the_very_voxels_that_slicer_shows_in_it(volume_from, roi, tmp_path):
    volume = volume_from(np.zeros(SHAPE), UPRIGHT @ np.diag([-1.3, 1.2, 0.8, 1]))
    region = roi((-20.05, 1.03, -4.02), (12.1, 9.3, 8.7))
    mask = engine_mask(volume, regions.region_options(region, volume), tmp_path)
    expected = inside(region, world_of(volume))
    assert expected.sum() > 100
    np.testing.assert_array_equal(mask, expected)
    assert regions.box_excess(region, volume) == pytest.approx(1)


def test_both_under_transforms(volume_from, roi, linear, tmp_path):
    """Registered apart: only what lies in the ROI in the world counts."""
    volume = volume_from(np.zeros(SHAPE), UPRIGHT)
    volume.SetAndObserveTransformNodeID(linear(shift(30, -7, 4) @ rotation(2, 90)).GetID())
    region = roi(
        (5.02, -2.04, 1.06), (11.1, 8.3, 9.7), under=linear(shift(20, -1, 0), parent=linear(shift(0, 3, 4)))
    )
    mask = engine_mask(volume, regions.region_options(region, volume), tmp_path)
    expected = inside(region, world_of(volume))
    assert expected.sum() > 100
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("matrix", [UPRIGHT, OBLIQUE])
@pytest.mark.parametrize("turn", [np.eye(4), rotation(2, 35) @ rotation(0, 20)])
def test_a_turned_roi_is_covered_by_its_box(volume_from, roi, tmp_path, matrix, turn):
    volume = volume_from(np.zeros(SHAPE), matrix)
    center = (matrix @ (14, 12, 10, 1))[:3]
    region = roi(center, (10, 8, 12), turn=turn)
    options = regions.region_options(region, volume)
    mask = engine_mask(volume, options, tmp_path)
    expected = inside(region, world_of(volume))
    assert expected.sum() > 100
    assert not (expected & ~mask).any()
    upright = np.array_equal(turn, np.eye(4))
    assert np.array_equal(mask, expected) == upright
    excess = regions.box_excess(region, volume)
    assert excess == pytest.approx(1) if upright else 1.5 < excess < 4
    box = np.subtract(options["roi"][1::2], options["roi"][::2])
    assert np.prod(box) == pytest.approx(excess * 10 * 8 * 12)


def test_a_bent_transform_is_followed_beyond_the_corners(scene, volume_from, roi, tmp_path):
    """The middle of the box's faces bulges, its corners stay."""
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    corners = [np.array(corner) * 12.0 - 6 for corner in np.ndindex(2, 2, 2)]
    for point in corners:
        source.InsertNextPoint(*point)
        target.InsertNextPoint(*point)
    source.InsertNextPoint(0, 0, 0)
    target.InsertNextPoint(5, 0, 0)
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(spline)
    volume = volume_from(np.zeros(SHAPE), shift(-14, -12, -10))
    volume.SetAndObserveTransformNodeID(node.GetID())
    region = roi((0, 0, 0), (12, 12, 12))
    mask = engine_mask(volume, regions.region_options(region, volume), tmp_path)
    expected = inside(region, world_of(volume))
    assert expected.sum() > 500
    assert (expected & ~mask).sum() <= 0.005 * expected.sum()
    low_x = regions.region_options(region, volume)["roi"][0:2]
    assert max(map(abs, low_x)) > 7, "the corners alone end at 6"


def test_a_region_partly_outside_is_taken(volume_from, roi, tmp_path):
    volume = volume_from(np.zeros(SHAPE), UPRIGHT)
    mask = engine_mask(
        volume, regions.region_options(roi((-10, -10, -10), (6.2, 6.2, 6.2)), volume), tmp_path
    )
    assert mask.sum() == 4**3


@pytest.mark.parametrize("center", [(100, 0, 0), (0, -60, 0), (0, 0, 40)])
@pytest.mark.parametrize("matrix", [UPRIGHT, OBLIQUE])
def test_a_region_outside_is_said_before_the_engine_says_it(volume_from, roi, tmp_path, center, matrix):
    volume = volume_from(np.zeros(SHAPE), matrix)
    with pytest.raises(SceneError, match="outside the volume"):
        regions.region_options(roi(center, (6, 6, 6)), volume)


def test_an_roi_that_nobody_has_drawn_is_empty(scene, volume_from, roi):
    volume = volume_from(np.zeros(SHAPE))
    with pytest.raises(SceneError, match="draw a box"):
        regions.region_options(scene.AddNewNodeByClass("vtkMRMLMarkupsROINode"), volume)
    with pytest.raises(SceneError, match="draw a box"):
        regions.region_options(roi((0, 0, 0), (5, 0, 5)), volume)


# --- points --------------------------------------------------------------


def test_a_point_is_found_where_it_lies_in_the_world(volume_from, points, linear, tmp_path):
    volume = volume_from(np.zeros(SHAPE), OBLIQUE)
    volume.SetAndObserveTransformNodeID(linear(shift(30, -7, 4) @ rotation(1, 40)).GetID())
    target = world_of(volume)[7, 11, 13]
    node = points(target, under=linear(rotation(0, 10)))
    around = regions.region_options(node, volume)["around"]
    box = box_around(engine_geometry(volume, tmp_path), tuple(around), (0.1, 0.1, 0.1))
    assert box.start == (7, 11, 13)
    assert box.stop == (8, 12, 14)


def test_the_last_placed_point_counts(volume_from, points):
    volume = volume_from(np.zeros(SHAPE), UPRIGHT)
    node = points((1, 1, 1), (2, 3, 4), (5, 5, 5))
    node.UnsetNthControlPointPosition(2)
    assert regions.region_options(node, volume) == {"around": [-2.0, -3.0, 4.0]}


def test_without_a_placed_point_there_is_a_sentence(volume_from, points):
    volume = volume_from(np.zeros(SHAPE), UPRIGHT)
    unset = points((1, 1, 1))
    unset.UnsetNthControlPointPosition(0)
    for node in (points(), unset):
        with pytest.raises(SceneError, match="No point"):
            regions.region_options(node, volume)


def test_a_point_is_outside_from_half_a_voxel_on_as_in_the_engine(volume_from, points, tmp_path):
    volume = volume_from(np.zeros(SHAPE), UPRIGHT)
    regions.region_options(points((-10.49, 0, 0)), volume)
    with pytest.raises(SceneError, match="outside the volume"):
        regions.region_options(points((-10.51, 0, 0)), volume)


def test_another_kind_of_node_is_refused(scene, volume_from):
    plane = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode")
    with pytest.raises(SceneError, match="ROI"):
        regions.region_options(plane, volume_from(np.zeros(SHAPE)))
