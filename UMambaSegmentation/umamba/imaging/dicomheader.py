"""The header of one DICOM file: the few elements that decide on grid and pixels, read without its pixels.

Format: DICOM PS3.5 (data elements, sequences) and PS3.10 (files). Every length is held against the file,
nesting is bounded and nothing is kept but the elements listed here, none of which names a person.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from umamba.errors import InputError
from umamba.imaging.files import reason

_MAGIC_AT = 128
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010
_AFTER_PIXELS = 0x7FE00011
_TRANSFER_SYNTAX = 0x00020010
# Real headers nest a handful deep; a decoder that recurses further may exhaust its stack.
_DEEPEST_NESTING = 32
_LONGEST_VALUE_BYTES = 1 << 12
_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

_TEXTS = {
    0x00020002: "file_class",
    0x00080016: "sop_class",
    0x00080018: "instance_uid",
    0x00080060: "modality",
    0x0020000D: "study_uid",
    0x0020000E: "series_uid",
    0x00200052: "frame_of_reference_uid",
    0x00280004: "photometric",
}
_DECIMALS = {
    0x00180050: "thickness",
    0x00180088: "slice_distance",
    0x00200032: "position",
    0x00200037: "orientation",
    0x00280008: "frames",
    0x00280030: "pixel_spacing",
}
_WORDS = {0x00280002: "samples", 0x00280010: "rows", 0x00280011: "columns", 0x00280100: "bits_allocated"}


@dataclass(frozen=True)
class DicomHeader:
    """One file's facts. Numbers are () or 0, texts "" where the file has none or no proper ones.

    Attributes:
        path: The file.
        transfer_syntax: UID of the pixels' encoding.
        file_class, sop_class: UIDs of what kind of object it is.
        position: Centre of the first pixel, mm, LPS.
        orientation: Cosines along a row, then down a column.
        pixel_spacing: mm between rows, between columns.
        thickness, slice_distance: One value in mm, or none.
        has_pixels: There is pixel data, whole.
    """

    path: Path
    transfer_syntax: str
    has_pixels: bool
    file_class: str = ""
    sop_class: str = ""
    instance_uid: str = ""
    modality: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""
    photometric: str = ""
    thickness: tuple[float, ...] = ()
    slice_distance: tuple[float, ...] = ()
    position: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    frames: tuple[float, ...] = ()
    pixel_spacing: tuple[float, ...] = ()
    samples: int = 0
    rows: int = 0
    columns: int = 0
    bits_allocated: int = 0


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's mark at byte 128, or begins with DICOM's first group without one."""
    try:
        with path.open("rb") as file:
            return _dataset_start(file) is not None
    except OSError:
        return False


def read_header(path: Path) -> DicomHeader:
    """Read the header of a DICOM file.

    Raises:
        InputError: Not DICOM; an element or the pixel data reaches beyond the file's end; an unknown value
            representation; sequences nested deeper than 32.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path).read()
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {reason(error)}") from error


def _dataset_start(file: BinaryIO) -> int | None:
    block = file.read(_MAGIC_AT + 4)
    if block[_MAGIC_AT:] == b"DICM":
        return _MAGIC_AT + 4
    # Files from before 1993 and some exports have no preamble: group 0008 (or 0002), a low element, and a
    # length or VR that suits the first element.
    if len(block) >= 12 and block[:2] in (b"\x08\0", b"\x02\0") and block[3] == 0:
        explicit = block[4:6] in _SHORT_VRS or block[4:6] in _LONG_VRS
        if explicit or struct.unpack_from("<I", block, 4)[0] < _MAGIC_AT:
            return 0
    return None


class _Reader:
    """Walks one file's elements once, front to back."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file = file
        self.path = path
        self.size = path.stat().st_size
        self.order = "<"
        self.explicit = True
        self.found: dict[str, Any] = {}
        self.syntax = ""

    def read(self) -> DicomHeader:
        start = _dataset_start(self.file)
        if start is None:
            raise InputError(f"{self.path.name}: is no DICOM file; give a folder with one series")
        self.file.seek(start)
        self._read_meta()
        has_pixels = self.syntax != DEFLATED and self._read_dataset()
        return DicomHeader(path=self.path, transfer_syntax=self.syntax, has_pixels=has_pixels, **self.found)

    def _read_meta(self) -> None:
        """Group 0002, always explicit and little-endian; then switch to what it announces."""
        while (here := self.file.tell()) + 8 <= self.size:
            if self.file.read(2) != b"\x02\0":
                self.file.seek(here)
                break
            self.file.seek(here)
            tag, _, length = self._element()
            value = self._value(length)
            if tag == _TRANSFER_SYNTAX:
                self.syntax = _text(value)
            elif tag in _TEXTS:
                self.found[_TEXTS[tag]] = _text(value)
        if not self.syntax:  # no file meta information: guess from the first element, as other readers do
            here = self.file.tell()
            block = self.file.read(6)
            self.file.seek(here)
            self.explicit = block[4:6] in _SHORT_VRS or block[4:6] in _LONG_VRS
            self.syntax = "1.2.840.10008.1.2.1" if self.explicit else _IMPLICIT
            return
        self.explicit = self.syntax != _IMPLICIT
        self.order = ">" if self.syntax == _BIG_ENDIAN else "<"

    def _read_dataset(self) -> bool:
        """Take the wanted elements; True if whole pixel data was met."""
        while self.file.tell() + 8 <= self.size:
            tag, vr, length = self._element()
            if tag == _PIXEL_DATA:
                self._check_pixels(length)
                return True
            if tag >= _AFTER_PIXELS:
                return False
            if tag in _TEXTS:
                self.found[_TEXTS[tag]] = _text(self._value(length))
            elif tag in _DECIMALS:
                self.found[_DECIMALS[tag]] = _decimals(self._value(length))
            elif tag in _WORDS:
                value = self._value(length)
                self.found[_WORDS[tag]] = (
                    struct.unpack_from(f"{self.order}H", value)[0] if len(value) >= 2 else 0
                )
            else:
                self._skip(vr, length, 0)
        if self.file.tell() < self.size:
            raise self._ends_early()
        return False

    def _element(self) -> tuple[int, bytes, int]:
        """Tag, VR (b"" where implicit) and length of the next element; the file stands at its value."""
        block = self._exactly(8)
        group, number = struct.unpack_from(f"{self.order}HH", block)
        tag = group << 16 | number
        if tag in (_ITEM, _ITEM_END, _SEQUENCE_END) or not self.explicit:
            (length,) = struct.unpack_from(f"{self.order}I", block, 4)
            return tag, b"", length
        vr = block[4:6]
        if vr in _SHORT_VRS:
            (length,) = struct.unpack_from(f"{self.order}H", block, 6)
            return tag, vr, length
        if vr not in _LONG_VRS:
            raise InputError(
                f"{self.path.name}: element ({group:04x},{number:04x}) has the unknown value representation "
                f"{vr!r}; the file is damaged: export the series again"
            )
        (length,) = struct.unpack(f"{self.order}I", self._exactly(4))
        return tag, vr, length

    def _exactly(self, count: int) -> bytes:
        block = self.file.read(count)
        if len(block) < count:
            raise self._ends_early()
        return block

    def _value(self, length: int) -> bytes:
        self._check_length(length)
        if length > _LONGEST_VALUE_BYTES:
            self.file.seek(length, 1)
            return b""
        return self._exactly(length)

    def _check_length(self, length: int) -> None:
        if length > self.size - self.file.tell():
            raise self._ends_early()

    def _ends_early(self) -> InputError:
        return InputError(
            f"{self.path.name}: an element is longer than the file; it is cut off: export the series again"
        )

    def _skip(self, vr: bytes, length: int, depth: int) -> None:
        """Go past a value; sequences are walked, so that their depth and lengths are known to be sound."""
        if length != _UNDEFINED:
            self._check_length(length)
            end = self.file.tell() + length
            if vr == b"SQ" or (vr in (b"", b"UN") and self._at_item(length)):
                self._skip_items(end, depth + 1, implicit=vr == b"UN")
            self.file.seek(end)
        else:
            self._skip_items(None, depth + 1, implicit=vr == b"UN")

    def _at_item(self, length: int) -> bool:
        if length < 8:
            return False
        group, number = struct.unpack(f"{self.order}HH", self._exactly(4))
        self.file.seek(-4, 1)
        return (int(group) << 16 | int(number)) == _ITEM

    def _skip_items(self, end: int | None, depth: int, implicit: bool) -> None:
        """Walk a sequence's items up to `end`, or to its delimiter if that is None."""
        if depth > _DEEPEST_NESTING:
            raise InputError(
                f"{self.path.name}: sequences are nested deeper than {_DEEPEST_NESTING}; the file is damaged "
                "or was made to harm"
            )
        before, self.explicit = self.explicit, self.explicit and not implicit  # PS3.5 6.2.2: UN is implicit
        while end is None or self.file.tell() < end:
            tag, _, length = self._element()
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise InputError(f"{self.path.name}: a sequence is damaged; export the series again")
            if length != _UNDEFINED:
                self._check_length(length)
            self._skip_elements(None if length == _UNDEFINED else self.file.tell() + length, depth)
        self.explicit = before

    def _skip_elements(self, end: int | None, depth: int) -> None:
        while end is None or self.file.tell() < end:
            tag, vr, length = self._element()
            if tag == _ITEM_END:
                break
            self._skip(vr, length, depth)

    def _check_pixels(self, length: int) -> None:
        """Hold the pixel data against the file and against rows x columns x frames."""
        if length != _UNDEFINED:
            self._check_length(length)
            frames = int((self.found.get("frames") or (1.0,))[0])
            keys = ("rows", "columns", "samples", "bits_allocated")
            wanted = math.prod(self.found.get(key, 0) for key in keys) * frames // 8
            if length < wanted:
                raise InputError(
                    f"{self.path.name}: holds {length} bytes of pixels, {wanted} are wanted; export the "
                    "series again"
                )
            return
        while True:
            tag, _, size = self._element()
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise InputError(f"{self.path.name}: its packed pixels are damaged; export the series again")
            self._check_length(size)
            self.file.seek(size, 1)


def _text(value: bytes) -> str:
    return " ".join(value.decode("ascii", "replace").replace("\0", " ").split())


def _decimals(value: bytes) -> tuple[float, ...]:
    """The numbers of a DS or IS element, none if one of them is none."""
    try:
        numbers = tuple(float(part) for part in _text(value).split("\\"))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()
