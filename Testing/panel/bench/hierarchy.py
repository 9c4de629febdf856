"""The subject hierarchy's items, which in Slicer a Qt class makes for each new node (its plugin logic)."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

SHOWN = ("vtkMRMLDisplayableNode", "vtkMRMLTableNode", "vtkMRMLTextNode", "vtkMRMLSequenceNode")
SHOWN += ("vtkMRMLSequenceBrowserNode",)
TREE = "vtkMRMLSubjectHierarchyNode"


def follow(scene: Any) -> None:
    """Keep one item for each node that editors show, and one tree for the scene."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(caller: Any, event: str, node: Any) -> None:
        if node.IsA(TREE):
            _resolve(scene)
        elif not scene.IsImporting():
            _place(scene, node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def leaving(caller: Any, event: str, node: Any) -> None:
        if not scene.IsClosing() and not node.IsA(TREE):
            tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
            item = tree.GetItemByDataNode(node)
            if item:
                tree.RemoveItem(item, False, False)

    def imported(caller: Any, event: str) -> None:
        _resolve(scene)
        for index in range(scene.GetNumberOfNodes()):
            _place(scene, scene.GetNthNode(index))

    def closed(caller: Any, event: str) -> None:
        _resolve(scene)

    _resolve(scene)
    scene.AddObserver(scene.NodeAddedEvent, added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, leaving)
    scene.AddObserver(scene.EndImportEvent, imported)
    scene.AddObserver(scene.EndCloseEvent, closed)
    scene.AddObserver(scene.EndRestoreEvent, closed)


def _resolve(scene: Any) -> None:
    """Merge the tree of a file into the scene's, or make one."""
    slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)


def _place(scene: Any, node: Any) -> None:
    if node is None or node.GetHideFromEditors() or not any(node.IsA(name) for name in SHOWN):
        return
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if not tree.GetItemByDataNode(node):
        tree.CreateItem(tree.GetSceneItemID(), node)
