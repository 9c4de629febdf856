"""A segmentation node as it was, so that a change that fails leaves nothing half done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import slicer

from UMambaSegmentationLib.scene.labelmaps import labelmap_name, surface_name
from UMambaSegmentationLib.scene.merging import segment_ids


@dataclass(frozen=True)
class _Kept:
    """One segment: the object, a copy of its words and value, and its voxels and surfaces themselves."""

    segment: slicer.vtkSegment
    words: slicer.vtkSegment
    representations: dict[str, slicer.vtkDataObject]


class Snapshot:
    """What `restore` brings back: segments, conversion parameters, attributes, references.

    Voxels are not copied: whoever changes a layer has to change a copy of it.
    """

    def __init__(self, node: slicer.vtkMRMLSegmentationNode, roles: Sequence[str]) -> None:
        """Remember a node.

        Args:
            node: As it is.
            roles: The node references that may change.
        """
        segmentation = node.GetSegmentation()
        self._node = node
        self._parameters = segmentation.SerializeAllConversionParameters()
        self._segments = {i: _keep(segmentation.GetSegment(i)) for i in segment_ids(segmentation)}
        self._attributes = {name: node.GetAttribute(name) for name in node.GetAttributeNames()}
        self._references = {role: _references(node, role) for role in roles}

    def restore(self) -> None:
        """Put everything back."""
        node, segmentation = self._node, self._node.GetSegmentation()
        for segment_id in segment_ids(segmentation):
            if segment_id not in self._segments:
                segmentation.GetSegment(segment_id).AddRepresentation(
                    labelmap_name(), slicer.vtkOrientedImageData()
                )
                segmentation.RemoveSegment(segment_id)
        for segment_id, kept in self._segments.items():
            kept.segment.DeepCopyMetadata(kept.words)
            for representation, data in kept.representations.items():
                kept.segment.AddRepresentation(representation, data)
            if segmentation.GetSegment(segment_id) is None:
                segmentation.AddSegment(kept.segment, segment_id)
        for index, segment_id in enumerate(self._segments):
            segmentation.SetSegmentIndex(segment_id, index)
        segmentation.DeserializeConversionParameters(self._parameters)
        for attribute in node.GetAttributeNames():
            if attribute not in self._attributes:
                node.RemoveAttribute(attribute)
        for attribute, text in self._attributes.items():
            node.SetAttribute(attribute, text)
        for role, references in self._references.items():
            node.RemoveNodeReferenceIDs(role)
            for reference in references:
                node.AddNodeReferenceID(role, reference)


def _keep(segment: slicer.vtkSegment) -> _Kept:
    words = slicer.vtkSegment()
    words.DeepCopyMetadata(segment)
    found = {name: segment.GetRepresentation(name) for name in (labelmap_name(), surface_name())}
    representations = {name: data for name, data in found.items() if data is not None}
    return _Kept(segment, words, representations)


def _references(node: slicer.vtkMRMLNode, role: str) -> list[str]:
    count = node.GetNumberOfNodeReferences(role)
    return [node.GetNthNodeReferenceID(role, index) for index in range(count)]
