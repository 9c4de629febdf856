"""Grids, label maps and cards for the tests of segmentations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from UMambaSegmentationLib.cards import Card, parse_card

ROOT = Path(__file__).resolve().parents[3]
HIPPOCAMPUS = ROOT / "Resources" / "Models" / "hippocampus-mr"
SHAPE = (7, 9, 11)
PROVENANCE = {
    "engine": "umamba",
    "engine_version": "0.1.0",
    "date": "2026-03-01T10:20:30+00:00",
    "device_name": 'CPU "é" 50 %; <a&b>|c:d',
    "plan": {"tiles": 3, "line": "CPU, 2 threads"},
    "region_mm_lps": [1.5, -2.5, 3.0],
}


def rotation() -> np.ndarray:
    """A turn about no axis of the grid."""
    transform = vtk.vtkTransform()
    transform.RotateWXYZ(33.0, 0.3, -0.7, 0.5)
    return slicer.util.arrayFromVTKMatrix(transform.GetMatrix())


def grids() -> dict[str, np.ndarray]:
    """Matrices from IJK to RAS by what is special about them."""
    oblique = rotation() @ np.diag([0.7, 0.9, 2.3, 1.0])
    oblique[:3, 3] = 12.3, -45.6, 78.9
    left_handed = oblique @ np.diag([-1.0, 1.0, 1.0, 1.0])
    permuted = np.array([[0, 0, -2.0, 5], [1.0, 0, 0, 6], [0, -0.5, 0, 7], [0, 0, 0, 1]])
    tiny = np.diag([2e-4, 2e-4, 1e-3, 1.0])
    return {
        "plain": np.diag([-1.0, -1.0, 1.0, 1.0]),
        "oblique": oblique,
        "left-handed": left_handed,
        "permuted": permuted,
        "microscope": rotation() @ tiny,
    }


def label_map(count: int = 3, shape: tuple[int, int, int] = SHAPE, dtype: type = np.uint8) -> np.ndarray:
    """Values 0 to `count` all over a grid, in no order that a mirrored or shifted copy would have too."""
    return np.random.default_rng(7).integers(0, count + 1, shape).astype(dtype)


def hippocampus() -> Card:
    """The card of the bundled model."""
    return parse_card(json.loads((HIPPOCAMPUS / "card.json").read_text()), HIPPOCAMPUS, "bundled", 1)


def card(names: list[str] | None = None, **changes: Any) -> Card:
    """A card whose labels 1, 2, 3 ... have these names and no codes."""
    names = names or ["Liver", "Spleen", "Something odd"]
    raw = json.loads((HIPPOCAMPUS / "card.json").read_text())
    raw["id"] = "test-model"
    raw["labels"] = [
        {
            "value": value,
            "key": f"key_{value}",
            "name": name,
            "color": [value % 256, (37 * value + 1) % 256, 255 - value % 256],
        }
        for value, name in enumerate(names, start=1)
    ]
    return parse_card(raw | changes, HIPPOCAMPUS, "bundled", 1)


def segments(node: Any) -> dict[str, Any]:
    """A segmentation's segments by name, in order; the names differ."""
    segmentation = node.GetSegmentation()
    found = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    by_name = {segment.GetName(): segment for segment in found}
    assert len(by_name) == len(found)
    return by_name


def voxels(node: Any, name: str, volume: Any) -> np.ndarray:
    """A segment's voxels on a volume's grid, (K, J, I) bool, exported by Slicer itself."""
    segmentation = node.GetSegmentation()
    identifier = segmentation.GetSegmentIdBySegment(segments(node)[name])
    found = slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, volume)
    assert found.shape == slicer.util.arrayFromVolume(volume).shape
    return found > 0


def draw(node: Any, name: str, mask: np.ndarray, volume: Any) -> None:
    """Give a segment other voxels, as a person does with the Segment Editor; a new one if there is none."""
    segmentation = node.GetSegmentation()
    found = segments(node).get(name)
    identifier = (
        segmentation.GetSegmentIdBySegment(found) if found else segmentation.AddEmptySegment("", name)
    )
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, identifier, volume)


def node_ids(scene: Any) -> set[str]:
    """Identifiers of all nodes."""
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def saved_and_read_again(scene: Any, file: Path) -> None:
    """Save the scene as a bundle, clear it, read the bundle."""
    # Subject hierarchies are left out: merging them is the work of a desktop plugin.
    scene.RemoveNode(scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode"))
    assert scene.WriteToMRB(str(file))
    scene.Clear(0)
    scene.RemoveNode(scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode"))
    assert scene.ReadFromMRB(str(file))
