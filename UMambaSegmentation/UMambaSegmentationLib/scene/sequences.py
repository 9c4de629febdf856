"""Sequences of volumes, frame by frame, and of the segmentations made of them.

Frames are read and written in the sequences themselves: the browser's place, what it shows and what a person
looks at stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.scene.display import place_beside
from UMambaSegmentationLib.scene.errors import SceneError


class Frames:
    """The frames of the sequence that a node of the scene stands for (its proxy).

    Holds identifiers, so that it may outlive the nodes; then `exists` is False and the rest a SceneError.

    Attributes:
        count: How many there are.
    """

    def __init__(
        self,
        proxy: slicer.vtkMRMLNode,
        browser: slicer.vtkMRMLSequenceBrowserNode,
        sequence: slicer.vtkMRMLSequenceNode,
    ) -> None:
        self._proxy_id, self._browser_id = proxy.GetID(), browser.GetID()
        self._sequence_id = sequence.GetID()
        self.count: int = sequence.GetNumberOfDataNodes()

    @property
    def exists(self) -> bool:
        """Whether the scene still has the sequence with as many frames, its browser and its proxy."""
        try:
            return bool(self.sequence.GetNumberOfDataNodes() == self.count and self.browser and self.proxy)
        except SceneError:
            return False

    @property
    def sequence(self) -> slicer.vtkMRMLSequenceNode:
        """The sequence node; a SceneError if it has gone, as for the others."""
        return _node(self._sequence_id)

    @property
    def browser(self) -> slicer.vtkMRMLSequenceBrowserNode:
        """The node that plays it."""
        return _node(self._browser_id)

    @property
    def proxy(self) -> slicer.vtkMRMLNode:
        """The node that shows the current frame."""
        return _node(self._proxy_id)

    def node(self, index: int) -> slicer.vtkMRMLNode:
        """Frame `index` itself, from 0. It is in the sequence's own scene: identifiers mean nothing here."""
        return self.sequence.GetNthDataNode(index)

    def value(self, index: int) -> str:
        """The index value of a frame, such as its time."""
        return str(self.sequence.GetNthIndexValue(index))


def frames_of(node: slicer.vtkMRMLNode | None) -> Frames | None:
    """The frames of the sequence that a node stands for; None for a node that stands for itself."""
    if node is None or not hasattr(slicer.modules, "sequences"):
        return None
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(node)
    sequence = browser.GetSequenceNode(node) if browser is not None else None
    if sequence is None or not sequence.GetNumberOfDataNodes():
        return None
    return Frames(node, browser, sequence)


class FrameWriter:
    """Collects the segmentations of a sequence's frames; the scene sees none of them before `finish`.

    Whoever cancels drops the writer: the scene is as it was.
    """

    def __init__(self, frames: Frames) -> None:
        """Begin.

        Args:
            frames: Of the volumes.
        """
        source = frames.sequence
        self._frames = frames
        self._sequence = slicer.vtkMRMLSequenceNode()
        self._sequence.SetIndexName(source.GetIndexName())
        self._sequence.SetIndexUnit(source.GetIndexUnit())
        self._sequence.SetIndexType(source.GetIndexType())
        self._attributes: dict[str, str] = {}

    def add(self, index: int, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        """Keep a copy of the segmentation of frame `index`, as `segmentations.frame_result` makes it."""
        self._sequence.SetDataNodeAtValue(segmentation, self._frames.value(index))
        self._attributes = {
            name: segmentation.GetAttribute(name) for name in segmentation.GetAttributeNames()
        }

    def finish(self, attributes: Mapping[str, str] | None = None) -> slicer.vtkMRMLSegmentationNode:
        """Put the sequence into the scene and into the volumes' browser, whose place does not change.

        Args:
            attributes: Further node attributes; those of the last frame (model, provenance) are kept anyway.

        Returns:
            The segmentation that shows the browser's current frame. What a person edits in it is kept with
            its frame.
        """
        scene, browser, volume = slicer.mrmlScene, self._frames.browser, self._frames.proxy
        name = scene.GenerateUniqueName(f"{volume.GetName()} segmentation")
        self._sequence.SetName(f"{name} sequence")
        scene.AddNode(self._sequence)
        proxy = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        proxy.CreateDefaultDisplayNodes()
        browser.AddProxyNode(proxy, self._sequence, False)
        browser.SetSaveChanges(self._sequence, True)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        for node in (proxy, self._sequence):
            for attribute, text in {**self._attributes, **(attributes or {})}.items():
                node.SetAttribute(attribute, text)
        proxy.SetNodeReferenceID(proxy.GetReferenceImageGeometryReferenceRole(), volume.GetID())
        proxy.SetNodeReferenceID("UMamba.Input", volume.GetID())
        proxy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        place_beside(proxy, volume)
        return proxy


def _node(node_id: str) -> slicer.vtkMRMLNode:
    node = slicer.mrmlScene.GetNodeByID(node_id)
    if node is None:
        raise SceneError(_("The sequence was removed from the scene; run again."))
    return node
