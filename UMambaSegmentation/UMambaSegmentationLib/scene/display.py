"""Where a segmentation is seen: in the tree, in 3D, in the Segment Editor; all bear having no window."""

from __future__ import annotations

import slicer


def place_beside(node: slicer.vtkMRMLNode, volume: slicer.vtkMRMLNode) -> None:
    """Put a node into the volume's study (or folder) of the tree, where the tree knows both."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, at = (tree.GetItemByDataNode(one) for one in (node, volume)) if tree is not None else (0, 0)
    if item and at:
        tree.SetItemParent(item, tree.GetItemParent(at))


def show_in_3d(node: slicer.vtkMRMLSegmentationNode, visible: bool = True) -> None:
    """Show a segmentation's surfaces in the 3D views, or hide them; other nodes stay as they are.

    The surfaces are made at the first time (seconds for a hundred segments) and kept.
    """
    if visible:
        node.CreateClosedSurfaceRepresentation()
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetVisibility3D(visible)
    if visible and slicer.app.layoutManager() is not None:
        slicer.util.resetThreeDViews()


def is_shown_in_3d(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether the segmentation's surfaces are there and visible."""
    display = node.GetDisplayNode()
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    there = node.GetSegmentation().ContainsRepresentation(name)
    return bool(there and display is not None and display.GetVisibility3D())


def edit_in_segment_editor(
    node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode | None
) -> bool:
    """Open the Segment Editor on a segmentation and its volume.

    Returns:
        False where there is no window, no Segment Editor, or the segmentation has left the scene.
    """
    if not hasattr(slicer.modules, "segmenteditor") or not slicer.mrmlScene.IsNodePresent(node):
        return False
    try:
        slicer.util.selectModule("SegmentEditor")
    except RuntimeError:  # Slicer without its main window
        return False
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(node)
    if volume is not None:
        editor.setSourceVolumeNode(volume)  # after the segmentation, which chooses a volume of its own
    return True
