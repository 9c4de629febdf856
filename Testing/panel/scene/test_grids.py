"""Grids: compared in the world, resampled through it; checked against interpolation written by others."""

import numpy as np
import pytest
import slicer
import vtk
from scipy.ndimage import map_coordinates

from UMambaSegmentationLib.scene import grids
from UMambaSegmentationLib.scene.errors import SceneError

RNG = np.random.default_rng(9)


def turned(angles, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), flip=False):
    """An oblique grid: rotations about the three axes, degrees."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(angles)):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix[:3, :3] = turn @ matrix[:3, :3]
    matrix[:3, :3] *= np.array(spacing) * ((-1, 1, 1) if flip else (1, 1, 1))
    matrix[:3, 3] = origin
    return matrix


@pytest.fixture
def transform(scene):
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
def bent(scene):
    """A smooth transform that is not linear."""
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in np.ndindex(2, 2, 2):
        point = np.array(corner) * 30.0 - 5
        source.InsertNextPoint(*point)
        target.InsertNextPoint(*(point + (4 if corner == (1, 0, 1) else 0)))
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    node.SetAndObserveTransformToParent(spline)
    return node


def put_under(volume, node):
    volume.SetAndObserveTransformNodeID(node.GetID())
    return volume


# --- one grid or not -----------------------------------------------------


def test_the_matrix_is_the_nodes_own_to_the_last_digit(volume_from, transform):
    matrix = turned((10, 20, 30), (0.9, 0.9, 2.5), (-3, 5, 1 / 3), flip=True)
    volume = put_under(volume_from(np.zeros((2, 3, 4)), matrix), transform(turned((5, 5, 5))))
    np.testing.assert_allclose(grids.ijk_to_ras(volume), matrix, rtol=0, atol=1e-14)
    assert grids.size_of(volume) == (4, 3, 2)


def test_a_volume_without_voxels_has_no_size(scene):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert grids.size_of(volume) == (0, 0, 0)
    volume.SetAndObserveImageData(vtk.vtkImageData())
    assert grids.size_of(volume) == (0, 0, 0)


@pytest.mark.parametrize("flip", [False, True])
def test_equal_grids_and_rounding_are_one_grid(volume_from, flip):
    matrix = turned((3, -7, 11), (0.5, 0.5, 3), (10, -20, 30), flip)
    other = matrix.copy()
    other[:3, 3] += 5e-4
    other[:3, :3] *= 1 + 5e-6
    assert grids.same_grid(*(volume_from(np.zeros((4, 5, 6)), one) for one in (matrix, other))) is None


@pytest.mark.parametrize(
    ("shape", "change", "said"),
    [
        ((4, 5, 7), np.eye(4), "numbers of voxels differ (6 x 5 x 4 and 7 x 5 x 4)"),
        ((4, 5, 6), np.diag([1, 1, 1.01, 1]), "voxel sizes differ (1 x 1 x 1 and 1 x 1 x 1.01 mm)"),
        ((4, 5, 6), turned((1, 0, 0)), "directions"),
        ((4, 5, 6), np.diag([-1, 1, 1, 1]), "directions"),
        ((4, 5, 6), turned((0, 0, 0), origin=(0, 2.5, 0)), "2.5 mm apart"),
    ],
)
def test_what_differs_is_said(volume_from, shape, change, said):
    difference = grids.same_grid(
        volume_from(np.zeros((4, 5, 6)), np.eye(4)), volume_from(np.zeros(shape), change)
    )
    assert said in difference


def test_transforms_count_the_place_is_the_worlds(volume_from, transform):
    shift = turned((0, 0, 0), origin=(7, 0, 0))
    first, other = (volume_from(np.zeros((4, 5, 6)), np.eye(4)) for _ in range(2))
    put_under(other, transform(shift))
    assert "7 mm apart" in grids.same_grid(first, other)
    undone = volume_from(np.zeros((4, 5, 6)), np.linalg.inv(shift))
    assert grids.same_grid(first, put_under(undone, transform(shift))) is None


def test_two_volumes_under_one_bent_transform_are_one_grid(volume_from, bent):
    first, other = (put_under(volume_from(np.zeros((4, 5, 6)), np.eye(4)), bent) for _ in range(2))
    assert grids.same_grid(first, other) is None
    other.SetAndObserveTransformNodeID(None)
    assert "not linear" in grids.same_grid(first, other)


# --- resampling ----------------------------------------------------------


def expected_on(reference, volume, array, world=lambda points: points):
    """Linear interpolation by SciPy; `world` leads from the reference's frame to the volume's (RAS)."""
    index = np.stack(np.meshgrid(*(range(n) for n in grids.size_of(reference)), indexing="ij"), axis=-1)
    matrix, back = grids.ijk_to_ras(reference), np.linalg.inv(grids.ijk_to_ras(volume))
    ras = world(index.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    ijk = ras @ back[:3, :3].T + back[:3, 3]
    found = map_coordinates(array.astype(float), ijk[:, ::-1].T, order=1, mode="nearest")
    inside = np.all((ijk >= 0) & (ijk <= np.array(array.shape[::-1]) - 1), axis=1)
    shape = grids.size_of(reference)
    return (
        found.reshape(shape).transpose(2, 1, 0),
        inside.reshape(shape).transpose(2, 1, 0),
        np.all((ijk < -0.6) | (ijk > np.array(array.shape[::-1]) - 0.4), axis=1)
        .reshape(shape)
        .transpose(2, 1, 0),
    )


def compare(result, reference, volume, array, world=lambda points: points):
    found = slicer.util.arrayFromVolume(result)
    expected, inside, outside = expected_on(reference, volume, array, world)
    assert inside.mean() > 0.2
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-3 * np.ptp(array))
    assert (found[outside] == array.min()).all()


def test_resampling_an_oblique_volume(volume_from):
    array = RNG.normal(100, 30, (14, 16, 18)).astype(np.float32)
    volume = volume_from(array, turned((12, -8, 25), (1.2, 0.8, 1.5), (16, 1, -3), flip=True), name="T2")
    reference = volume_from(
        np.zeros((12, 13, 15)), turned((-5, 0, 8), (1.1, 1.0, 1.3), (1, 3, -2)), name="T1"
    )
    result = grids.resample_to(volume, reference)
    compare(result, reference, volume, array)
    assert result.GetName() == "T2 on T1"
    assert grids.same_grid(reference, result) is None
    assert slicer.util.arrayFromVolume(result).dtype == np.float32
    assert result.GetDisplayNode() is not None


def test_resampling_onto_the_own_grid_changes_nothing(volume_from):
    array = RNG.integers(-1000, 3000, (5, 6, 7)).astype(np.int16)
    matrix = turned((12, -8, 25), (1.2, 0.8, 1.5), (2, 1, -3))
    result = grids.resample_to(volume_from(array, matrix), volume_from(np.zeros((5, 6, 7)), matrix, "R"))
    np.testing.assert_allclose(slicer.util.arrayFromVolume(result), array, atol=1e-2)


def test_transforms_of_both_count(volume_from, transform):
    array = RNG.normal(0, 1, (14, 16, 18)).astype(np.float32)
    above, below = turned((0, 0, 20), origin=(1, 2, 3)), turned((10, 0, 0), origin=(-2, 0, 1))
    outer = transform(turned((0, 15, 0), origin=(3, 0, 0)))
    volume = put_under(volume_from(array, np.eye(4), "T2"), transform(above, parent=outer))
    reference = put_under(volume_from(np.zeros((12, 13, 15)), np.eye(4), "T1"), transform(below))
    chain = np.linalg.inv(turned((0, 15, 0), origin=(3, 0, 0)) @ above) @ below
    result = grids.resample_to(volume, reference)
    compare(result, reference, volume, array, lambda points: points @ chain[:3, :3].T + chain[:3, 3])
    assert result.GetTransformNodeID() == reference.GetTransformNodeID()
    assert grids.same_grid(reference, result) is None


def test_a_bent_transform_is_followed(volume_from, bent):
    array = np.add.outer(np.add.outer(np.arange(20.0), 2 * np.arange(22.0)), -np.arange(24.0)).astype(
        np.float32
    )
    volume = put_under(volume_from(array, np.eye(4), "T2"), bent)
    reference = volume_from(np.zeros((18, 18, 18)), turned((0, 0, 0), origin=(2, 2, 2)), "T1")
    inverse = bent.GetTransformFromParent()

    def world(points):
        return np.array([inverse.TransformPoint(*point) for point in points])

    result = grids.resample_to(volume, reference)
    compare(result, reference, volume, array, world)
    plain, _, _ = expected_on(reference, volume, array)
    assert np.abs(slicer.util.arrayFromVolume(result) - plain).max() > 1, "the transform does something here"


def test_the_result_lies_beside_the_volume_in_the_tree(scene, volume_from):
    volume, reference = volume_from(np.ones((3, 3, 3)), name="T2"), volume_from(np.ones((3, 3, 3)), name="T1")
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = tree.CreateStudyItem(tree.GetSceneItemID(), "Study")
    tree.SetItemParent(tree.GetItemByDataNode(volume), study)
    result = grids.resample_to(volume, reference)
    assert tree.GetItemParent(tree.GetItemByDataNode(result)) == study


def test_a_second_result_gets_a_name_of_its_own(volume_from):
    volume, reference = volume_from(np.ones((3, 3, 3)), name="T2"), volume_from(np.ones((3, 3, 3)), name="T1")
    names = {grids.resample_to(volume, reference).GetName() for _ in range(2)}
    assert len(names) == 2


def test_what_cannot_be_resampled_is_refused(scene, volume_from):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    whole = volume_from(np.ones((3, 3, 3)))
    colour = slicer.util.addVolumeFromArray(np.ones((3, 3, 3, 3)), nodeClassName="vtkMRMLVectorVolumeNode")
    before = scene.GetNumberOfNodes()
    for volume, reference in ((empty, whole), (whole, empty), (colour, whole)):
        with pytest.raises(SceneError, match="resampled"):
            grids.resample_to(volume, reference)
    assert scene.GetNumberOfNodes() == before
