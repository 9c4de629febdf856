"""qMRMLNodeComboBox: the nodes of a scene to choose from, and entries that create, rename and delete."""

from __future__ import annotations

from typing import Any

import vtk
from PySide6 import QtCore, QtWidgets

from .base import prop, stand_in, stored
from .ctk_inputs import ctkComboBox
from .observers import Observers, Seen

NONE, NODE, ACTION = "none", "node", "action"  # kinds of entries


@stand_in
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Slicer: a QWidget around a ctkComboBox; disabled until it has a scene.

    Properties as below, with the C++ class's defaults: add and remove are on, none is off. Without a None
    entry the first node is chosen when the scene comes, and, where no entries act, the first that is added.
    When the current node goes, the next one is current, else the last one, else none. Renaming the current
    node also emits currentNodeChanged, since the C++ class listens to the entry's text.
    """

    CXX_SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_currentNodeValid",
        "currentNodeIDChanged(QString)": "currentNodeIDChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAddedByUserAction(vtkMRMLNode*)": "nodeAddedByUserAction",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
        "nodeAboutToBeEdited(vtkMRMLNode*)": "nodeAboutToBeEdited",
        "currentNodeRenamed(QString)": "currentNodeRenamed",
    }
    currentNodeChanged = QtCore.Signal(object)
    _currentNodeValid = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAddedByUserAction = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAboutToBeEdited = QtCore.Signal(object)
    currentNodeRenamed = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self._scene: Any = None
        self._watched: dict[str, Seen] = {}  # by node ID
        self._requested: str | None = None  # chosen before there was a scene
        self._nodeTypes: list[str] = []
        self._hideChildNodeTypes: list[str] = []
        self._attributes: dict[str, dict[str, str | None]] = {}
        self._baseNames: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._showHidden = self._noneEnabled = self._editEnabled = self._renameEnabled = False
        self._showChildNodeTypes = self._addEnabled = self._removeEnabled = True
        self._selectNodeUponCreation = True
        self._noneDisplay = "None"
        self._interactionNodeSingletonTag = "Singleton"
        self._told: tuple[str, str] = ("", "")  # ID and name of the node that was announced last
        super().__init__(parent)
        self._observers = Observers(self)
        self._combo = ctkComboBox(self)
        self._combo.elideMode = QtCore.Qt.ElideMiddle.value
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)
        self._combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._combo.setMinimumContentsLength(8)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self.setFocusProxy(self._combo)
        self._combo.activated.connect(self._on_activated)
        self.setEnabled(False)

    # Properties ------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        self._fill()

    def _set_base_name(self, name: str) -> None:
        if not self._nodeTypes:
            raise ValueError("baseName is set before nodeTypes: the C++ class ignores it")
        self._baseNames = dict.fromkeys(self._nodeTypes, name)

    currentNodeID = prop(
        str,
        lambda self: self.currentNode().GetID() if self.currentNode() else "",
        lambda self, value: self.setCurrentNodeID(value),
    )
    nodeTypes = stored("QStringList", "nodeTypes", _refresh)
    showHidden = stored(bool, "showHidden", _refresh)
    showChildNodeTypes = stored(bool, "showChildNodeTypes", _refresh)
    hideChildNodeTypes = stored("QStringList", "hideChildNodeTypes", _refresh)
    baseName = prop(
        str,
        lambda self: self._baseNames.get(self._nodeTypes[0], "") if self._nodeTypes else "",
        _set_base_name,
    )
    noneEnabled = stored(bool, "noneEnabled", _refresh)
    addEnabled = stored(bool, "addEnabled", _refresh)
    removeEnabled = stored(bool, "removeEnabled", _refresh)
    editEnabled = stored(bool, "editEnabled", _refresh)
    renameEnabled = stored(bool, "renameEnabled", _refresh)
    noneDisplay = stored(str, "noneDisplay", _refresh)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation")
    interactionNodeSingletonTag = stored(str, "interactionNodeSingletonTag")

    # Slots and invokable functions of the C++ class ------------------------------------------------------

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        """Listen to a scene; the widget is enabled while it has one."""
        if scene is self._scene:
            return
        self._observers.clear()
        self._watched = {}
        self._scene = scene
        if scene is not None:
            self._observers.add(scene, scene.NodeAddedEvent, self._on_node_added, vtk.VTK_OBJECT)
            self._observers.add(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_removed, vtk.VTK_OBJECT)
            for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndRestoreEvent):
                self._observers.add(scene, event, self._on_scene_changed)
        requested, self._requested = self._requested, None
        self._fill()
        if scene is not None:
            first = "" if self._noneEnabled or not self._nodes() else self._nodes()[0].GetID()
            self.setCurrentNodeID(first if requested is None else requested)
        self.setEnabled(scene is not None)

    def currentNode(self) -> Any:
        """The chosen node, or None."""
        kind, value = self._entry(self._combo.currentIndex)
        return self._scene.GetNodeByID(value) if self._scene and kind == NODE else None

    def setCurrentNode(self, node: Any) -> None:
        """Choose a node; None or one that is not listed chooses none."""
        self.setCurrentNodeID(node.GetID() if node else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        """Choose a node by its ID; before there is a scene the wish is kept."""
        if self._scene is None:
            self._requested = node_id
            return
        row = self._row(node_id) if node_id else -1
        if row < 0:
            row = 0 if self._noneEnabled else -1
        self._combo.setCurrentIndex(row)
        self._tell()

    def setCurrentNodeIndex(self, index: int) -> None:
        """Choose the n-th node, none not counted."""
        nodes = self._nodes()
        self.setCurrentNodeID(nodes[index].GetID() if 0 <= index < len(nodes) else "")

    def nodeCount(self) -> int:
        """How many nodes are listed."""
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> Any:
        """The n-th node, or None."""
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """List nodes of a type only with this attribute; new nodes get it."""
        self._attributes.setdefault(node_type, {})[name] = value
        self._fill()

    def removeAttribute(self, node_type: str, name: str) -> None:
        """Undo addAttribute."""
        self._attributes.get(node_type, {}).pop(name, None)
        self._fill()

    def setNodeTypeLabel(self, label: str, node_type: str) -> None:
        """Name of a type in the entries that create."""
        self._labels[node_type] = label
        self._fill()

    def nodeTypeLabel(self, node_type: str) -> str:
        """Name of a type: as set, else the scene's own, else "node"."""
        own = self._scene.GetTypeDisplayNameByClassName(node_type) if self._scene and node_type else ""
        return self._labels.get(node_type) or own or "node"

    def addNode(self, node_type: str | None = None) -> Any:
        """Create a node named after baseName, as the entry "Create new ..." does."""
        node_type = node_type or (self._nodeTypes[0] if self._nodeTypes else None)
        if node_type not in self._nodeTypes or self._scene is None:
            return None
        node = self._scene.CreateNodeByClass(node_type)
        node.UnRegister(None)
        base = self._baseNames.get(node_type) or node.GetNodeTagName()
        node.SetName(self._scene.GenerateUniqueName(base))
        for name, value in self._attributes.get(node_type, {}).items():
            node.SetAttribute(name, value or "")
        node = self._scene.AddNode(node)
        if self._selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        """Delete the chosen node."""
        self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self) -> None:
        """Asks for a name in Slicer; here nobody could answer."""
        raise RuntimeError("a dialog for the node's name opens here: use node.SetName instead")

    # Entries ---------------------------------------------------------------------------------------------

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        every = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in every if self._listed(node)]

    def _listed(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self._showHidden:
            return False
        if any(node.IsA(name) for name in self._hideChildNodeTypes):
            return False
        for name in self._nodeTypes:
            if node.IsA(name) if self._showChildNodeTypes else node.GetClassName() == name:
                return all(
                    node.GetAttribute(key) is not None and value in (None, node.GetAttribute(key))
                    for key, value in self._attributes.get(name, {}).items()
                )
        return False

    def _actions(self) -> list[tuple[str, str]]:
        if self._scene is None:
            return []
        common = self.nodeTypeLabel(self._nodeTypes[0] if len(self._nodeTypes) == 1 else "")
        found = [(f"Rename current {common}", "rename")] if self._renameEnabled else []
        found += [(f"Edit current {common}", "edit")] if self._editEnabled else []
        if self._addEnabled:
            for name in self._nodeTypes:
                found.append((f"Create new {self.nodeTypeLabel(name)}", f"create/{name}"))
                if self._renameEnabled:
                    found.append((f"Create new {self.nodeTypeLabel(name)} as...", "rename"))
        return found + ([(f"Delete current {common}", "delete")] if self._removeEnabled else [])

    def _entry(self, row: int) -> tuple[str, str]:
        return tuple(self._combo.itemData(row) or (NONE, "")) if row >= 0 else (NONE, "")

    def _row(self, node_id: str) -> int:
        rows = range(self._combo.count)
        return next((row for row in rows if self._entry(row) == (NODE, node_id)), -1)

    def _fill(self, leaving: Any = None) -> None:
        """Write all entries anew and keep the choice, or move it if its node has gone."""
        combo = self._combo
        was_empty, before = combo.count == 0, combo.currentIndex
        kind, chosen = self._entry(before)
        nodes = [node for node in self._nodes() if node is not leaving]
        blocked = combo.blockSignals(True)
        combo.clear()
        if self._noneEnabled:
            combo.addItem(self._noneDisplay, (NONE, ""))
        for node in nodes:
            combo.addItem(node.GetName() or "", (NODE, node.GetID()))
        actions = self._actions()
        if actions:
            combo.insertSeparator(combo.count)
        for text, action in actions:
            combo.addItem(text, (ACTION, action))
        first = 1 if self._noneEnabled else 0
        row = self._row(chosen) if kind == NODE else (0 if self._noneEnabled else -1)
        if kind == NODE and row < 0:
            row = min(before, first + len(nodes) - 1) if nodes else (0 if self._noneEnabled else -1)
        if row < 0 and was_empty and len(nodes) == combo.count == 1:
            row = 0
        combo.setCurrentIndex(row)
        combo.defaultText = f"Select a {self.nodeTypeLabel(self._nodeTypes[0] if self._nodeTypes else '')}"
        combo.blockSignals(blocked)
        self._watch(nodes)
        self._tell()

    def _watch(self, nodes: list[Any]) -> None:
        """Observe nodes of our types, listed or hidden: a name or HideFromEditors may change."""
        wanted = {node.GetID(): node for node in nodes}
        for node_id in [known for known in self._watched if known not in wanted]:
            node = self._watched[node_id][0]
            if not node.GetHideFromEditors() or node.GetScene() is None:
                self._observers.remove(self._watched.pop(node_id))
        for node_id, node in wanted.items():
            if node_id not in self._watched:
                self._watched[node_id] = self._observers.add(node, "ModifiedEvent", self._on_node_modified)

    def _tell(self) -> None:
        node = self.currentNode()
        now = (node.GetID(), node.GetName() or "") if node else ("", "")
        if now != self._told:
            self._told = now
            self.currentNodeChanged.emit(node)
            self._currentNodeValid.emit(node is not None)
            self.currentNodeIDChanged.emit(now[0])

    # Events ----------------------------------------------------------------------------------------------

    def _on_node_added(self, scene: Any, event: str, node: Any) -> None:
        if any(node.IsA(name) for name in self._nodeTypes):
            self._fill()
            if self._listed(node):
                self.nodeAdded.emit(node)

    def _on_node_removed(self, scene: Any, event: str, node: Any) -> None:
        if any(node.IsA(name) for name in self._nodeTypes):
            if self._listed(node):
                self.nodeAboutToBeRemoved.emit(node)
            self._fill(leaving=node)

    def _on_scene_changed(self, scene: Any, event: str) -> None:
        self._fill()

    def _on_node_modified(self, node: Any, event: str) -> None:
        row = self._row(node.GetID())
        if (row >= 0) != self._listed(node) or (row >= 0 and self._combo.itemText(row) != node.GetName()):
            self._fill()

    def _on_activated(self, row: int) -> None:
        kind, value = self._entry(row)
        if kind != ACTION:
            self._tell()
            self.nodeActivated.emit(self.currentNode())
            return
        back = self._row(self._told[0]) if self._told[0] else (0 if self._noneEnabled else -1)
        self._combo.setCurrentIndex(back)
        if value.startswith("create/"):
            node = self.addNode(value.partition("/")[2])
            if node is not None:
                self.setCurrentNode(node)
                self.nodeAddedByUserAction.emit(node)
        elif value == "delete":
            self.removeCurrentNode()
        elif value == "rename":
            self.renameCurrentNode()
        else:
            self.nodeAboutToBeEdited.emit(self.currentNode())
