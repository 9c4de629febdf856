"""Small files of every format, byte by byte, so that any field can be wrong."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
NIFTI_CODES = {
    "u1": 2,
    "i2": 4,
    "i4": 8,
    "f4": 16,
    "f8": 64,
    "i1": 256,
    "u2": 512,
    "u4": 768,
    "i8": 1024,
    "u8": 1280,
}


def nifti_header(
    size: Sequence[int],
    datatype: int,
    *,
    order: str = "<",
    pixdim: Sequence[float] = (1.0, 1.0, 1.0),
    qfac: float = 1.0,
    codes: tuple[int, int] = (0, 1),
    quaternion: Sequence[float] = (0.0, 0.0, 0.0),
    qoffset: Sequence[float] = (0.0, 0.0, 0.0),
    srows: Sequence[float] = IDENTITY,
    units: int = 2,
    rescale: tuple[float, float] = (1.0, 0.0),
    offset: float = 352.0,
    magic: bytes = b"n+1\0",
    intent: int = 0,
) -> bytes:
    """352 bytes; `codes` are those of the qform and the sform."""
    block = bytearray(352)
    struct.pack_into(f"{order}i", block, 0, 348)
    dim = [len(size), *size, *([1] * (7 - len(size)))]
    struct.pack_into(f"{order}8h", block, 40, *dim)
    struct.pack_into(f"{order}3h", block, 68, intent, datatype, 0)
    struct.pack_into(f"{order}8f", block, 76, qfac, *pixdim, *([0.0] * (7 - len(pixdim))))
    struct.pack_into(f"{order}3f", block, 108, offset, *rescale)
    block[123] = units
    struct.pack_into(f"{order}2h", block, 252, *codes)
    struct.pack_into(f"{order}6f", block, 256, *quaternion, *qoffset)
    struct.pack_into(f"{order}12f", block, 280, *srows)
    block[344:348] = magic
    return bytes(block)


def nifti_bytes(voxels: np.ndarray, **fields: Any) -> bytes:
    """A NIfTI file of (Z, Y, X) voxels; the byte order is that of the array."""
    order = ">" if voxels.dtype.byteorder == ">" else "<"
    code = NIFTI_CODES[voxels.dtype.str[1:]]
    size = fields.pop("size", voxels.shape[::-1])
    return nifti_header(size, code, order=order, **fields) + voxels.tobytes()


def nrrd_bytes(data: bytes, /, **changes: str | None) -> bytes:
    """A NRRD of 2 x 3 x 4 int16 voxels; `changes` replace fields (underscores for blanks; None: left out)."""
    fields: dict[str, str | None] = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "2 3 4",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
    }
    fields |= {key.replace("_", " "): value for key, value in changes.items()}
    lines = [f"{key}: {value}" for key, value in fields.items() if value is not None]
    return "\n".join(["NRRD0004", *lines]).encode() + b"\n\n" + data


def metaimage_bytes(data: bytes, /, **changes: str | None) -> bytes:
    """A MetaImage of 2 x 3 x 4 int16 voxels; `changes` replace fields (None: left out)."""
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "1 2 3",
        "DimSize": "2 3 4",
        "ElementType": "MET_SHORT",
    }
    file = changes.pop("ElementDataFile", "LOCAL")
    fields |= changes
    lines = [f"{key} = {value}" for key, value in fields.items() if value is not None]
    return "\n".join([*lines, f"ElementDataFile = {file}"]).encode() + b"\n" + data


def dicom_slice(
    index: int, *, spacing_mm: float = 2.0, uid: str = "1.2.826.0.1.99.1", **fields: Any
) -> FileDataset:
    """One CT slice of 4 x 5 pixels, the values 100 * index + 0..19 after the rescale (-1024)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{uid}.{index + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{uid}.{index + 1}"
    dataset.Modality = "CT"
    dataset.PatientName = "Secret^Person"
    dataset.PatientID = "SECRET-ID"
    dataset.StudyInstanceUID = "1.2.826.0.1.99"
    dataset.SeriesInstanceUID = uid
    dataset.FrameOfReferenceUID = "1.2.826.0.1.99.7"
    dataset.ImagePositionPatient = [-10.5, 20.25, 5.0 + spacing_mm * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.75, 0.5]
    dataset.SliceThickness = spacing_mm
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = 4, 5
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = (np.arange(20, dtype="<u2") + 100 * index + 1024).tobytes()
    for key, value in fields.items():
        if value is None:
            delattr(dataset, key)
        else:
            setattr(dataset, key, value)
    return dataset


def save_series(folder: Path, slices: Mapping[str, FileDataset]) -> Path:
    """Write slices under their names into a folder; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, dataset in slices.items():
        pydicom.dcmwrite(folder / name, dataset, enforce_file_format=True)
    return folder


def plain_series(count: int = 5, **fields: Any) -> dict[str, FileDataset]:
    """Slices named so that their names do not sort as their places."""
    return {f"im{(index * 7) % 11:02d}.dcm": dicom_slice(index, **fields) for index in range(count)}


def new_uid() -> str:
    return str(generate_uid())
