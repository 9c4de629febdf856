"""Label maps as Slicer's segmentations hold them: an oriented image, shared by the segments of a layer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from UMambaSegmentationLib.scene.errors import SceneError

Box = tuple[slice, slice, slice]

_SMALL = np.iinfo(np.uint8).max
_LARGEST = np.iinfo(np.uint16).max


def labelmap_name() -> str:
    """Slicer's name of the representation by voxels."""
    return str(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())


def surface_name() -> str:
    """Slicer's name of the representation by surfaces."""
    return str(slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName())


def label_image(
    labels: np.ndarray, volume: slicer.vtkMRMLScalarVolumeNode, largest: int
) -> slicer.vtkOrientedImageData:
    """A copy of `labels` on the volume's own grid (its parent transform left out), cut to what is not 0.

    Args:
        labels: (K, J, I) integers from 0 to 65535.
        volume: Whose grid it is; oblique and left-handed grids are kept as they are.
        largest: The largest value that a segment of this layer has, present or not.

    Raises:
        SceneError: The shape is not the volume's.
    """
    if volume.GetImageData() is None or labels.shape != volume.GetImageData().GetDimensions()[::-1]:
        raise SceneError(_("The volume is no longer the one that was segmented; run again."))
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image = slicer.vtkOrientedImageData()
    image.SetImageToWorldMatrix(matrix)
    box = _content(labels) or (slice(0, 0), slice(0, 0), slice(0, 0))
    first = volume.GetImageData().GetExtent()[::2]
    ijk = zip(box[::-1], first, strict=True)
    image.SetExtent([edge for part, at in ijk for edge in (part.start + at, part.stop + at - 1)])
    # Also for an empty map: Slicer warns when it reads one whose voxels have no type.
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR if largest <= _SMALL else vtk.VTK_UNSIGNED_SHORT, 1)
    image_array(image)[...] = labels[box]
    return image


def image_array(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """The voxels (K, J, I), not copied; of no size for an empty image."""
    scalars = image.GetPointData().GetScalars()
    if scalars is None or image.IsEmpty():
        return np.zeros((0, 0, 0), np.uint8)
    return vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])


def segment_image(segment: slicer.vtkSegment) -> slicer.vtkOrientedImageData | None:
    """The layer that a segment lies in, None where it is known by its surface alone."""
    return segment.GetRepresentation(labelmap_name())


def without(image: slicer.vtkOrientedImageData, values: Iterable[int]) -> slicer.vtkOrientedImageData:
    """A copy in which `values` are 0."""
    copy = slicer.vtkOrientedImageData()
    copy.DeepCopy(image)
    array = image_array(copy)
    array[np.isin(array, list(values))] = 0
    return copy


def count_values(labels: np.ndarray) -> np.ndarray:
    """Voxels of each value from 0 to 65535 (or the largest), counted slice by slice to stay small."""
    counts = np.zeros(max(_LARGEST, int(labels.max(initial=0))) + 1, np.int64)
    for plane in labels:
        found = np.bincount(plane.ravel())
        counts[: len(found)] += found
    return counts


def boxes(labels: np.ndarray) -> dict[int, Box]:
    """The smallest box around each value above 0, all in one pass.

    Of every run of equal voxels along a row only the ends are looked at: in a body they are few.
    """
    size = int(labels.max(initial=0)) + 1
    present = [np.zeros((length, size), dtype=bool) for length in labels.shape]
    for index, plane in enumerate(labels):
        changes = plane[:, 1:] != plane[:, :-1]
        inside = plane > 0
        for ends in (
            np.pad(changes, ((0, 0), (1, 0)), constant_values=True),
            np.pad(changes, ((0, 0), (0, 1)), constant_values=True),
        ):
            rows, columns = np.nonzero(ends & inside)
            values = plane[rows, columns]
            present[0][index, values] = True
            present[1][rows, values] = True
            present[2][columns, values] = True
    if not labels.size:
        return {}
    starts = [axis.argmax(axis=0) for axis in present]
    stops = [len(axis) - axis[::-1].argmax(axis=0) for axis in present]
    return {
        int(value): (
            slice(int(starts[0][value]), int(stops[0][value])),
            slice(int(starts[1][value]), int(stops[1][value])),
            slice(int(starts[2][value]), int(stops[2][value])),
        )
        for value in np.flatnonzero(present[0].any(axis=0))
    }


def _content(labels: np.ndarray) -> Box | None:
    """The box around everything above 0, None for an empty map."""
    kept = []
    for others in ((1, 2), (0, 2), (0, 1)):
        found = np.flatnonzero(labels.any(axis=others))
        if not len(found):
            return None
        kept.append(slice(int(found[0]), int(found[-1]) + 1))
    return kept[0], kept[1], kept[2]
