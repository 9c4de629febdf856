"""A page for the record: planes with contours, volumes, and how they were made. It names no patient."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from UMambaSegmentationLib import card_text
from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.grids import ijk_to_ras, matrix_between, size_of
from UMambaSegmentationLib.scene.labelmaps import labelmap_name

Row = tuple[str, str, int, float]

_STYLE = """
body { font: 15px/1.45 system-ui, "Segoe UI", sans-serif; color: #1c1c1c; background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 1.6rem; }
img { max-width: 100%; height: auto; } table { border-collapse: collapse; }
th, td { text-align: left; padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid #ddd;
         vertical-align: top; font-weight: normal; }
thead th { font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.notice { font-weight: 600; border-left: 4px solid #b35900; padding-left: .7rem; }
"""


def labels_of(
    segmentation: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The segments as they are now, edited ones too, as one label map on the volume's own grid.

    Args:
        segmentation: Where segments overlap, the later one covers the earlier.
        volume: Voxels are taken where both lie in the world.

    Returns:
        Labels (K, J, I), uint8 or uint16, values from 1 in the order of the segments; and for each segment
        value, name and color (0 to 255), as the worker's `preview` takes them.

    Raises:
        SceneError: There is nothing to show, or the two are not related by a linear transform.
    """
    ids = segmentation.GetSegmentation().GetSegmentIDs()
    if not ids or 0 in size_of(volume):
        raise SceneError(_("There is nothing to report: segment a volume first."))
    wanted = vtk.vtkStringArray()
    segments = []
    for value, segment_id in enumerate(ids, start=1):
        segment = segmentation.GetSegmentation().GetSegment(segment_id)
        color = [round(255 * part) for part in segment.GetColor()]
        segments.append({"value": value, "name": segment.GetName(), "color": color})
        wanted.InsertNextValue(segment_id)
    if not segmentation.GetSegmentation().ContainsRepresentation(labelmap_name()):
        segmentation.CreateBinaryLabelmapRepresentation()
    merged = slicer.vtkOrientedImageData()
    if not segmentation.GenerateMergedLabelmapForAllSegments(
        merged, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY, _grid_for(segmentation, volume), wanted
    ):
        raise SceneError(_("The segmentation holds no voxels: open it in Segment Editor once."))
    array = vtk_to_numpy(merged.GetPointData().GetScalars()).reshape(merged.GetDimensions()[::-1])
    return array.astype(np.uint8 if len(ids) <= np.iinfo(np.uint8).max else np.uint16), segments


def write_html(
    path: Path,
    png_path: Path,
    rows: Sequence[Row],
    card: Card | None,
    provenance: Mapping[str, Any],
    edited: Sequence[str] = (),
) -> None:
    """Write the page: one file with its picture inside, whole or not at all.

    Args:
        path: An existing file is replaced.
        png_path: Planes with contours, as the worker's `preview` draws them.
        rows: For each segment its ID, name, voxels and millilitres.
        card: The model's, or None where it is no longer installed.
        provenance: What the engine said of the run; only what cannot name a patient is taken from it.
        edited: Names of segments that were changed by hand since.

    Raises:
        SceneError: The picture cannot be read or the page cannot be written.
    """
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        page = _page(png_path.read_bytes(), rows, _facts(card, provenance, edited), card)
        beside.write_text(page, encoding="utf-8")
        os.replace(beside, path)  # noqa: PTH105  (the same on all systems, also over an existing file)
    except OSError as error:
        raise SceneError(
            _("The report cannot be written ({reason}): choose another folder.").format(
                reason=error.strerror or error
            )
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _grid_for(
    segmentation: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode
) -> slicer.vtkOrientedImageData:
    """The volume's grid, without voxels, in the frame of the segmentation."""
    between = matrix_between(volume.GetParentTransformNode(), segmentation.GetParentTransformNode())
    if between is None:
        raise SceneError(_("Volume and segmentation lie under different transforms: harden them first."))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((between @ ijk_to_ras(volume)).ravel().tolist())
    grid = slicer.vtkOrientedImageData()
    grid.SetExtent(volume.GetImageData().GetExtent())
    grid.SetImageToWorldMatrix(matrix)
    return grid


def _facts(card: Card | None, provenance: Mapping[str, Any], edited: Sequence[str]) -> list[tuple[str, str]]:
    model = provenance.get("model")
    model = model if isinstance(model, Mapping) else {}
    name = card.name if card is not None else model.get("name")
    software = provenance.get("software")
    found: list[tuple[str, object]] = [
        (_("Model"), name),
        (_("Model id"), model.get("id") or (card.id if card is not None else None)),
        (_("Model version"), model.get("version") or (card.version if card is not None else None)),
        (_("Licence"), card_text.licence(card) if card is not None else model.get("licence")),
        (_("Segmented"), provenance.get("date")),
        (_("Engine"), _joined(provenance.get("engine"), provenance.get("engine_version"))),
        (_("PyTorch"), software.get("torch") if isinstance(software, Mapping) else None),
        (_("Device"), provenance.get("device_name") or provenance.get("device")),
        (_("Edited by hand since"), ", ".join(edited)),
        (_("Report made"), datetime.now().astimezone().isoformat(timespec="seconds", sep=" ")),
    ]
    return [(heading, str(value)) for heading, value in found if value]


def _page(picture: bytes, rows: Sequence[Row], facts: Sequence[tuple[str, str]], card: Card | None) -> str:
    title, notice = _("Segmentation report"), _("Research use only. Not a medical device.")
    planes = _("Three planes with the contours of the segments")
    parts = [
        '<!DOCTYPE html><html><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f'<p class="notice">{escape(notice)}</p>',
        f'<img alt="{escape(planes)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">',
        _section(_("Volumes"), _volumes(rows)),
        _section(_("How it was made"), _pairs(facts)),
    ]
    if card is not None:
        parts.append(_section(_("About the model"), _pairs(_about(card))))
    return "".join([*parts, "</body></html>\n"])


def _about(card: Card) -> list[tuple[str, str]]:
    found = [
        (_("Accuracy"), "\n".join(card_text.accuracy(card)) or _("not measured")),
        (_("Measured on"), card_text.accuracy_data(card)),
        (_("Limits"), card.limits),
        (_("Cite"), "\n".join(card.citation)),
    ]
    return [(heading, text) for heading, text in found if text]


def _section(heading: str, content: str) -> str:
    return f"<h2>{escape(heading)}</h2>{content}"


def _volumes(rows: Sequence[Row]) -> str:
    heading = "".join(
        f'<th class="{kind}">{escape(text)}</th>'
        for text, kind in ((_("Segment"), ""), (_("Volume (ml)"), "number"), (_("Voxels"), "number"))
    )
    lines = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{ml:.3f}</td><td class="number">{voxels}</td></tr>'
        for _id, name, voxels, ml in rows
    )
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{lines}</tbody></table>"


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    lines = "".join(
        f"<tr><th>{escape(heading)}</th><td>{'<br>'.join(map(escape, text.splitlines()))}</td></tr>"
        for heading, text in pairs
    )
    return f"<table><tbody>{lines}</tbody></table>"


def _joined(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part)
