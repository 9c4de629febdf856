"""Label maps as files: NIfTI, NRRD, MetaImage, PNG, TIFF.

Written here and not through SimpleITK: its writers round the grid (NIfTI's forms, NRRD's vectors) and may not
notice a full disk. Every function fills a path that is its own and raises OSError when the disk does.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image
from umamba.imaging.nifti import pack_header
from umamba.imaging.niftiforms import forms_of
from umamba.imaging.nrrd import NrrdVectors
from umamba.version import __version__

_KEY_PREFIX = "UMamba."
_PROVENANCE = "UMamba.Provenance"
_COMPRESSION_LEVEL = 6
_LARGEST_NIFTI_AXIS = 32767
# By the bytes of a voxel: labels of one or two, other values as float32.
_NRRD_TYPES = {1: "unsigned char", 2: "unsigned short", 4: "float"}
_MET_TYPES = {1: "MET_UCHAR", 2: "MET_USHORT", 4: "MET_FLOAT"}
# Relative. Kept vectors that differ more from the grid belong to another one.
_SAME_VECTORS = 1e-9
# Digits left free for a size that is known only when the voxels are written.
_SIZE_DIGITS = 20


def write_nifti(path: Path, labels: np.ndarray, like: Image, packed: bool) -> None:
    """NIfTI-1; both forms, their codes, pixdim and units are those of `like` bit by bit if it was NIfTI."""
    size = like.geometry.size
    if max(size) > _LARGEST_NIFTI_AXIS:
        raise InputError(f"an axis of {max(size)} voxels does not fit into NIfTI; write .nrrd or .mha")
    forms = like.nifti or forms_of(like.geometry)
    header = pack_header(size, labels.dtype, forms, f"umamba {__version__}") + bytes(4)
    with path.open("wb") as file:
        if not packed:
            file.write(header)
            file.writelines(_planes(labels))
            return
        with _gzip_into(file) as stream:
            stream.write(header)
            stream.writelines(_planes(labels))


def write_nrrd(path: Path, labels: np.ndarray, like: Image, provenance: Mapping[str, Any]) -> None:
    """NRRD, gzip; the vectors of the grid are those of `like` to the last bit if it was NRRD."""
    header = nrrd_header(labels.dtype, like, None, nrrd_provenance(provenance))
    with path.open("wb") as file:
        file.write(header)
        with _gzip_into(file) as stream:
            stream.writelines(_planes(labels))


def write_layers(path: Path, layers: list[np.ndarray], like: Image, fields: Mapping[str, str]) -> None:
    """NRRD of a volume (Z, Y, X), or of several as a `list` axis that runs fastest."""
    header = nrrd_header(layers[0].dtype, like, len(layers) if len(layers) > 1 else None, fields)
    with path.open("wb") as file:
        file.write(header)
        with _gzip_into(file) as stream:
            for planes in zip(*layers, strict=True):
                stream.write(np.stack(planes, axis=-1).astype(_little(layers[0].dtype), copy=False).tobytes())


def nrrd_provenance(provenance: Mapping[str, Any]) -> dict[str, str]:
    """`UMamba.…` header fields: texts as they are, anything else as JSON."""
    return {
        _KEY_PREFIX + key: value if isinstance(value, str) else _json(value)
        for key, value in provenance.items()
    }


def nrrd_header(dtype: np.dtype, like: Image, layers: int | None, fields: Mapping[str, str]) -> bytes:
    """A NRRD header up to its empty line.

    Args:
        dtype: uint8 or uint16.
        like: Whose grid it is.
        layers: Volumes in the file, as its fastest axis; None for one volume without that axis.
        fields: Further keys with values.
    """
    geometry = like.geometry
    vectors = _vectors(like)
    lead = [] if layers is None else [str(layers)]
    steps = [*([] if layers is None else ["none"]), *(_vector(step) for step in vectors.directions)]
    kinds = [*([] if layers is None else ["list"]), *(["domain"] * geometry.axes)]
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {_NRRD_TYPES[dtype.itemsize]}",
        f"dimension: {geometry.axes + len(lead)}",
        "space: left-posterior-superior" if geometry.axes == 3 else "space dimension: 2",
        f"sizes: {' '.join([*lead, *map(str, geometry.size)])}",
        f"space directions: {' '.join(steps)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(vectors.origin)}",
        *(f"{key}:={_escaped(value)}" for key, value in fields.items()),
    ]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def write_metaimage(path: Path, labels: np.ndarray, like: Image, provenance: Mapping[str, Any]) -> None:
    """MetaImage in one file, zlib."""
    geometry = like.geometry
    before, after = _metaimage_header(labels.dtype, geometry, provenance)
    with path.open("wb") as file:
        file.write(before + b" " * _SIZE_DIGITS + after)
        start = file.tell()
        packer = zlib.compressobj(_COMPRESSION_LEVEL)
        for plane in _planes(labels):
            file.write(packer.compress(plane))
        file.write(packer.flush())
        size = file.tell() - start
        file.seek(len(before))
        file.write(f"{size:>{_SIZE_DIGITS}}".encode())


def _metaimage_header(
    dtype: np.dtype, geometry: Geometry, provenance: Mapping[str, Any]
) -> tuple[bytes, bytes]:
    """The header before and after the size of the packed voxels."""
    before = [
        "ObjectType = Image",
        f"NDims = {geometry.axes}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        "CompressedDataSize = ",
    ]
    after = [
        "",
        f"TransformMatrix = {_numbers(_columns(geometry))}",
        f"Offset = {_numbers(geometry.origin)}",
        f"CenterOfRotation = {_numbers([0.0] * geometry.axes)}",
        f"ElementSpacing = {_numbers(geometry.spacing)}",
        f"{_PROVENANCE.replace('.', '_')} = {json.dumps(dict(provenance), default=str)}",
        f"DimSize = {' '.join(map(str, geometry.size))}",
        f"ElementType = {_MET_TYPES[dtype.itemsize]}",
        "ElementDataFile = LOCAL",
        "",
    ]
    return "\n".join(before).encode(), "\n".join(after).encode()


def write_png(path: Path, labels: np.ndarray, provenance: Mapping[str, Any]) -> None:
    """Grey PNG of 8 or 16 bits of (1, Y, X)."""
    import PIL.Image
    import PIL.PngImagePlugin

    text = PIL.PngImagePlugin.PngInfo()
    text.add_text(_PROVENANCE, json.dumps(dict(provenance), default=str))
    with path.open("wb") as file:
        PIL.Image.fromarray(labels[0]).save(file, format="PNG", pnginfo=text)


def write_tiff(path: Path, labels: np.ndarray, provenance: Mapping[str, Any]) -> None:
    """Grey TIFF of 8 or 16 bits, one page per plane of (Z, Y, X)."""
    import tifffile

    with path.open("wb") as file:
        tifffile.imwrite(
            file,
            labels if labels.shape[0] > 1 else labels[0],
            photometric="minisblack",
            compression="zlib",
            metadata=None,
            description=json.dumps({_PROVENANCE: dict(provenance)}, default=str),
        )


def _json(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _little(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("<")


def _planes(labels: np.ndarray) -> Iterable[bytes]:
    for plane in labels:
        yield plane.astype(_little(labels.dtype), copy=False).tobytes()


def _gzip_into(file: BinaryIO) -> gzip.GzipFile:
    """A gzip stream without name and time, so that the same labels give the same bytes."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=_COMPRESSION_LEVEL)


def _vectors(like: Image) -> NrrdVectors:
    """Steps and origin: those of the input file if it was NRRD with this very grid, else the grid's."""
    geometry = like.geometry
    matrix = geometry.matrix[: geometry.axes, : geometry.axes]
    made = NrrdVectors(tuple(tuple(float(v) for v in column) for column in matrix.T), geometry.origin)
    kept = like.details.get("nrrd_vectors")
    if not isinstance(kept, NrrdVectors) or len(kept.directions) != geometry.axes:
        return made
    same = np.allclose(kept.directions, made.directions, rtol=0, atol=_SAME_VECTORS * max(geometry.spacing))
    return kept if same and kept.origin == made.origin else made


def _columns(geometry: Geometry) -> list[float]:
    """Cosines column by column, as MetaIO stores them."""
    axes = geometry.axes
    return [geometry.direction[row * axes + column] for column in range(axes) for row in range(axes)]


def _numbers(values: Iterable[float]) -> str:
    """Decimal texts that give back the same doubles."""
    return " ".join(repr(float(value)) for value in values)


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\r", " ").replace("\n", "\\n")
