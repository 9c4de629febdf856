"""Which segments hold a person's own work, so that no run overwrites it unasked.

A segment that a run wrote carries a mark of its voxels (tag UMamba.Hash) and its name (UMamba.Name). Times of
modification would not do: Slicer touches them without a change of voxels, and the other way round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from UMambaSegmentationLib.scene import labelmaps
from UMambaSegmentationLib.scene.errors import SceneError

LABEL_TAG = "UMamba.Label"
HASH_TAG = "UMamba.Hash"
NAME_TAG = "UMamba.Name"
MODEL_TAG = "UMamba.Model"

_EMPTY = "empty"
_DIGEST_BYTES = 16
_VOXEL_PART = 0.05  # a file keeps positions only to a rounding error


class EditedSegments(SceneError):  # noqa: N818  (a question to the person, rather than a fault)
    """Segments that hold a person's own work would be replaced. The message does not tell their names.

    Attributes:
        names: Their names.
        work: What they hold, by their identifiers: another text after another edit.
    """

    def __init__(self, names: Sequence[str], work: Mapping[str, str]) -> None:
        self.names = list(names)
        self.work = dict(work)
        super().__init__(
            _(
                "{count} segments of the output were drawn or edited by hand; allow replacing them, "
                "or add the new ones beside."
            ).format(count=len(self.names))
        )


def edited_segments(node: slicer.vtkMRMLSegmentationNode, names: Collection[str] | None = None) -> list[str]:
    """Names of the segments that hold a person's own work.

    These are the ones that were drawn by hand, or edited or renamed since a run wrote them. Empty segments
    hold none.

    Args:
        node: The segmentation.
        names: Look at segments of these names only; None for all.
    """
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    chosen = [i for i in ids if names is None or segmentation.GetSegment(i).GetName() in names]
    edited = edited_ids(node, chosen)
    return [segmentation.GetSegment(segment_id).GetName() for segment_id in edited]


def edited_ids(node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str]) -> list[str]:
    """Those of `segment_ids` that hold a person's own work."""
    segmentation = node.GetSegmentation()
    marks = Marks()
    return [i for i in segment_ids if _is_own_work(segmentation.GetSegment(i), marks)]


def work_in(node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str]) -> dict[str, str]:
    """What segments hold, by their identifiers: a text that is another one after an edit or a new name."""
    segmentation = node.GetSegmentation()
    marks = Marks()
    segments = {i: segmentation.GetSegment(i) for i in segment_ids}
    return {i: f"{marks.of(segment)} {segment.GetName()}" for i, segment in segments.items()}


def tag(segment: slicer.vtkSegment, name: str) -> str | None:
    """The text of a segment's tag, None where it has none."""
    text = vtk.reference("")
    return str(text) if segment.GetTag(name, text) else None


def tag_text(text: str) -> str:
    """A text without the sign that parts tags in Slicer's files."""
    return " ".join(text.replace("|", " ").split())


class Marks:
    """Marks of segments' voxels: equal for equal voxels at the same place, whatever the layer or its extent.

    Keeps what it found out of each layer, since one layer often holds a hundred segments. Make a new one
    after a change.
    """

    def __init__(self) -> None:
        self._boxes: dict[slicer.vtkOrientedImageData, dict[int, labelmaps.Box]] = {}

    def of(self, segment: slicer.vtkSegment) -> str | None:
        """A digest of the voxels with the corners of their box (RAS, mm); None without voxels to look at."""
        image = labelmaps.segment_image(segment)
        return None if image is None else self.of_value(image, segment.GetLabelValue())

    def of_value(self, image: slicer.vtkOrientedImageData, value: int) -> str:
        """As `of`, for the voxels of `image` that are `value`."""
        if image not in self._boxes:
            self._boxes[image] = labelmaps.boxes(labelmaps.image_array(image))
        box = self._boxes[image].get(value)
        if box is None:
            return _EMPTY
        voxels = labelmaps.image_array(image)[box] == value
        digest = hashlib.blake2b(np.packbits(voxels).tobytes(), digest_size=_DIGEST_BYTES)
        return " ".join([digest.hexdigest(), *(f"{part:.10g}" for part in _corners(image, box))])


def _is_own_work(segment: slicer.vtkSegment, marks: Marks) -> bool:
    found = marks.of(segment)
    if found == _EMPTY:
        return False
    written, name = tag(segment, HASH_TAG), tag(segment, NAME_TAG)
    if written is None or found is None or name != tag_text(segment.GetName()):
        return True
    return not _same_mark(written, found, labelmaps.segment_image(segment))


def _same_mark(written: str, found: str, image: slicer.vtkOrientedImageData) -> bool:
    digest, *corners = written.split()
    digest_now, *corners_now = found.split()
    if digest != digest_now or len(corners) != len(corners_now):
        return False
    tolerance = _VOXEL_PART * min(image.GetSpacing())
    return all(abs(float(a) - float(b)) <= tolerance for a, b in zip(corners, corners_now, strict=True))


def _corners(image: slicer.vtkOrientedImageData, box: labelmaps.Box) -> Iterator[float]:
    """RAS of the box's first and last voxel, mm."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = image.GetExtent()[::2]
    edges: tuple[Callable[[slice], int], ...] = (lambda part: part.start, lambda part: part.stop - 1)
    for edge in edges:
        ijk = [edge(part) + at for part, at in zip(box[::-1], first, strict=True)]
        yield from matrix.MultiplyPoint((*ijk, 1.0))[:3]
