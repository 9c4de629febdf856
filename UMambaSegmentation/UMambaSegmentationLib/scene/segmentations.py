"""The engine's label map as a segmentation: voxel for voxel, named, coloured, coded, with its provenance."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.scene import labelmaps
from UMambaSegmentationLib.scene.display import place_beside
from UMambaSegmentationLib.scene.edits import MODEL_TAG, EditedSegments, edited_ids, tag, work_in
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.merging import Plan, SameName, make_plan, write_segments
from UMambaSegmentationLib.scene.structures import Content, content_of
from UMambaSegmentationLib.scene.undo import Snapshot

INPUT_ROLE = "UMamba.Input"
NOTE_ATTRIBUTE = "UMamba.Note"
_PROVENANCE = "UMamba.Provenance"

_SAME_GRID = 1e-6  # mm and unit vectors; both texts come from the same numbers


def show_result(
    labels: np.ndarray,
    volume: slicer.vtkMRMLScalarVolumeNode,
    card: Card,
    *,
    output: slicer.vtkMRMLSegmentationNode | None = None,
    keep: Collection[int] | None = None,
    same_name: SameName = "replace",
    overwrite_edited: bool = False,
    provenance: Mapping[str, Any],
    inputs: Sequence[slicer.vtkMRMLScalarVolumeNode] | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """Put a label map into the scene. On failure the scene is as it was.

    Args:
        labels: (K, J, I) integers on the volume's own grid (parent transforms left out).
        volume: The first input; the segmentation gets its transform and a place beside it.
        card: The model.
        output: Takes the segments; its other segments stay as they are. None makes a new segmentation.
        keep: The label values that become segments; None for all, found or not.
        same_name: What happens to segments of the same name, or that this model made of the same label:
            "replace" them in place, or add the new ones "beside" under names that are free.
        overwrite_edited: Replace also segments that a person has drawn or edited.
        provenance: The engine's record of the run.
        inputs: All volumes of the run, by channel; None for `volume` alone.

    Returns:
        The segmentation. A sentence for the person, if there is one, is its attribute UMamba.Note.

    Raises:
        EditedSegments: Edited segments would be replaced.
        SceneError: The output cannot take the segments, or the volume has changed.
    """
    content = content_of(labels, card, keep)
    image = _image(content, volume)
    if output is None:
        plan = _all_new(content)
        name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} segmentation")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    else:
        plan = _plan(output, content, volume, card, same_name, overwrite_edited)
        node = output
    surfaces = node.GetSegmentation().ContainsRepresentation(labelmaps.surface_name())
    with _all_or_nothing(node, is_new=output is None):
        _fill(node, content, plan, image, volume, card, provenance)
        _refer(node, [volume] if inputs is None else inputs)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    if surfaces:  # the person is looking at them
        node.CreateClosedSurfaceRepresentation()
    if output is None:
        place_beside(node, volume)
    return node


def frame_result(
    labels: np.ndarray,
    volume: slicer.vtkMRMLScalarVolumeNode,
    card: Card,
    *,
    keep: Collection[int] | None = None,
    provenance: Mapping[str, Any],
) -> slicer.vtkMRMLSegmentationNode:
    """The segmentation of one frame of a sequence, in no scene; see `show_result` for the arguments."""
    content = content_of(labels, card, keep)
    node = slicer.vtkMRMLSegmentationNode()
    _fill(node, content, _all_new(content), _image(content, volume), volume, card, provenance)
    # The frame's identifier means another node outside of its sequence.
    node.RemoveNodeReferenceIDs(node.GetReferenceImageGeometryReferenceRole())
    return node


def check_output(
    output: slicer.vtkMRMLSegmentationNode,
    volume: slicer.vtkMRMLScalarVolumeNode,
    card: Card,
    *,
    keep: Collection[int] | None = None,
    same_name: SameName = "replace",
    overwrite_edited: bool = False,
) -> None:
    """Whether `output` could take a result as it is now: what `show_result` would raise, before the run.

    Raises:
        EditedSegments, SceneError: As `show_result`.
    """
    nothing = np.zeros((1, 1, 1), np.uint8)
    _plan(output, content_of(nothing, card, keep), volume, card, same_name, overwrite_edited)


def output_note(output: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    """A sentence where the output was made on another grid than the volume's: files hold one grid only."""
    mine = slicer.vtkMRMLSegmentationNode()
    mine.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    wanted, found = _geometry(mine), _geometry(output)
    if not output.GetSegmentation().GetNumberOfSegments() or not found:
        return None
    if len(found) == len(wanted) and np.allclose(found, wanted, rtol=0, atol=_SAME_GRID):
        return None
    return _(
        "The output segmentation was made on another grid than the volume's: saved to a file, the new "
        "segments are resampled to it. Choose a new segmentation to keep them as they are."
    )


def provenance_of(node: slicer.vtkMRMLSegmentationNode) -> dict[str, Any]:
    """The engine's record of the last run that wrote into a segmentation; empty for one of another source.

    A .seg.nrrd file keeps no attributes of the node: then it is that of the first segment which has one.

    Args:
        node: A segmentation, or a sequence of them.
    """
    texts = [node.GetAttribute(_PROVENANCE)]
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        for index in range(segmentation.GetNumberOfSegments()):
            texts.append(tag(segmentation.GetNthSegment(index), _PROVENANCE))
    return next((dict(json.loads(text)) for text in texts if text), {})


def _image(content: Content, volume: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkOrientedImageData:
    largest = max((structure.value for structure in content.structures), default=0)
    return labelmaps.label_image(content.labels, volume, largest)


def _all_new(content: Content) -> Plan:
    return Plan(tuple(structure.name for structure in content.structures))


@contextmanager
def _all_or_nothing(node: slicer.vtkMRMLSegmentationNode, is_new: bool) -> Iterator[None]:
    """Changes to a node that are shown at their end, or taken back at a failure (a new node is removed)."""
    roles = (INPUT_ROLE, node.GetReferenceImageGeometryReferenceRole())
    before = None if is_new else Snapshot(node, roles)
    modifying = node.StartModify()
    try:
        yield
    except BaseException:
        if before is None:
            slicer.mrmlScene.RemoveNode(node)
        else:
            before.restore()
        raise
    finally:
        node.EndModify(modifying)


def _plan(
    node: slicer.vtkMRMLSegmentationNode,
    content: Content,
    volume: slicer.vtkMRMLScalarVolumeNode,
    card: Card,
    same_name: SameName,
    overwrite_edited: bool,
) -> Plan:
    """What the output's segments become; nothing is changed yet."""
    segmentation = node.GetSegmentation()
    plan = make_plan(segmentation, content.structures, card.id, same_name, card.instances is not None)
    if segmentation.GetNumberOfSegments() and (
        segmentation.GetSourceRepresentationName() != labelmaps.labelmap_name()
    ):
        raise SceneError(_("The output segmentation consists of surfaces; choose a new segmentation."))
    if plan.others and node.GetTransformNodeID() != volume.GetTransformNodeID():
        raise SceneError(
            _(
                "The output segmentation is under another transform than the volume; choose a new "
                "segmentation, or put both under the same transform."
            )
        )
    if not overwrite_edited:
        edited = edited_ids(node, [*plan.replaced.values(), *plan.removed])
        if edited:
            raise EditedSegments(
                [segmentation.GetSegment(i).GetName() for i in edited], work_in(node, edited)
            )
    return plan


def _fill(
    node: slicer.vtkMRMLSegmentationNode,
    content: Content,
    plan: Plan,
    image: slicer.vtkOrientedImageData,
    volume: slicer.vtkMRMLScalarVolumeNode,
    card: Card,
    provenance: Mapping[str, Any],
) -> None:
    """Segments, the grid for editing, and where they come from."""
    record = {
        MODEL_TAG: card.id,
        "UMamba.ModelVersion": card.version or "",
        "UMamba.Version": str(provenance.get("engine_version", "")),
        "UMamba.Date": str(provenance.get("date", "")),
        _PROVENANCE: json.dumps(provenance).replace("|", "\\u007c"),  # the sign parts tags in Slicer's files
    }
    segmentation = node.GetSegmentation()
    if not segmentation.GetNumberOfSegments():
        segmentation.SetSourceRepresentationName(labelmaps.labelmap_name())
    segmentation.InvalidateNonSourceRepresentations()  # else Slicer makes surfaces segment by segment
    write_segments(segmentation, content.structures, plan, image, record)
    if not plan.others or not _geometry(node):
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, text in record.items():
        node.SetAttribute(name, text)
    if content.note is None:
        node.RemoveAttribute(NOTE_ATTRIBUTE)
    else:
        node.SetAttribute(NOTE_ATTRIBUTE, content.note)


def _refer(node: slicer.vtkMRMLSegmentationNode, inputs: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> None:
    node.RemoveNodeReferenceIDs(INPUT_ROLE)
    for volume in inputs:
        node.AddNodeReferenceID(INPUT_ROLE, volume.GetID())


def _geometry(node: slicer.vtkMRMLSegmentationNode) -> list[float]:
    """The segmentation's reference grid: matrix and extent in one row; empty where none is set."""
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    text = node.GetSegmentation().GetConversionParameter(name)
    return [float(number) for number in text.split(";") if number]
