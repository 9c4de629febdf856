"""Volumes of segments, counted in the voxels as they are now, also after editing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import slicer
import vtk

from UMambaSegmentationLib.scene import labelmaps
from UMambaSegmentationLib.scene.display import place_beside
from UMambaSegmentationLib.scene.merging import segment_ids
from UMambaSegmentationLib.scene.sequences import frames_of

TABLE_ROLE = "UMamba.VolumesTable"
_INPUT_ROLE = "UMamba.Input"
_MM3_PER_ML = 1000.0


class SegmentVolume(NamedTuple):
    """One segment's size.

    Attributes:
        segment_id: Its identifier.
        name: Its name.
        voxels: How many it has.
        ml: Their volume on the segmentation's own grid, millilitres; parent transforms left out.
    """

    segment_id: str
    name: str
    voxels: int
    ml: float


def segment_volumes(node: slicer.vtkMRMLSegmentationNode) -> list[SegmentVolume]:
    """The size of every segment, in order. A segmentation of surfaces gets its voxels made first."""
    segmentation = node.GetSegmentation()
    if not segmentation.ContainsRepresentation(labelmaps.labelmap_name()):
        node.CreateBinaryLabelmapRepresentation()
    counts: dict[slicer.vtkOrientedImageData, np.ndarray] = {}
    volumes = []
    for segment_id in segment_ids(segmentation):
        segment = segmentation.GetSegment(segment_id)
        image = labelmaps.segment_image(segment)
        voxels, ml = 0, 0.0
        if image is not None:
            if image not in counts:
                counts[image] = labelmaps.count_values(labelmaps.image_array(image))
            voxels = int(counts[image][segment.GetLabelValue()])
            ml = voxels * float(np.prod(image.GetSpacing())) / _MM3_PER_ML
        volumes.append(SegmentVolume(segment_id, segment.GetName(), voxels, ml))
    return volumes


def volumes_table(
    node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode | None = None
) -> slicer.vtkMRMLTableNode:
    """Write a segmentation's volumes to its table node; the first call makes that.

    Columns: segment, voxels, ml; for a sequence of segmentations also frame, the value of its index, with
    all frames one below the other.

    Args:
        node: The segmentation, or the one that stands for a sequence.
        volume: Whose place in the tree a new table shares; None for the one that was segmented.
    """
    frames = frames_of(node)
    rows: list[tuple[str, SegmentVolume]] = []
    if frames is None:
        rows = [("", found) for found in segment_volumes(node)]
    else:
        for index in range(frames.count):
            rows += [(frames.value(index), found) for found in segment_volumes(frames.node(index))]
    table = node.GetNodeReference(TABLE_ROLE)
    if table is None:
        name = slicer.mrmlScene.GenerateUniqueName(f"{node.GetName()} volumes")
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
        node.SetNodeReferenceID(TABLE_ROLE, table.GetID())
        place_beside(table, volume or node.GetNodeReference(_INPUT_ROLE) or node)
    modifying = table.StartModify()
    _write(table, rows, frames is not None)
    table.EndModify(modifying)
    return table


def _write(table: slicer.vtkMRMLTableNode, rows: Sequence[tuple[str, SegmentVolume]], by_frame: bool) -> None:
    table.RemoveAllColumns()
    if by_frame:
        _add(table, "frame", vtk.vtkStringArray(), [frame for frame, _found in rows])
    _add(table, "segment", vtk.vtkStringArray(), [found.name for _frame, found in rows])
    _add(table, "voxels", vtk.vtkLongLongArray(), [found.voxels for _frame, found in rows])
    _add(table, "ml", vtk.vtkDoubleArray(), [found.ml for _frame, found in rows])
    table.SetUseColumnTitleAsColumnHeader(True)


def _add(
    table: slicer.vtkMRMLTableNode, name: str, column: vtk.vtkAbstractArray, values: Sequence[object]
) -> None:
    column.SetName(name)
    for value in values:
        column.InsertNextValue(value)
    table.AddColumn(column)
