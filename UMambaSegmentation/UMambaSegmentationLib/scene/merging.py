"""Segments of a run among those that a segmentation already has: which replace which, under what names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import slicer

from UMambaSegmentationLib.scene import labelmaps
from UMambaSegmentationLib.scene.edits import (
    HASH_TAG,
    LABEL_TAG,
    MODEL_TAG,
    NAME_TAG,
    Marks,
    tag,
    tag_text,
)
from UMambaSegmentationLib.scene.structures import Structure

SameName = Literal["replace", "beside"]


@dataclass(frozen=True)
class Plan:
    """What becomes of each segment.

    Attributes:
        names: The name of each new segment.
        replaced: Identifiers of the segments that new ones take the place of, by the new one's position.
        removed: Identifiers of single objects of an earlier run of the model, which no new one replaces.
        others: Identifiers of the segments that stay as they are.
    """

    names: tuple[str, ...]
    replaced: dict[int, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def make_plan(
    segmentation: slicer.vtkSegmentation,
    structures: Sequence[Structure],
    model: str,
    same_name: SameName,
    instances: bool,
) -> Plan:
    """Decide what new segments do with those that are there.

    Args:
        segmentation: As it is.
        structures: The new segments.
        model: Identifier of the model that they come from.
        same_name: "replace" takes the place of the segment of the same name, or of the one that this model
            made of the same label; "beside" leaves all and finds names that are free ("Liver (2)").
        instances: Whether they are single objects: then "replace" clears all of an earlier run, since a
            number means another object each time.
    """
    present = {i: segmentation.GetSegment(i) for i in segment_ids(segmentation)}
    names = [structure.name for structure in structures]
    if same_name == "beside":
        taken = {segment.GetName() for segment in present.values()}
        return Plan(_free_names(names, taken), others=tuple(present))
    replaced: dict[int, str] = {}
    for index, structure in enumerate(structures):
        free = {i: segment for i, segment in present.items() if i not in replaced.values()}
        found = _counterpart(structure, free, model)
        if found is not None:
            replaced[index] = found
    rest = [i for i in present if i not in replaced.values()]
    old = [i for i in rest if instances and tag(present[i], MODEL_TAG) == tag_text(model)]
    return Plan(tuple(names), replaced, tuple(old), tuple(i for i in rest if i not in old))


def write_segments(
    segmentation: slicer.vtkSegmentation,
    structures: Sequence[Structure],
    plan: Plan,
    image: slicer.vtkOrientedImageData,
    tags: Mapping[str, str],
) -> None:
    """Carry out a plan: every new segment lies in `image`, a layer of its own; no other segment changes.

    Args:
        segmentation: Whose segments; only binary label maps in it.
        structures: The new segments.
        plan: Where they go.
        image: Their voxels.
        tags: Further tags of each.
    """
    going = [*plan.replaced.values(), *plan.removed]
    _clear_layers(segmentation, going)
    for segment_id in plan.removed:
        # Else Slicer would part each from its layer, voxel by voxel.
        empty = slicer.vtkOrientedImageData()
        segmentation.GetSegment(segment_id).AddRepresentation(labelmaps.labelmap_name(), empty)
        segmentation.RemoveSegment(segment_id)
    marks = Marks()
    for index, (structure, name) in enumerate(zip(structures, plan.names, strict=True)):
        replaced = plan.replaced.get(index)
        segment = segmentation.GetSegment(replaced) if replaced else slicer.vtkSegment()
        _describe(segment, structure, name)
        segment.SetTag(HASH_TAG, marks.of_value(image, structure.value))
        for key, text in tags.items():
            segment.SetTag(key, tag_text(text))
        segment.SetLabelValue(structure.value)
        segment.AddRepresentation(labelmaps.labelmap_name(), image)
        if not replaced:
            identifier = segmentation.GenerateUniqueSegmentID(structure.key)
            if not segmentation.AddSegment(segment, identifier):
                raise RuntimeError("Slicer did not take a segment")
    image.Modified()  # the views listen to the voxels, not to the segments alone


def segment_ids(segmentation: slicer.vtkSegmentation) -> list[str]:
    """Identifiers of all segments, in order."""
    return [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]


def _counterpart(structure: Structure, free: Mapping[str, slicer.vtkSegment], model: str) -> str | None:
    """The segment that stands for the same thing: by its name, else by the model and label it came from."""
    ours = [
        i
        for i, segment in free.items()
        if tag(segment, MODEL_TAG) == tag_text(model) and tag(segment, LABEL_TAG) == str(structure.value)
    ]
    named = [i for i, segment in free.items() if segment.GetName() == structure.name]
    # One that was put beside ("Liver (2)") keeps the name it was given; one renamed since counts as edited.
    renamed = [i for i in ours if tag(free[i], NAME_TAG) == tag_text(structure.name)]
    return next((i for i in [*(i for i in named if i in ours), *named, *renamed]), None)


def _describe(segment: slicer.vtkSegment, structure: Structure, name: str) -> None:
    segment.SetName(name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*structure.color)
    segment.SetColorAutoGenerated(False)
    segment.SetTag(segment.GetTerminologyEntryTagName(), structure.terminology)
    segment.SetTag(LABEL_TAG, str(structure.value))
    segment.SetTag(NAME_TAG, tag_text(name))


def _clear_layers(segmentation: slicer.vtkSegmentation, going: Sequence[str]) -> None:
    """Take segments out of the layers that they share with others.

    The others move to a copy without them, so that the old layers stay whole and can be put back.
    """
    name = labelmaps.labelmap_name()
    gone: dict[slicer.vtkOrientedImageData, list[int]] = {}
    for segment_id in going:
        segment = segmentation.GetSegment(segment_id)
        image = labelmaps.segment_image(segment)
        if image is not None:
            gone.setdefault(image, []).append(segment.GetLabelValue())
    staying = [segmentation.GetSegment(i) for i in segment_ids(segmentation) if i not in going]
    for image, values in gone.items():
        sharing = [segment for segment in staying if labelmaps.segment_image(segment) is image]
        copy = labelmaps.without(image, values) if sharing else None
        for segment in sharing:
            segment.AddRepresentation(name, copy)


def _free_names(names: Sequence[str], taken: set[str]) -> tuple[str, ...]:
    taken = set(taken)
    chosen = []
    for name in names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        taken.add(free)
        chosen.append(free)
    return tuple(chosen)
