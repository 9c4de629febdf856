"""Rows 1 to 4: files that are empty, of another kind, cut off, or that promise more than they hold."""

from __future__ import annotations

import gzip
import resource
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image as Picture

from engine.bad_input.samples import SHAPE
from image_builders import dicom_slice, metaimage_bytes, nifti_bytes, nifti_header, nrrd_bytes, save_series

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".tif", ".dcm")
TEXT = b"Dear colleague, please find the scan attached.\n" * 20
FLOAT64 = 64
# The address space that a refusal may take on top: code that is loaded then, but no image.
REFUSAL_BYTES = 300_000_000
# A computer for which the bomb below is too much; what counts is that memory is asked for its size.
SMALL_COMPUTER_BYTES = 1_000_000_000
BOMB_MEMBER_BYTES = 100_000_000
BOMB_MEMBERS = 12
GZIP_TRAILER_BYTES = 8


pytestmark = pytest.mark.usefixtures("expected")  # everything is loaded and compiled before


@contextmanager
def little_memory() -> Iterator[None]:
    """No more than `REFUSAL_BYTES` of address space on top of what the process has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + REFUSAL_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def packed_nrrd(voxels: np.ndarray, sizes: str | None = None) -> bytes:
    sizes = sizes or " ".join(map(str, voxels.shape[::-1]))
    data = gzip.compress(voxels.tobytes())
    return nrrd_bytes(data, type="float", encoding="gzip", sizes=sizes)


def packed_metaimage(voxels: np.ndarray, size: str | None = None) -> bytes:
    size = size or " ".join(map(str, voxels.shape[::-1]))
    data = zlib.compress(voxels.tobytes())
    changes = {"ElementType": "MET_FLOAT", "CompressedData": "True", "CompressedDataSize": str(len(data))}
    return metaimage_bytes(data, DimSize=size, **changes)


def png_bytes(width: int, height: int, data: bytes) -> bytes:
    """A grey PNG of 8 bits whose header says this size, whatever its data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def series(folder: Path, **fields: object) -> Path:
    return save_series(folder, {f"{n}.dcm": dicom_slice(n, **fields) for n in range(3)})


def test_nothing_is_wrong_with_the_whole_file(desk, mr, scan, expected):
    np.testing.assert_array_equal(desk.good(scan, mr), expected)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_row_1_empty_file(desk, mr, suffix):
    desk.refuses_image(
        desk.save(f"scan{suffix}", b""), mr, f"scan{suffix}: the file is empty", "export it again"
    )


def test_row_1_empty_folder(desk, mr):
    (desk.inputs / "series").mkdir()
    desk.refuses_image(desk.inputs / "series", mr, "no DICOM files", "give the one that holds the series")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_row_1_text_file_with_the_name_of_an_image(desk, mr, suffix):
    found, advice = {
        ".nii.gz": ("is no NIfTI file", "export it again"),
        ".nii": ("is no NIfTI file", "export it again"),
        ".nrrd": ("is no NRRD file", "export it again"),
        ".nhdr": ("is no NRRD file", "export it again"),
        ".mha": ("is no MetaImage file", "export it again"),
        ".mhd": ("is no MetaImage file", "export it again"),
        ".png": ("is no PNG file", "export it again"),
        ".tif": ("cannot be read as TIFF", "export it again"),
        ".dcm": ("cannot be read", "known are .nii.gz"),
    }[suffix]
    desk.refuses_image(desk.save(f"scan{suffix}", TEXT), mr, found, advice)


def test_row_1_a_few_bytes(desk, mr):
    desk.refuses_image(
        desk.save("scan.nii.gz", gzip.compress(b"x")), mr, "is no NIfTI file", "export it again"
    )


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_row_2_gzip_cut(desk, mr, image, part):
    """In its own header, in the NIfTI header, in the middle, near the end."""
    whole = gzip.compress(nifti_bytes(image))
    desk.refuses_image(
        desk.save("scan.nii.gz", whole[: 15 + int(part * len(whole))]), mr, "scan.nii.gz: ", "again"
    )


@pytest.mark.parametrize("missing", [1, GZIP_TRAILER_BYTES])
def test_row_2_gzip_without_its_end(desk, mr, image, missing):
    whole = gzip.compress(nifti_bytes(image))
    desk.refuses_image(
        desk.save("scan.nii.gz", whole[:-missing]), mr, "the file ends early", "export it again"
    )


def test_row_2_gzip_with_a_wrong_checksum(desk, mr, image):
    whole = bytearray(gzip.compress(nifti_bytes(image)))
    whole[-GZIP_TRAILER_BYTES] ^= 1
    desk.refuses_image(desk.save("scan.nii.gz", bytes(whole)), mr, "is damaged", "export it again")


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_row_2_other_packed_formats_cut(desk, mr, image, name):
    whole = packed_nrrd(image) if name.endswith("nrrd") else packed_metaimage(image)
    desk.refuses_image(desk.save(name, whole[: len(whole) * 2 // 3]), mr, "ends early", "export it again")


THOUSAND = bytes(1000)
GIANT = "32767 32767 32767"
GIANTS = {
    "scan.nii": nifti_header((32767,) * 3, FLOAT64) + THOUSAND,
    "scan.nii.gz": gzip.compress(nifti_header((32767,) * 3, FLOAT64) + THOUSAND),
    "scan.nrrd": nrrd_bytes(THOUSAND, sizes=GIANT),
    "packed.nrrd": nrrd_bytes(gzip.compress(THOUSAND), sizes=GIANT, encoding="gzip"),
    "scan.mha": metaimage_bytes(THOUSAND, DimSize=GIANT),
    "packed.mha": metaimage_bytes(zlib.compress(THOUSAND), DimSize=GIANT, CompressedData="True"),
    "scan.png": png_bytes(2**31 - 1, 2**31 - 1, THOUSAND),
}


@pytest.mark.parametrize("name", GIANTS)
def test_row_3_header_of_a_giant(desk, mr, name):
    path = desk.save(name, GIANTS[name])
    with little_memory():
        desk.refuses_image(path, mr, "bytes of voxels, the file has room for", "copy or export it again")


def test_row_3_tiff_of_a_giant(desk, mr):
    path = desk.inputs / "scan.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8))
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(2**31 - 1, dtype="I")
    with little_memory():
        desk.refuses_image(path, mr, "GB, this computer has", "check the file")


def test_row_3_dicom_of_a_giant(desk, mr):
    folder = series(desk.inputs / "series", Rows=65535, Columns=65535)
    with little_memory():
        desk.refuses_image(folder, mr, "bytes of pixels", "export the series again")


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nrrd"])
def test_row_3_bomb_that_holds_what_it_promises(desk, mr, monkeypatch, name):
    """1.2 GB of zeros in 1.2 MB, on a computer with 1 GB."""
    size = (1000, 1000, BOMB_MEMBERS * BOMB_MEMBER_BYTES // 1_000_000)
    zeros = gzip.compress(bytes(BOMB_MEMBER_BYTES)) * BOMB_MEMBERS
    if name.endswith(".nii.gz"):
        content = gzip.compress(nifti_header(size, 2)) + zeros
    else:
        content = nrrd_bytes(zeros, type="uchar", encoding="gzip", sizes=" ".join(map(str, size)))
    usage = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: usage._replace(total=SMALL_COMPUTER_BYTES))
    path = desk.save(name, content)
    with little_memory():
        desk.refuses_image(path, mr, "1.2 GB, this computer has 1.0 GB", "crop the image")


def test_row_3_bomb_without_an_image(desk, mr):
    path = desk.save("scan.nii.gz", gzip.compress(bytes(BOMB_MEMBER_BYTES)) * BOMB_MEMBERS)
    with little_memory():
        desk.refuses_image(path, mr, "is no NIfTI file", "export it again")


def test_row_3_bomb_behind_an_image_is_not_unpacked(desk, mr, image, expected):
    zeros = gzip.compress(bytes(BOMB_MEMBER_BYTES)) * BOMB_MEMBERS
    path = desk.save("scan.nii.gz", gzip.compress(nifti_bytes(image)) + zeros)
    with little_memory():
        np.testing.assert_array_equal(desk.good(path, mr), expected)


LARGER = (SHAPE[2], SHAPE[1], SHAPE[0] + 1)
LARGER_TEXT = " ".join(map(str, LARGER))


@pytest.mark.parametrize(
    "name", ["scan.nii", "scan.nii.gz", "scan.nrrd", "packed.nrrd", "scan.mha", "packed.mha"]
)
def test_row_4_one_slice_less_than_declared(desk, mr, image, name):
    nifti = nifti_bytes(image, size=LARGER)
    content = {
        "scan.nii": nifti,
        "scan.nii.gz": gzip.compress(nifti),
        "scan.nrrd": nrrd_bytes(image.tobytes(), type="float", sizes=LARGER_TEXT),
        "packed.nrrd": packed_nrrd(image, LARGER_TEXT),
        "scan.mha": metaimage_bytes(image.tobytes(), DimSize=LARGER_TEXT, ElementType="MET_FLOAT"),
        "packed.mha": packed_metaimage(image, LARGER_TEXT),
    }[name]
    desk.refuses_image(desk.save(name, content), mr, "bytes of voxels", "copy or export it again")


def test_row_4_dicom_pixels_fewer_than_rows(desk, mr):
    desk.refuses_image(
        series(desk.inputs / "series", Rows=8), mr, "bytes of pixels", "export the series again"
    )


def test_row_4_dicom_length_beyond_the_file(desk, mr):
    folder = series(desk.inputs / "series")
    path = folder / "1.dcm"
    path.write_bytes(path.read_bytes()[:-10])
    desk.refuses_image(folder, mr, "1.dcm", "again")


@pytest.mark.parametrize("name", ["scan.png", "scan.tif"])
def test_row_4_pictures_cut(desk, flat, image, name):
    path = desk.inputs / name
    Picture.fromarray(image[0].astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-80])
    desk.refuses_image(path, flat, name, "export it again")
