"""Results as files, in the format that the name's ending asks for, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.imaging import labelfiles
from umamba.imaging.files import atomic_write, suffix_of
from umamba.imaging.image import Image
from umamba.imaging.segments import Segment
from umamba.imaging.segnrrd import write_segmentation

LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd", ".png", ".tif", ".tiff")
_FLAT_SUFFIXES = (".png", ".tif", ".tiff")
_SEGMENTATION = ".seg.nrrd"
_DICOM = ".dcm"


def check_output(path: str | Path, like: Image | None = None) -> str:
    """The format of an output, by its name.

    Args:
        path: The output.
        like: The image whose labels it shall hold, where known.

    Returns:
        One of `LABEL_SUFFIXES`.

    Raises:
        InputError: An unknown ending; DICOM SEG, which comes later; a picture format for a volume.
    """
    suffix = suffix_of(path)
    name = Path(path).name
    if suffix == _DICOM:
        raise InputError(f"{name}: DICOM SEG comes in a later release; write .seg.nrrd or .nii.gz")
    if suffix not in LABEL_SUFFIXES:
        raise InputError(
            f"{name}: labels cannot be written as {suffix or 'a file without an ending'}; known are "
            f"{', '.join(LABEL_SUFFIXES)}"
        )
    if like is not None and suffix in _FLAT_SUFFIXES and like.geometry.shape[0] > 1:
        if suffix == ".png":
            raise InputError(f"{name}: PNG holds flat images, this is a volume; write .nii.gz or .nrrd")
        if like.source != "natural":
            raise InputError(f"{name}: TIFF would lose the volume's grid; write .nii.gz or .nrrd")
    return suffix


def write_labels(
    path: str | Path,
    labels: np.ndarray | Sequence[np.ndarray],
    like: Image,
    segments: Sequence[Segment] = (),
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write labels on the grid of `like`.

    NIfTI from NIfTI copies sform, qform, their codes, pixdim and units bit by bit; NRRD from NRRD and
    MetaImage from MetaImage give the same grid to the last bit.

    Args:
        path: The file; its ending is the format: .nii.gz .nii .nrrd .mha (label map), .png .tif (of a flat
            image; .tif also of a TIFF stack), .seg.nrrd (Slicer's segmentation).
        labels: (Z, Y, X) uint8 or uint16; for .seg.nrrd also one mask per segment, which may overlap.
        like: The image that was segmented.
        segments: Names, colours, codes (.seg.nrrd). A value without a segment gets one called "Label N".
        provenance: Plain values, written into the header where the format has room (not NIfTI).
        overwrite: Replace a file that is there.

    Raises:
        InputError: As `check_output` and `files.atomic_write`; overlapping masks for another format.
        ValueError: `labels` of another shape or number type.
    """
    path = Path(path)
    suffix = check_output(path, like)
    facts = dict(provenance or {})
    if not isinstance(labels, np.ndarray):
        if suffix != _SEGMENTATION:
            raise InputError(f"{path.name}: overlapping labels need a .seg.nrrd file")
        _check_shapes(list(labels), like)
    else:
        if labels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"labels are uint8 or uint16, not {labels.dtype}")
        _check_shapes([labels], like)
    with atomic_write(path, overwrite) as hidden:
        if suffix == _SEGMENTATION:
            write_segmentation(hidden, labels, like, segments, facts)
        else:
            assert isinstance(labels, np.ndarray)
            _write_map(hidden, suffix, labels, like, facts)


def write_values(
    path: str | Path,
    values: np.ndarray,
    like: Image,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a float32 map (Z, Y, X), such as the uncertainty, on the grid of `like`, as `write_labels` does.

    Raises:
        InputError: As `write_labels`; .png and .seg.nrrd hold no such values.
        ValueError: `values` of another shape or number type.
    """
    path = Path(path)
    suffix = check_output(path, like)
    if suffix in (_SEGMENTATION, ".png"):
        raise InputError(f"{path.name}: {suffix} holds no decimal values; write .nii.gz or .nrrd")
    if values.dtype != np.float32:
        raise ValueError(f"values are float32, not {values.dtype}")
    _check_shapes([values], like)
    with atomic_write(path, overwrite) as hidden:
        _write_map(hidden, suffix, values, like, dict(provenance or {}))


def _write_map(path: Path, suffix: str, labels: np.ndarray, like: Image, facts: dict[str, Any]) -> None:
    match suffix:
        case ".nii.gz" | ".nii":
            labelfiles.write_nifti(path, labels, like, packed=suffix.endswith(".gz"))
        case ".nrrd":
            labelfiles.write_nrrd(path, labels, like, facts)
        case ".mha":
            labelfiles.write_metaimage(path, labels, like, facts)
        case ".png":
            labelfiles.write_png(path, labels, facts)
        case _:
            labelfiles.write_tiff(path, labels, facts)


def _check_shapes(arrays: Sequence[np.ndarray], like: Image) -> None:
    for array in arrays:
        if array.shape != like.geometry.shape:
            raise ValueError(f"labels of shape {array.shape} do not fit the image's {like.geometry.shape}")
