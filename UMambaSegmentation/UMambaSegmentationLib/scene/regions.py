"""Regions to the engine: a markups ROI as a box, a placed point as the place to look around.

Both are given in mm, LPS, in the volume's own frame: the transforms of region and volume are taken out.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.grids import RAS_TO_LPS, array_of_matrix, ijk_to_ras, size_of

# Points along each edge of an ROI that are followed through a bent transform, where corners are not enough.
_BENT_STEPS = 9


def region_options(region: slicer.vtkMRMLNode | None, volume: slicer.vtkMRMLVolumeNode) -> dict[str, Any]:
    """The options that say where a run looks.

    Args:
        region: None (the whole volume), a markups ROI, turned or not, or a list of points, of which the last
            placed one counts.
        volume: The first channel.

    Returns:
        Nothing; or roi, [x0, x1, y0, y1, z0, z1], the box around the ROI; or around, [x, y, z].

    Raises:
        SceneError: Nothing was placed yet, or it lies outside the volume.
    """
    if region is None:
        return {}
    if region.IsA("vtkMRMLMarkupsROINode"):
        points = _in_frame(_roi_points(region, _is_bent(region, volume)), volume)
        low, high = points.min(axis=0), points.max(axis=0)
        if not _touches(low, high, volume):
            raise SceneError(_("The region lies outside the volume: move it, or choose the whole volume."))
        return {"roi": [float(value) for pair in zip(low, high, strict=True) for value in pair]}
    if region.IsA("vtkMRMLMarkupsFiducialNode"):
        point = _in_frame(_last_point(region)[None], volume)[0]
        if not _holds(point, volume):
            raise SceneError(_("The point lies outside the volume: click on the structure in the volume."))
        return {"around": [float(value) for value in point]}
    raise SceneError(_("Choose a region of interest (ROI) or a point as region."))


def box_excess(region: slicer.vtkMRMLMarkupsROINode, volume: slicer.vtkMRMLVolumeNode) -> float:
    """How many times larger the box that is used is than a turned ROI itself; 1 for one that is not turned.

    Raises:
        SceneError: As `region_options`.
    """
    roi = region_options(region, volume)["roi"]
    used = float(np.prod(np.subtract(roi[1::2], roi[0::2])))
    corners = _in_frame(_roi_points(region, False), volume)
    edges = corners[[1, 2, 4]] - corners[0]  # the neighbours of the first corner along each axis
    return max(1.0, used / abs(float(np.linalg.det(edges))))


def _roi_points(roi: slicer.vtkMRMLMarkupsROINode, bent: bool) -> np.ndarray:
    """Corners of an ROI in the world, (8, 3), mm, RAS, the last axis fastest; bent: a lattice over it."""
    size = np.array(roi.GetSize(), dtype=np.float64)
    if not roi.GetNumberOfDefinedControlPoints() or not size.all():
        raise SceneError(_("The region is empty: draw a box first."))
    steps = np.linspace(-0.5, 0.5, _BENT_STEPS if bent else 2)
    lattice = np.array(list(product(steps, repeat=3))) * size
    matrix = array_of_matrix(roi.GetObjectToWorldMatrix())
    return lattice @ matrix[:3, :3].T + matrix[:3, 3]


def _last_point(points: slicer.vtkMRMLMarkupsFiducialNode) -> np.ndarray:
    """The last placed point in the world, (3,), mm, RAS."""
    for index in reversed(range(points.GetNumberOfControlPoints())):
        if points.GetNthControlPointPositionStatus(index) == points.PositionDefined:
            return np.array(points.GetNthControlPointPositionWorld(index))
    raise SceneError(_("No point is placed yet: press the point button and click on the structure."))


def _in_frame(points: np.ndarray, volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Points of the world, (n, 3), RAS, in the volume's own frame, LPS."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, volume.GetParentTransformNode(), transform)
    moved = np.array([transform.TransformPoint(*(float(value) for value in point)) for point in points])
    return moved * RAS_TO_LPS


def _is_bent(region: slicer.vtkMRMLNode, volume: slicer.vtkMRMLVolumeNode) -> bool:
    parents = (region.GetParentTransformNode(), volume.GetParentTransformNode())
    return any(parent is not None and not parent.IsTransformToWorldLinear() for parent in parents)


def _to_index(points: np.ndarray, volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Points in the volume's own frame, (n, 3), LPS, as voxel indices."""
    matrix = np.linalg.inv(ijk_to_ras(volume))
    return points * RAS_TO_LPS @ matrix[:3, :3].T + matrix[:3, 3]


def _holds(point: np.ndarray, volume: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a point lies in the volume, as the engine sees it: up to half a voxel around the centres."""
    index = _to_index(point[None], volume)[0]
    return bool(np.all(index >= -0.5) and np.all(index <= np.array(size_of(volume)) - 0.5))


def _touches(low: np.ndarray, high: np.ndarray, volume: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a box and the volume can meet, judged along the axes of both."""
    last = np.array(size_of(volume)) - 1
    matrix = ijk_to_ras(volume)
    corners = np.array(list(product(*((0, end) for end in last))))
    covered = (corners @ matrix[:3, :3].T + matrix[:3, 3]) * RAS_TO_LPS
    box = _to_index(np.array(list(product(*zip(low, high, strict=True)))), volume)
    return not (
        np.any(covered.max(axis=0) < low)
        or np.any(covered.min(axis=0) > high)
        or np.any(box.max(axis=0) < 0)
        or np.any(box.min(axis=0) > last)
    )
