"""The subject hierarchy's items, which in Slicer a Qt plugin makes for each new node."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

SHOWN = ("vtkMRMLDisplayableNode", "vtkMRMLTableNode", "vtkMRMLTextNode", "vtkMRMLSequenceNode")
SHOWN += ("vtkMRMLSequenceBrowserNode",)


def follow(scene: Any) -> None:
    """Keep one item for each node that editors show."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(caller: Any, event: str, node: Any) -> None:
        if not scene.IsImporting():
            _place(scene, node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def leaving(caller: Any, event: str, node: Any) -> None:
        tree = _tree(scene)
        if scene.IsClosing() or tree is None or node is tree:
            return
        item = tree.GetItemByDataNode(node)
        if item:
            tree.RemoveItem(item, False, False)

    def imported(caller: Any, event: str) -> None:
        for index in range(scene.GetNumberOfNodes()):
            _place(scene, scene.GetNthNode(index))

    scene.AddObserver(scene.NodeAddedEvent, added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, leaving)
    scene.AddObserver(scene.EndImportEvent, imported)


def _tree(scene: Any) -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def _place(scene: Any, node: Any) -> None:
    if node is None or node.GetHideFromEditors() or not any(node.IsA(name) for name in SHOWN):
        return
    tree = _tree(scene)
    if not tree.GetItemByDataNode(node):
        tree.CreateItem(tree.GetSceneItemID(), node)
