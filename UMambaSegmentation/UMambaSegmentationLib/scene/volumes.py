"""Volumes to the engine: an array file with its grid, as the worker's protocol has it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.grids import ijk_to_ras, same_grid, size_of

# Largest cosine between two axes that the engine takes without a word (3 degrees of shear).
LARGEST_SHEAR = 5e-2

_MODALITY_TAG = "0008,0060"
_MODALITY = re.compile(r"[A-Z]{2,8}")
_COLOURS = 3


def image_entries(
    volumes: Sequence[slicer.vtkMRMLVolumeNode | None], card: Card, folder: Path
) -> list[dict[str, Any]]:
    """What a request has in `images`, one entry a channel, in the order of the card.

    A colour volume fills as many channels as it has components; one grey volume may stand for all three
    where the card says so.

    Args:
        volumes: One for each channel; None where none was chosen.
        card: The model's.
        folder: Private to the run; the arrays are written into it.

    Raises:
        SceneError: A channel is missing, does not suit, or lies on another grid than the first.
    """
    chosen = list(volumes) + [None] * (len(card.channels) - len(volumes))
    first = chosen[0]
    if first is not None and not any(chosen[1:]):
        if components(first) == len(card.channels) > 1:
            return _component_entries(first, folder)
        if card.grey_repeat and len(card.channels) == _COLOURS:
            return [image_entry(first, folder, "channel_0")]
    for volume, channel in zip(chosen, card.channels, strict=False):
        if volume is None:
            raise SceneError(_("Choose a volume for the channel {channel}.").format(channel=channel.name))
        difference = same_grid(first, volume)
        if difference is not None:
            raise SceneError(
                _(
                    "Channel {channel} does not lie on the first channel's grid: {difference}. Resample it."
                ).format(channel=channel.name, difference=difference)
            )
    return [image_entry(volume, folder, f"channel_{index}") for index, volume in enumerate(chosen)]


def image_entry(volume: slicer.vtkMRMLScalarVolumeNode, folder: Path, name: str) -> dict[str, Any]:
    """Copy one grey volume into an array file.

    Args:
        volume: Its own grid counts; a transform that it lies under does not.
        folder: Private to the run.
        name: The file's stem.

    Returns:
        npy (path), ijk_to_ras (four rows of four, mm), and modality if known.

    Raises:
        SceneError: No voxels, several components, a label map, or axes that are not at right angles.
    """
    return _entry(volume, grey_array(volume), folder, name)


def grey_array(volume: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """The voxels of a grey volume, (K, J, I), in Slicer's own memory: copy before keeping.

    Raises:
        SceneError: As `image_entry`.
    """
    array = _array(volume)
    if array.ndim != 3:
        raise SceneError(
            _("The volume has {n} components a voxel: choose a grey one.").format(n=array.shape[3])
        )
    return array


def components(volume: slicer.vtkMRMLVolumeNode) -> int:
    """Numbers a voxel: 1 for a grey volume, 3 for RGB; 0 for a volume without voxels."""
    return 0 if 0 in size_of(volume) else volume.GetImageData().GetNumberOfScalarComponents()


def modality(volume: slicer.vtkMRMLVolumeNode) -> str | None:
    """DICOM's modality of the volume, such as "CT" or "MR", or None where nobody knows."""
    uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    found = ""
    if uids and database is not None:
        file = database.fileForInstance(uids[0])
        found = database.fileValue(file, _MODALITY_TAG) if file else ""
    if not found:
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume.GetScene())
        item = tree.GetItemByDataNode(volume)
        found = (tree.GetItemAttribute(item, "DICOM.Modality") or "") if item else ""
    found = found.strip().upper()
    return found if _MODALITY.fullmatch(found) else None


def _component_entries(volume: slicer.vtkMRMLVolumeNode, folder: Path) -> list[dict[str, Any]]:
    array = _array(volume)
    return [_entry(volume, array[..., index], folder, f"channel_{index}") for index in range(array.shape[3])]


def _array(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    if not volume.IsA("vtkMRMLVolumeNode") or 0 in size_of(volume):
        raise SceneError(_("The volume has no voxels: load it again or choose another."))
    if volume.IsA("vtkMRMLLabelMapVolumeNode"):
        raise SceneError(_("A label map was chosen as input: choose the image itself."))
    array: np.ndarray = slicer.util.arrayFromVolume(volume)
    return array


def _entry(volume: slicer.vtkMRMLVolumeNode, array: np.ndarray, folder: Path, name: str) -> dict[str, Any]:
    matrix = ijk_to_ras(volume)
    _check_axes(matrix)
    path = folder / f"{name}.npy"
    try:
        np.save(path, np.ascontiguousarray(array), allow_pickle=False)
    except OSError as error:
        raise SceneError(
            _("The volume cannot be copied for the engine ({reason}): make room on the disk.").format(
                reason=error.strerror or error
            )
        ) from None
    entry: dict[str, Any] = {"npy": str(path), "ijk_to_ras": matrix.tolist()}
    known = modality(volume)
    return {**entry, "modality": known} if known else entry


def _check_axes(matrix: np.ndarray) -> None:
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or not lengths.all():
        raise SceneError(_("The volume's voxel sizes or axes are damaged: load it again."))
    cosines = matrix[:3, :3] / lengths
    if np.abs(cosines.T @ cosines - np.eye(3)).max() > LARGEST_SHEAR:
        raise SceneError(_("The volume's axes are not at right angles: resample it in Crop Volume first."))
