"""3D Slicer's segmentation file (.seg.nrrd): segments with names, colours, codes; overlaps as layers.

Format: the header keys that vtkMRMLSegmentationStorageNode reads and writes (Slicer 5.10 to 5.13):
`SegmentN_…` for each segment, `Segmentation_…` for the whole; a shared label map (Z, Y, X), or several of
them along a first axis of kind `list`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image
from umamba.imaging.labelfiles import nrrd_provenance, write_layers
from umamba.imaging.segments import Code, Segment, Terms, with_unnamed

_CATEGORIES = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"
_FULL_COLOR = 255
_LARGEST_VALUE = 65535


def write_segmentation(
    path: Path,
    labels: np.ndarray | Sequence[np.ndarray],
    like: Image,
    segments: Sequence[Segment],
    provenance: Mapping[str, Any],
) -> None:
    """Write a segmentation.

    Args:
        path: A file of our own.
        labels: (Z, Y, X) uint8 or uint16, or one mask (Z, Y, X) per segment where they overlap.
        like: Whose grid it is; a flat image becomes one slice of 1 mm.
        segments: The labels in order. A value of a label map that is not among them becomes "Label N".
        provenance: Plain values for `UMamba.…` keys.
    """
    like = _volume(like)
    if isinstance(labels, np.ndarray):
        segments = with_unnamed(segments, _values(labels))
        layers, layer_of = [labels], [0] * len(segments)
    else:
        layers, layer_of = _layers(labels, segments)
    fields = nrrd_provenance(provenance)
    ids = _ids(segments)
    for index, segment in enumerate(segments):
        fields |= _segment_fields(index, segment, ids[index], layer_of[index], like.geometry)
    fields |= {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ConversionParameters": _conversion(like.geometry),
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    write_layers(path, layers, like, fields)


def _values(labels: np.ndarray) -> list[int]:
    """The values present, looked for slice by slice: sorting a whole volume would take seconds."""
    present = np.zeros(_LARGEST_VALUE + 1, dtype=bool)
    for plane in labels:
        present[plane] = True
    return [int(value) for value in np.flatnonzero(present)]


def _layers(masks: Sequence[np.ndarray], segments: Sequence[Segment]) -> tuple[list[np.ndarray], list[int]]:
    """As few label maps as a first fit gives, without overlap in any, and which one each segment is in."""
    largest = max((segment.value for segment in segments), default=0)
    if not segments or len(masks) != len(segments) or not 0 < largest <= _LARGEST_VALUE:
        raise InputError(f"{len(masks)} masks were given for {len(segments)} segments (values to {largest})")
    kind = np.uint8 if largest <= np.iinfo(np.uint8).max else np.uint16
    layers: list[np.ndarray] = []
    layer_of = []
    for mask, segment in zip(masks, segments, strict=True):
        chosen = mask.astype(bool, copy=False)
        free = (index for index, layer in enumerate(layers) if not layer[chosen].any())
        place = next(free, len(layers))
        if place == len(layers):
            layers.append(np.zeros(chosen.shape, kind))
        layers[place][chosen] = segment.value
        layer_of.append(place)
    return layers, layer_of


def _volume(like: Image) -> Image:
    """The image as one with three axes: Slicer knows no flat segmentations."""
    geometry = like.geometry
    if geometry.axes == 3:
        return like
    (a, b, c, d) = geometry.direction
    deep = Geometry(
        size=(*geometry.size, 1),
        spacing=(*geometry.spacing, 1.0),
        origin=(*geometry.origin, 0.0),
        direction=(a, b, 0.0, c, d, 0.0, 0.0, 0.0, 1.0),
    )
    return Image(data=like.data, geometry=deep)


def _ids(segments: Sequence[Segment]) -> list[str]:
    """An identifier each, from the keys; no two alike."""
    ids: dict[str, None] = {}  # a set that keeps its order
    for segment in segments:
        wanted = re.sub(r"[^A-Za-z0-9_.-]+", "_", segment.key).strip("_") or f"Segment_{segment.value}"
        ids[wanted if wanted not in ids else f"{wanted}_{segment.value}"] = None
    return list(ids)


def _segment_fields(
    index: int, segment: Segment, identifier: str, layer: int, geometry: Geometry
) -> dict[str, str]:
    tags = []
    if segment.terminology is not None:
        tags.append(f"TerminologyEntry:{terminology_entry(segment.terminology)}")
    tags += [f"UMamba.Label:{segment.value}", f"UMamba.Key:{_plain(segment.key)}"]
    prefix = f"Segment{index}_"
    return {
        f"{prefix}Color": " ".join(f"{part / _FULL_COLOR:.17g}" for part in segment.color),
        f"{prefix}ColorAutoGenerated": "0",
        f"{prefix}Extent": " ".join(f"0 {size - 1}" for size in geometry.size),
        f"{prefix}ID": identifier,
        f"{prefix}LabelValue": str(segment.value),
        f"{prefix}Layer": str(layer),
        f"{prefix}Name": " ".join(segment.name.split()),
        f"{prefix}NameAutoGenerated": "0",
        f"{prefix}Tags": "".join(f"{tag}|" for tag in tags),
    }


def terminology_entry(terms: Terms) -> str:
    """Slicer's text for coded words: seven parts joined by "~", each code by "^"."""
    return "~".join(
        [
            _CATEGORIES,
            _code(terms.category),
            _code(terms.type),
            _code(terms.modifier),
            _REGIONS,
            _code(terms.region),
            _code(None),
        ]
    )


def _code(code: Code | None) -> str:
    return "^".join(_plain(part) for part in code) if code else "^^"


def _plain(text: str) -> str:
    """Without the signs that part Slicer's lists."""
    return " ".join(re.sub(r"[~^|]", " ", text).split())


def _conversion(geometry: Geometry) -> str:
    """The grid (RAS) in which Slicer makes new label maps: the image's own."""
    matrix = np.eye(4)
    matrix[:3, :3] = geometry.matrix
    matrix[:3, 3] = geometry.origin
    matrix[:2] *= -1.0
    numbers = [f"{value:.17g}" for value in matrix.ravel()]
    extent = [text for size in geometry.size for text in ("0", str(size - 1))]
    parameters = {
        "Reference image geometry": ";".join([*numbers, *extent]) + ";",
        "Collapse labelmaps": "1",
    }
    return "".join(f"{name}|{value}||&" for name, value in parameters.items())
