"""The main path with nothing replaced: what `UMambaSegmentationTest` runs inside Slicer."""

from __future__ import annotations

import sys
import unittest
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.client.packages import status
from UMambaSegmentationLib.paths import shared_resources
from UMambaSegmentationLib.scene.grids import ijk_to_ras
from UMambaSegmentationLib.scene.sample_data import FILE
from UMambaSegmentationLib.scene.tables import segment_volumes

if TYPE_CHECKING:
    from UMambaSegmentation import UMambaSegmentationLogic

MODEL = "hippocampus-mr"
# Middle of the template's left hippocampus, mm, RAS.
POINT = (-28.0, -20.0, -14.0)
# Both parts of one hippocampus of an adult together, with room on both sides.
LEAST_ML, MOST_ML = 1.5, 6.0
PATIENCE_S = 600.0


def run_main_path(test: unittest.TestCase, logic: UMambaSegmentationLogic) -> None:
    """Segment the bundled head around a point, look at the result, cancel a second run.

    Skips the test where the engine is not installed or the sample volume did not come with the module.
    """
    folder = shared_resources("SampleData")
    if not status().ready or folder is None:
        test.skipTest(_("The engine or the sample volume is not installed; open Set-up in the module."))
    volume = slicer.modules.volumes.logic().AddArchetypeVolume(str(folder / FILE), "head")
    point = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "point")
    point.AddControlPointWorld(*POINT)

    assert MODEL in [card.id for card in logic.models()]
    assert logic.plan(volume, MODEL, region=point)["line"]
    segmentation = logic.process(volume, MODEL, region=point)
    _look_at(segmentation, volume)

    table = logic.volumesTable(segmentation)
    assert table.GetNumberOfRows() == 2

    nodes = slicer.mrmlScene.GetNumberOfNodes()
    run = logic.start(volume, MODEL)
    run.cancel()
    assert run.state == "cancelled"
    assert run.wait(PATIENCE_S)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert "torch" not in sys.modules


def _look_at(segmentation: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Names, volumes, and where the voxels lie."""
    rows = segment_volumes(segmentation)
    assert [row.name for row in rows] == ["Anterior hippocampus", "Posterior hippocampus"]
    assert sum(row.ml for row in rows) > LEAST_ML
    assert sum(row.ml for row in rows) < MOST_ML
    centres = []
    for row in rows:
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, row.segment_id, volume)
        assert int(np.count_nonzero(voxels)) == row.voxels
        kji = np.argwhere(voxels).mean(axis=0)
        centres.append((ijk_to_ras(volume) @ [*kji[::-1], 1.0])[:3])
    for centre in centres:
        assert float(np.linalg.norm(centre - POINT)) < 30.0
    assert centres[0][1] > centres[1][1], "anterior lies behind posterior"
