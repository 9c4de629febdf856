"""A DICOM series as one volume: which files belong to it, and their pixels through SimpleITK (GDCM)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.imaging.dicomheader import DEFLATED, DicomHeader, is_dicom, read_header
from umamba.imaging.dicomstack import cosines_of, slice_distance, sorted_slices
from umamba.imaging.files import reason
from umamba.imaging.image import Geometry, Image
from umamba.imaging.payload import check_memory
from umamba.imaging.simpleitk import itk_reason, load_itk, quiet_decoders, quiet_itk

# The index of a DICOM medium, and its kind of object; it holds no image.
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
# Folders in folders are followed as long as each holds nothing but the next.
_DEEPEST_FOLDER = 16
_MOST_SERIES_LISTED = 20
# Bytes of a value that GDCM may give after the rescale.
_LARGEST_VALUE_BYTES = 8
# SimpleITK's numbers are the header's but for rounding if they are this close (relative or mm).
_SAME_NUMBER = 1e-6


def read_dicom(path: Path, series: str | None = None) -> list[Image]:
    """Read a DICOM series.

    Values are after the modality rescale, in the number type that GDCM gives (the widest of all slices).
    Subfolders are not searched, but a folder that holds nothing else than one folder stands for that.

    Args:
        path: A folder with the series, or one of its files (then its series is read from its folder).
        series: UID, where the folder holds several.

    Returns:
        One image; its `details` hold the UIDs that a DICOM SEG must name: study, series, frame of
        reference, SOP class, and the instances from the first slice to the last.

    Raises:
        InputError: No image series, several and none chosen, an unknown `series`; files that are damaged or
            do not make one regular grid (see `dicomstack`).
    """
    folder, warnings = _folder_of_files(path) if path.is_dir() else (path.parent, [])
    if not path.is_dir():
        own = read_header(path).series_uid
        if series not in (None, own):
            raise InputError(f"{path.name}: belongs to another series than {series}; give the folder instead")
        series = own
    found = _read_series(folder, path.name)
    headers = found[_choose(found, series, path.name)]
    ordered, odd = sorted_slices(headers, path.name)
    geometry, voxels, more = _read_voxels(ordered, path.name)
    first = ordered[0]
    return [
        Image(
            data=voxels,
            geometry=geometry,
            source="dicom",
            modality=first.modality or None,
            files=tuple(header.path.name for header in ordered),
            warnings=(*warnings, *odd, *more),
            details={
                "study_uid": first.study_uid,
                "series_uid": first.series_uid,
                "frame_of_reference_uid": first.frame_of_reference_uid,
                "sop_class_uid": first.sop_class,
                "instance_uids": tuple(header.instance_uid for header in ordered),
            },
        )
    ]


def _folder_of_files(folder: Path) -> tuple[Path, list[str]]:
    """The folder itself, or the one at the end of a chain of folders that each hold one folder only."""
    start = folder
    for _ in range(_DEEPEST_FOLDER):
        entries = _entries(folder)
        if len(entries) != 1 or not entries[0].is_dir():
            break
        folder = entries[0]
    if folder is start:
        return folder, []
    return folder, [f"{start.name}: holds only a folder; the series was read from {folder.name} in it"]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder.name}: the folder cannot be read: {reason(error)}") from error


def _read_series(folder: Path, name: str) -> dict[str, list[DicomHeader]]:
    """Headers of all DICOM objects with pixels in a folder, by series; other files are passed over."""
    series: dict[str, list[DicomHeader]] = {}
    objects = 0
    for entry in _entries(folder):
        if not entry.is_file() or not is_dicom(entry):
            continue
        header = read_header(entry)
        if header.file_class == _DIRECTORY_CLASS:
            continue
        if not header.series_uid and header.transfer_syntax != DEFLATED:
            raise InputError(
                f"{name}: {entry.name} belongs to no series (its header may be cut off); remove it"
            )
        objects += 1
        series.setdefault(header.series_uid, []).append(header)
    images = {uid: headers for uid, headers in series.items() if any(map(_may_be_image, headers))}
    if not images:
        if objects:
            raise InputError(f"{name}: {objects} DICOM objects, none with pixel data; give an image series")
        raise InputError(f"{name}: no DICOM files in this folder; give the one that holds the series itself")
    return images


def _may_be_image(header: DicomHeader) -> bool:
    return header.has_pixels or header.transfer_syntax == DEFLATED  # whose inside is not looked at


def _choose(found: dict[str, list[DicomHeader]], series: str | None, name: str) -> str:
    if series is None and len(found) == 1:
        return next(iter(found))
    if series is not None and series.strip() in found:
        return series.strip()
    listed = [
        f"{uid or 'without a UID'} ({headers[0].modality or 'unknown modality'}, {len(headers)} slices)"
        for uid, headers in sorted(found.items())
    ]
    more = f" and {len(listed) - _MOST_SERIES_LISTED} more" if len(listed) > _MOST_SERIES_LISTED else ""
    text = ", ".join(listed[:_MOST_SERIES_LISTED]) + more
    if series is None:
        raise InputError(f"{name}: holds {len(found)} series; choose one with --series UID: {text}")
    raise InputError(f"{name}: holds no image series {series}; it holds: {text}")


def _read_voxels(ordered: Sequence[DicomHeader], name: str) -> tuple[Geometry, np.ndarray, list[str]]:
    """The grid and (Z, Y, X) values of sorted slices, decoded one by one."""
    first = ordered[0]
    shape = (len(ordered), first.rows, first.columns)
    check_memory(math.prod(shape) * _LARGEST_VALUE_BYTES, name)
    voxels = np.empty(0)
    base: Any = None
    for index, header in enumerate(ordered):
        decoded = _decode(header, name)
        plane = load_itk().GetArrayViewFromImage(decoded).reshape(-1, *shape[1:])
        if plane.shape[0] != 1:
            raise InputError(f"{name}: {header.path.name} holds {plane.shape[0]} slices; one is wanted")
        if index == 0:
            base, voxels = decoded, np.empty(shape, plane.dtype)
        wider = np.result_type(voxels, plane)
        if wider != voxels.dtype:
            voxels = voxels.astype(wider)
        voxels[index] = plane[0]
    geometry, warnings = _grid(base, ordered, name)
    return geometry, voxels, warnings


def _grid(base: Any, ordered: Sequence[DicomHeader], name: str) -> tuple[Geometry, list[str]]:  # noqa: ANN401
    """The grid of sorted slices; `base` is the first as SimpleITK gives it.

    SimpleITK's numbers are taken where they are the header's. GDCM leaves out spacing, position and axes of
    some kinds of objects, and replaces axes not quite at right angles by the identity.
    """
    first = ordered[0]
    distance, warnings = slice_distance(ordered, name)
    row_distance, column_distance = first.pixel_spacing
    spacing = (*_itk_or_own(base.GetSpacing()[:2], (column_distance, row_distance)), distance)
    origin: tuple[float, ...] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    if len(first.position) == 3 and len(first.orientation) == 6:
        cosines = tuple(float(value) for value in cosines_of(first, name).ravel())
        origin = _itk_or_own(base.GetOrigin()[:3], first.position)
        direction = _itk_or_own(base.GetDirection(), cosines)
    else:
        warnings.append(f"{name}: does not say how it lies in the body; axes along left, posterior assumed")
    size = (first.columns, first.rows, len(ordered))
    return Geometry(size=size, spacing=spacing, origin=origin, direction=direction), warnings


def _itk_or_own(given: Sequence[float], own: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(given) if np.allclose(given, own, rtol=_SAME_NUMBER, atol=_SAME_NUMBER) else own


def _decode(header: DicomHeader, name: str) -> Any:  # noqa: ANN401
    """One slice as SimpleITK gives it."""
    reader = load_itk().ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(header.path))
    try:
        with quiet_itk(), quiet_decoders():
            image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            f"{name}: {header.path.name} cannot be decoded ({itk_reason(error)}); export the series "
            "uncompressed"
        ) from error
    if image.GetNumberOfComponentsPerPixel() != 1 or image.GetSize()[:2] != (header.columns, header.rows):
        raise InputError(f"{name}: {header.path.name} decodes to another size; export the series again")
    return image
