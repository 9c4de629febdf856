"""Grids of volumes: where voxels lie, whether two volumes share them, bringing one onto another's."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from UMambaSegmentationLib.scene.errors import SceneError

# As the engine compares channels: relative for spacings; mm for origins and cosines for directions.
SAME_SPACING = 1e-4
SAME_PLACE = 1e-3

RAS_TO_LPS = np.array((-1.0, -1.0, 1.0))


def ijk_to_ras(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Voxel index (i, j, k, 1) to mm, RAS, without the parent transform; (4, 4) float64."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return array_of_matrix(matrix)


def array_of_matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A VTK matrix as (4, 4) float64."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def size_of(volume: slicer.vtkMRMLVolumeNode) -> tuple[int, int, int]:
    """Voxels along i, j, k; zeros for a volume without voxels."""
    image = volume.GetImageData()
    return (0, 0, 0) if image is None or not image.GetNumberOfPoints() else tuple(image.GetDimensions())


def same_grid(
    first: slicer.vtkMRMLVolumeNode, other: slicer.vtkMRMLVolumeNode, tolerance: float = SAME_PLACE
) -> str | None:
    """None where two volumes have one grid at one place in the world, else a sentence that says what differs.

    Args:
        first, other: The volumes, each with the transform that it lies under.
        tolerance: mm for origins, cosines for directions.
    """
    if size_of(first) != size_of(other):
        return _("the numbers of voxels differ ({first} and {other})").format(
            first=_by(size_of(first)), other=_by(size_of(other))
        )
    between = matrix_between(other.GetParentTransformNode(), first.GetParentTransformNode())
    if between is None:
        return _("they lie under different transforms that are not linear")
    one, two = ijk_to_ras(first), between @ ijk_to_ras(other)
    spacing_one, spacing_two = (np.linalg.norm(matrix[:3, :3], axis=0) for matrix in (one, two))
    if not np.allclose(spacing_one, spacing_two, rtol=SAME_SPACING, atol=0):
        return _("the voxel sizes differ ({first} and {other} mm)").format(
            first=_by(spacing_one), other=_by(spacing_two)
        )
    if np.abs(one[:3, :3] / spacing_one - two[:3, :3] / spacing_two).max() > tolerance:
        return _("their axes point in different directions")
    apart = float(np.abs(one[:3, 3] - two[:3, 3]).max())
    if apart > tolerance:
        return _("they lie {distance} mm apart").format(distance=f"{apart:.3g}")
    return None


def resample_to(
    volume: slicer.vtkMRMLScalarVolumeNode, reference: slicer.vtkMRMLVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume on the reference's grid and under its transform, float32, interpolated linearly.

    Both volumes' transforms count: a voxel of the result holds what lies at its place in the world. Outside
    the volume it holds the volume's smallest value.

    Raises:
        SceneError: One has no voxels, or the volume has several components.
    """
    for node in (volume, reference):
        if 0 in size_of(node):
            raise SceneError(_("A volume without voxels cannot be resampled: load it again."))
    image = volume.GetImageData()
    if image.GetNumberOfScalarComponents() != 1:
        raise SceneError(_("A colour volume cannot be resampled: choose a grey one."))
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceTransform(_index_transform(reference, volume))
    reslice.SetInterpolationModeToLinear()
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    i, j, k = size_of(reference)
    reslice.SetOutputExtent(0, i - 1, 0, j - 1, 0, k - 1)
    reslice.SetOutputScalarType(vtk.VTK_FLOAT)
    reslice.SetBackgroundLevel(image.GetScalarRange()[0])
    reslice.Update()
    return _new_volume(reslice.GetOutput(), volume, reference)


def _new_volume(
    image: vtk.vtkImageData, volume: slicer.vtkMRMLScalarVolumeNode, reference: slicer.vtkMRMLVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    scene = volume.GetScene()
    name = scene.GenerateUniqueName(f"{volume.GetName()} on {reference.GetName()}")
    result = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    matrix = vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(matrix)
    result.SetIJKToRASMatrix(matrix)
    result.SetAndObserveImageData(image)
    result.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    result.CreateDefaultDisplayNodes()
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item, beside = tree.GetItemByDataNode(result), tree.GetItemByDataNode(volume)
    if item and beside:
        tree.SetItemParent(item, tree.GetItemParent(beside))
    return result


def _index_transform(
    reference: slicer.vtkMRMLVolumeNode, volume: slicer.vtkMRMLVolumeNode
) -> vtk.vtkGeneralTransform:
    """From the reference's voxel indices to the volume's, through the world."""
    world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        reference.GetParentTransformNode(), volume.GetParentTransformNode(), world
    )
    to_ras, to_ijk = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(to_ras)
    volume.GetRASToIJKMatrix(to_ijk)
    chain = vtk.vtkGeneralTransform()
    chain.PostMultiply()
    chain.Concatenate(to_ras)
    chain.Concatenate(world)
    chain.Concatenate(to_ijk)
    return chain


def matrix_between(
    source: slicer.vtkMRMLTransformNode | None, target: slicer.vtkMRMLTransformNode | None
) -> np.ndarray | None:
    """The (4, 4) matrix between two frames, or None where no matrix can say it."""
    if source == target:
        return np.eye(4)
    one, two = (source, target) if source is not None else (target, source)
    assert one is not None  # they differ, so at most one is the world
    if not one.IsTransformToNodeLinear(two):  # asking for the matrix would log an error
        return None
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix)
    return array_of_matrix(matrix)


def _by(values: tuple[int, ...] | np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values)
