"""The two ways in which a NIfTI header says where its voxels lie, and how they become a grid."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Geometry

# NIfTI is RAS, everything else here LPS.
_FLIP = np.diag([-1.0, -1.0, 1.0])
_UNIT_MM = {1: ("metres", 1e3), 3: ("micrometres", 1e-3)}
_UNIT_BITS = 0x07
_MILLIMETRES = 2
_SCANNER = 1
# Of a voxel. Two forms closer than this over the whole image are the same but for rounding.
_SAME_PLACE_VOXELS = 0.05
# Relative. pixdim and the sform's own lengths closer than this are the same but for rounding.
_SAME_LENGTH = 1e-3


@dataclass(frozen=True)
class NiftiForms:
    """sform, qform, their codes, pixdim and units as stored: single precision kept exactly.

    Attributes:
        qform_code, sform_code: 0: not given.
        quaternion: b, c, d of the qform.
        qoffset: Its origin, RAS.
        srows: The sform's three rows of four, RAS.
        pixdim: Eight values; the first is the qform's handedness, 1 to 3 the spacing.
        xyzt_units: Units of space (bits 0 to 2) and time.
    """

    qform_code: int
    sform_code: int
    quaternion: tuple[float, ...]
    qoffset: tuple[float, ...]
    srows: tuple[float, ...]
    pixdim: tuple[float, ...]
    xyzt_units: int

    @classmethod
    def unpack(cls, block: bytes, order: str) -> NiftiForms:
        """From the 348 bytes of a header; `order` is "<" or ">"."""
        qform_code, sform_code = struct.unpack_from(f"{order}2h", block, 252)
        return cls(
            qform_code=qform_code,
            sform_code=sform_code,
            quaternion=struct.unpack_from(f"{order}3f", block, 256),
            qoffset=struct.unpack_from(f"{order}3f", block, 268),
            srows=struct.unpack_from(f"{order}12f", block, 280),
            pixdim=struct.unpack_from(f"{order}8f", block, 76),
            xyzt_units=block[123],
        )

    def pack_into(self, block: bytearray) -> None:
        """Into a little-endian header of 348 bytes."""
        struct.pack_into("<8f", block, 76, *self.pixdim)
        block[123] = self.xyzt_units
        struct.pack_into("<2h", block, 252, self.qform_code, self.sform_code)
        struct.pack_into("<6f", block, 256, *self.quaternion, *self.qoffset)
        struct.pack_into("<12f", block, 280, *self.srows)

    @property
    def unit_mm(self) -> float:
        """Millimetres of one unit of length."""
        return _UNIT_MM.get(self.xyzt_units & _UNIT_BITS, ("", 1.0))[1]

    def sform(self) -> np.ndarray:
        """(4, 4): index to RAS, in the header's unit."""
        return np.vstack([np.reshape(self.srows, (3, 4)), [0, 0, 0, 1]]).astype(np.float64)

    def qform(self) -> np.ndarray:
        """(4, 4): index to RAS, in the header's unit."""
        b, c, d = self.quaternion
        a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
        rotation = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        lengths = np.array(self.pixdim[1:4])
        if self.pixdim[0] < 0:
            lengths[2] = -lengths[2]
        matrix = np.eye(4)
        matrix[:3, :3] = rotation * lengths
        matrix[:3, 3] = self.qoffset
        return matrix


def sform_grid(forms: NiftiForms, size: tuple[int, ...], name: str) -> Geometry:
    """The grid of an sform that ITK refuses, made as ITK makes one: spacing from pixdim, cosines as they are.

    Raises:
        InputError: A column of the sform is zero or not finite.
    """
    axes = len(size)
    matrix = _FLIP @ forms.sform()[:3]
    lengths = np.linalg.norm(matrix[:, :3], axis=0)
    if not (np.isfinite(matrix).all() and (lengths[:axes] > 0).all()):
        raise InputError(f"{name}: its sform has an axis of length 0 or no number; repair the header")
    cosines = matrix[:axes, :axes] / lengths[:axes]
    return Geometry(
        size=size,
        spacing=tuple(float(value) * forms.unit_mm for value in forms.pixdim[1 : axes + 1]),
        origin=tuple(float(value) * forms.unit_mm for value in matrix[:axes, 3]),
        direction=tuple(float(value) for value in cosines.ravel()),
    )


def form_warnings(forms: NiftiForms, geometry: Geometry, name: str) -> list[str]:
    """What a reader of another make may see elsewhere than ITK does."""
    warnings = []
    unit = _UNIT_MM.get(forms.xyzt_units & _UNIT_BITS)
    if unit:
        warnings.append(f"{name}: its lengths are given in {unit[0]} and were taken as such")
    if forms.qform_code <= 0 and forms.sform_code <= 0:
        warnings.append(
            f"{name}: the header does not say how the image lies in the body (qform and sform codes are 0); "
            "axes along left, posterior, superior are assumed, as ITK does: check the sides"
        )
        return warnings
    if geometry.axes != 3:
        return warnings
    used = _used_form(forms, geometry)
    if forms.qform_code > 0 and forms.sform_code > 0:
        apart = _furthest_mm(forms, geometry)
        if not apart <= _SAME_PLACE_VOXELS * min(geometry.spacing):
            warnings.append(
                f"{name}: sform and qform disagree by up to {apart:.3g} mm; the {used} was used, as ITK and "
                "nnU-Net do"
            )
    if used == "sform":
        lengths = np.linalg.norm(forms.sform()[:3, :3], axis=0)
        sizes = np.array(forms.pixdim[1:4])
        if not np.allclose(lengths, sizes, rtol=_SAME_LENGTH, atol=0):
            warnings.append(
                f"{name}: the sform's voxel size {_by(lengths)} is not that of pixdim {_by(sizes)}; pixdim "
                "was used, as ITK and nnU-Net do"
            )
    return warnings


def _used_form(forms: NiftiForms, geometry: Geometry) -> str:
    """Which form the grid was made from: the one whose cosines and origin are nearer."""
    if forms.qform_code <= 0:
        return "sform"
    if forms.sform_code <= 0:
        return "qform"
    taken = np.column_stack([np.reshape(geometry.direction, (3, 3)) * geometry.spacing, geometry.origin])
    distances = []
    for form in (forms.sform(), forms.qform()):
        lengths = np.linalg.norm(form[:3, :3], axis=0)
        cosines = form[:3, :3] / np.where(lengths > 0, lengths, 1)
        given = np.column_stack([cosines * forms.pixdim[1:4], form[:3, 3]]) * forms.unit_mm
        distances.append(float(np.abs(_FLIP @ given - taken).sum()))
    return "sform" if distances[0] <= distances[1] else "qform"


def _furthest_mm(forms: NiftiForms, geometry: Geometry) -> float:
    """Largest distance between the places that the two forms give to a corner of the image."""
    ends = [(0, size - 1) for size in geometry.size]
    corners = np.array([(i, j, k, 1) for i in ends[0] for j in ends[1] for k in ends[2]], dtype=np.float64)
    apart = corners @ (forms.sform() - forms.qform()).T
    return float(np.linalg.norm(apart[:, :3], axis=1).max()) * forms.unit_mm


def forms_of(geometry: Geometry) -> NiftiForms:
    """Both forms (code 1, scanner) for a grid from elsewhere, as exact as single precision allows."""
    matrix = np.eye(4)
    matrix[:3, :3] = geometry.matrix
    matrix[: geometry.axes, 3] = geometry.origin
    rows = _FLIP @ matrix[:3]
    cosines = _FLIP @ (geometry.matrix / np.linalg.norm(geometry.matrix, axis=0))
    left, _, right = np.linalg.svd(cosines)
    rotation = left @ right  # the nearest orthogonal matrix, which is itself for a proper grid
    handedness = 1.0 if np.linalg.det(rotation) > 0 else -1.0
    rotation[:, 2] *= handedness
    spacing = (*geometry.spacing, 1.0)[:3]
    return NiftiForms(
        qform_code=_SCANNER,
        sform_code=_SCANNER,
        quaternion=_quaternion(rotation),
        qoffset=tuple(float(value) for value in rows[:, 3]),
        srows=tuple(float(value) for value in rows.ravel()),
        pixdim=(handedness, *spacing, 0.0, 0.0, 0.0, 0.0),
        xyzt_units=_MILLIMETRES,
    )


def _quaternion(rotation: np.ndarray) -> tuple[float, float, float]:
    """b, c, d of a proper rotation, a not negative (Shepperd's method: the largest part comes first)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    squares = np.array([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz])
    largest = int(np.argmax(squares))
    twice = math.sqrt(squares[largest])  # two times the largest part
    a, b, c, d = (
        (twice * twice, zy - yz, xz - zx, yx - xy),
        (zy - yz, twice * twice, xy + yx, xz + zx),
        (xz - zx, xy + yx, twice * twice, yz + zy),
        (yx - xy, xz + zx, yz + zy, twice * twice),
    )[largest]
    scale = (-0.5 if a < 0 else 0.5) / twice
    return b * scale, c * scale, d * scale


def _by(values: np.ndarray) -> str:
    return " x ".join(f"{value:g}" for value in values)
