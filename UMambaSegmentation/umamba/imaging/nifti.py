"""NIfTI-1 files: header, voxels, and the header's two forms kept for the way back.

Format: NIfTI-1 (nifti1.h), 348 bytes of header in one file with the voxels (.nii, .nii.gz). The grid is
ITK's, so nnU-Net's: spacing from pixdim; axes and origin from the sform where its code is 1 and its axes are
orthonormal, or where there is no qform; else from the qform; with both codes 0 the index axes along L, P, S
from 0.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umamba.errors import InputError
from umamba.imaging.files import temporary_folder
from umamba.imaging.image import Geometry, Image
from umamba.imaging.niftiforms import NiftiForms, form_warnings, sform_grid
from umamba.imaging.payload import Payload, is_gzip, read_start, read_voxels
from umamba.imaging.simpleitk import read_grid

HEADER_BYTES = 348
# Header and the four bytes that say whether extensions follow.
LEAST_OFFSET = 352
NIFTI2_HEADER_BYTES = 540
_REAL_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_COLOUR_TYPES = {128: 3, 2304: 4}
_COLOURS = 3
_UNREADABLE_TYPES = {
    32: "complex numbers", 1792: "complex numbers", 2048: "complex numbers", 1: "single bits",
    1536: "numbers of 128 bits",
}  # fmt: skip
_SPACE_AXES = 3
_VECTOR_AXIS = 5


@dataclass(frozen=True)
class NiftiHeader:
    """What a header says, checked.

    Attributes:
        size: Voxels along i, j (, k).
        components: Values a voxel has.
        interleaved: A voxel's values lie together (colours), else one volume per component.
        dtype: A value's number type, with byte order.
        offset: First byte of the voxels in the unpacked file.
        slope, intercept: The rescale as ITK applies it.
        forms: The two forms, bit by bit.
        warnings: What was odd.
    """

    size: tuple[int, ...]
    components: int
    interleaved: bool
    dtype: np.dtype
    offset: int
    slope: float
    intercept: float
    forms: NiftiForms
    warnings: tuple[str, ...]


def read_nifti(path: Path) -> list[Image]:
    """Read a NIfTI-1 file: one image, or one per colour or vector component.

    Voxels keep their number type; with a rescale they are float32, doubles stay float64 (as ITK gives
    them). 2D files get Z = 1.

    Raises:
        InputError: Not a NIfTI-1 file, cut off or damaged, 4D, complex, or a header that makes no sense.
    """
    header = parse_header(path)
    payload = Payload(path, encoding="gzip" if is_gzip(path) else "raw", skip=header.offset)
    payload.check(math.prod(header.size) * header.components * header.dtype.itemsize)
    geometry = _grid(header, path)
    shape = geometry.shape
    axes = (*shape, header.components) if header.interleaved else (header.components, *shape)
    voxels = read_voxels(payload, axes, header.dtype)
    warnings = [*header.warnings, *form_warnings(header.forms, geometry, path.name)]
    channels = np.moveaxis(voxels, -1, 0) if header.interleaved else voxels
    if header.interleaved and header.components > _COLOURS:
        channels = channels[:_COLOURS]
        warnings.append(f"{path.name}: its transparency (alpha) channel was left out")
    return [
        Image(
            data=np.ascontiguousarray(_rescaled(channel, header)),
            geometry=geometry,
            source="nifti",
            nifti=header.forms,
            files=(path.name,),
            warnings=tuple(warnings),
        )
        for channel in channels
    ]


def parse_header(path: Path) -> NiftiHeader:
    """Read and check the first 348 bytes.

    Raises:
        InputError: See `read_nifti`.
    """
    name = path.name
    block = read_start(path, HEADER_BYTES)
    if len(block) < HEADER_BYTES:
        raise InputError(f"{name}: is no NIfTI file (only {len(block)} bytes of header); export it again")
    order = _byte_order(block, name)
    if block[344:348] != b"n+1\0":
        raise InputError(
            f"{name}: is no NIfTI-1 file in one piece (magic {block[344:347]!r}); save it as .nii.gz"
        )
    dim = struct.unpack_from(f"{order}8h", block, 40)
    intent, datatype, _ = struct.unpack_from(f"{order}3h", block, 68)
    offset, slope, intercept = struct.unpack_from(f"{order}3f", block, 108)
    forms = NiftiForms.unpack(block, order)
    size, components = _size(dim, name)
    dtype, colours = _number_type(datatype, order, name)
    _check_pixdim(forms, size, name)
    _check_forms(forms, name)
    if not math.isfinite(offset) or offset < LEAST_OFFSET:
        raise InputError(f"{name}: its voxels are said to begin at byte {offset:g}; at least 352 is right")
    slope, intercept, warnings = _rescale(slope, intercept, name)
    if colours and components > 1:
        raise InputError(f"{name}: holds several colour volumes (intent {intent}); give them one by one")
    return NiftiHeader(
        size=size,
        components=colours or components,
        interleaved=bool(colours),
        dtype=dtype,
        offset=int(offset),
        slope=1.0 if colours else slope,
        intercept=0.0 if colours else intercept,
        forms=forms,
        warnings=tuple(warnings),
    )


def _byte_order(block: bytes, name: str) -> str:
    for order in "<>":
        (length,) = struct.unpack_from(f"{order}i", block)
        if length == HEADER_BYTES:
            return order
        if length == NIFTI2_HEADER_BYTES:
            raise InputError(f"{name}: is a NIfTI-2 file, which ITK cannot read; save it as NIfTI-1")
    raise InputError(f"{name}: is no NIfTI file, whatever its name says; export it again as .nii.gz")


def _size(dim: tuple[int, ...], name: str) -> tuple[tuple[int, ...], int]:
    """Voxels along the space axes, and components."""
    count = dim[0]
    if not 1 <= count <= 7 or min(dim[1 : count + 1]) < 1:
        raise InputError(f"{name}: its header says size {dim[1:]} in {count} axes; export it again")
    used = list(dim[1 : count + 1])
    while len(used) > _SPACE_AXES and used[-1] == 1:
        used.pop()
    if len(used) == 1:
        raise InputError(f"{name}: has one axis only; an image or a volume is wanted")
    if len(used) <= _SPACE_AXES:
        return tuple(used), 1
    if len(used) == _VECTOR_AXIS and used[3] == 1:
        return tuple(used[:_SPACE_AXES]), used[4]
    raise InputError(
        f"{name}: is a series of {math.prod(used[3:])} volumes (4D); give one volume, as a file of its own"
    )


def _number_type(datatype: int, order: str, name: str) -> tuple[np.dtype, int]:
    """A value's type, and the colours of a voxel (0: grey)."""
    if datatype in _COLOUR_TYPES:
        return np.dtype("u1"), _COLOUR_TYPES[datatype]
    if datatype not in _REAL_TYPES:
        held = _UNREADABLE_TYPES.get(datatype, f"values of the unknown type {datatype}")
        raise InputError(f"{name}: holds {held}; save it as integers or floats (complex: the magnitude)")
    return np.dtype(order + _REAL_TYPES[datatype]), 0


def _check_pixdim(forms: NiftiForms, size: tuple[int, ...], name: str) -> None:
    """ITK takes 1 mm for a missing size and drops signs, in silence: here that is an error.

    An axis of one voxel may lack its size: nothing depends on it.
    """
    sizes = forms.pixdim[1 : len(size) + 1]
    for voxels, value in zip(size, sizes, strict=True):
        if not math.isfinite(value) or value < 0 or (value == 0 and voxels > 1):
            found = " x ".join(f"{entry:g}" for entry in sizes)
            raise InputError(
                f"{name}: spacing {found} (pixdim); every value must be above 0: repair the header or "
                "export again"
            )


def _check_forms(forms: NiftiForms, name: str) -> None:
    given = {
        "qform": (forms.qform_code, (*forms.quaternion, *forms.qoffset)),
        "sform": (forms.sform_code, forms.srows),
    }
    for form, (code, values) in given.items():
        if code > 0 and not all(map(math.isfinite, values)):
            raise InputError(f"{name}: its {form} holds values that are no numbers; repair the header")


def _rescale(slope: float, intercept: float, name: str) -> tuple[float, float, list[str]]:
    """Slope and intercept as ITK applies them: not finite means none; a slope of 0 means 1."""
    warnings = []
    given = slope if math.isfinite(slope) else 1.0
    added = intercept if math.isfinite(intercept) else 0.0
    if given == 0:
        given = 1.0
        if added != 0:
            warnings.append(
                f"{name}: scl_slope is 0 with scl_inter {added:g}; the values were shifted by it, as ITK and "
                "nnU-Net do (the standard would ignore both)"
            )
    elif math.isinf(slope) or math.isinf(intercept):
        warnings.append(f"{name}: its rescale (scl_slope, scl_inter) is infinite and was ignored")
    return given, added, warnings


def _rescaled(values: np.ndarray, header: NiftiHeader) -> np.ndarray:
    """The rescale as ITK's RescaleFunction: to the output type, then in double precision, then back."""
    if header.slope == 1.0 and header.intercept == 0.0:
        return values
    kind = np.float64 if values.dtype == np.float64 else np.float32
    scaled = np.empty(values.shape, kind)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is told by the check of voxels
        for target, plane in zip(scaled, values, strict=True):
            target[:] = plane.astype(kind).astype(np.float64) * header.slope + header.intercept
    return scaled


def _grid(header: NiftiHeader, path: Path) -> Geometry:
    """ITK's grid for this header; where ITK finds the sform not orthonormal and refuses, the sform's own.

    ITK gets a bare header in a file of its own: the voxels stay unread, the file's name cannot disturb.
    """
    with temporary_folder() as folder:
        bare = folder / "header.nii"
        bare.write_bytes(pack_header(header.size, np.dtype(np.uint8), header.forms) + bytes(4))
        try:
            geometry = read_grid(bare, "NiftiImageIO")
        except InputError as error:
            if header.forms.sform_code > 0 and header.forms.qform_code <= 0:
                return sform_grid(header.forms, header.size, path.name)
            raise InputError(str(error).replace(bare.name, path.name)) from error
    if geometry.size != header.size:
        raise InputError(f"{path.name}: its header is contradictory about its size; export it again")
    return geometry


def pack_header(size: tuple[int, ...], dtype: np.dtype, forms: NiftiForms, description: str = "") -> bytes:
    """348 bytes, little-endian, for one volume (two entries of `size`: one flat image) without rescale."""
    codes = {np.dtype(text): code for code, text in _REAL_TYPES.items()}
    block = bytearray(HEADER_BYTES)
    struct.pack_into("<i", block, 0, HEADER_BYTES)
    block[38] = ord("r")
    struct.pack_into("<8h", block, 40, len(size), *size, *([1] * (7 - len(size))))
    struct.pack_into("<2h", block, 70, codes[dtype], 8 * dtype.itemsize)
    struct.pack_into("<3f", block, 108, LEAST_OFFSET, 1.0, 0.0)
    forms.pack_into(block)
    text = description.encode("ascii", "replace")[:79]
    block[148 : 148 + len(text)] = text
    block[344:348] = b"n+1\0"
    return bytes(block)
