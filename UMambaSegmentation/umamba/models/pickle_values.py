"""The inert things that a checkpoint's pickle may name, and what a call of each gives.

A pickle of `torch.save` names classes and functions. Here a name is looked up in a fixed table and stands
for a function of this file that only takes its arguments apart: nothing is imported, no class of torch,
numpy or any other package is touched, and a name that the table does not have is refused. The table is
what genuine files of nnU-Net and U-Mamba hold (U-Mamba's trainers, nnunetv2 2.1 to 2.8; numpy 1 and 2).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Element types of torch's storages: name in the pickle, name as safetensors writes it, bytes.
STORAGES = {
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "DoubleStorage": ("F64", 8),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "BoolStorage": ("BOOL", 1),
}
ITEM_BYTES = dict(STORAGES.values())
# Axes of a weight: a 3D convolution has five.
MAX_AXES = 8
MAX_STORAGE_ELEMENTS = 2**40

MAX_SCALAR_BYTES = 8

# numpy's scalar types that a training log holds, as `struct` names them.
_NUMPY_SCALARS = {
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "b1": "?",
}
_BYTE_ORDERS = ("<", ">", "|", "=")


class Refused(Exception):  # noqa: N818  (a verdict on the file, turned into ModelError by the reader)
    """What is wrong with a pickle, in words that go into the error's line."""


@dataclass(frozen=True)
class Named:
    """A name of the table: `call` gives the value of a call, None for what may only be named."""

    name: str
    call: Callable[[tuple[Any, ...]], object] | None = None


@dataclass(frozen=True)
class StorageType:
    """An element type, such as torch.FloatStorage."""

    dtype: str


@dataclass(frozen=True)
class Storage:
    """A record `data/<key>` of the archive: `elements` numbers of `dtype`."""

    key: str
    dtype: str
    elements: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides in elements. It is checked to lie inside the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """F32, F16, BF16, F64, I64, I32 or BOOL."""
        return self.storage.dtype


class OrderedMap(dict[Any, Any]):
    """Stands for collections.OrderedDict. A state given to it (torch's `_metadata`) is dropped."""


class NumpyType:
    """Stands for numpy.dtype: an element type and, once its state is set, a byte order."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "<"


@dataclass(frozen=True)
class Latin1:
    """Bytes as protocol 2 writes them: `_codecs.encode(text, "latin1")`.

    Only the text is kept, and it may be shared: a file cannot multiply one long text into many.
    """

    text: str

    def encoded(self) -> bytes:
        """The bytes that are meant."""
        try:
            return self.text.encode("latin1")
        except UnicodeEncodeError:
            raise Refused("bytes that are not latin1") from None


class Opaque:
    """Something harmless that a model does not need: a device, an array of the log."""


def persistent_storage(value: object) -> Storage:
    """Read a persistent id of `torch.save`: ("storage", type, key, device, number of elements)."""
    if type(value) is not tuple or len(value) != 5:
        raise Refused("a persistent id that is not a storage")
    kind, element_type, key, device, elements = value
    if kind != "storage" or type(element_type) is not StorageType or type(device) is not str:
        raise Refused("a persistent id that is not a storage")
    if type(key) is not str or not key.isascii() or not key.isdigit() or len(key) > 9:
        raise Refused("a storage whose key is not a number")
    if type(elements) is not int or not 0 <= elements <= MAX_STORAGE_ELEMENTS:
        raise Refused(f"a storage of {_short(elements)} elements")
    return Storage(key, element_type.dtype, elements)


def rebuild_tensor(arguments: tuple[Any, ...]) -> Tensor:
    """`torch._utils._rebuild_tensor_v2`: every index that the tensor can reach must lie in its storage."""
    if len(arguments) not in (6, 7):
        raise Refused("a tensor with a wrong number of parts")
    storage, offset, shape, stride = arguments[:4]
    if type(storage) is not Storage:
        raise Refused("a tensor without a storage")
    for what, entries in (("shape", shape), ("strides", stride)):
        if type(entries) is not tuple or len(entries) > MAX_AXES or any(type(e) is not int for e in entries):
            raise Refused(f"a tensor whose {what} are not a short tuple of integers")
    if len(shape) != len(stride) or type(offset) is not int or min((offset, *shape, *stride)) < 0:
        raise Refused("a tensor with negative or missing sizes or strides")
    count = math.prod(shape)
    if count > storage.elements:
        raise Refused(f"a tensor of {count} elements on a storage of {storage.elements}")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if count and last >= storage.elements:
        raise Refused(f"a tensor that reaches element {last} of a storage of {storage.elements}")
    return Tensor(storage, offset, shape, stride)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    if len(arguments) != 3 or type(arguments[0]) is not Tensor:
        raise Refused("a parameter that is not a tensor")
    return arguments[0]


def _ordered_map(arguments: tuple[Any, ...]) -> OrderedMap:
    if arguments:
        raise Refused("an OrderedDict made with arguments")
    return OrderedMap()


def _device(arguments: tuple[Any, ...]) -> Opaque:
    return Opaque()


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    if len(arguments) != 1 or type(arguments[0]) is not tuple:
        raise Refused("a torch.Size that is not a tuple")
    entries: tuple[Any, ...] = arguments[0]
    if len(entries) > MAX_AXES or any(type(entry) is not int for entry in entries):
        raise Refused("a torch.Size that is not a short tuple of integers")
    return entries


def _numpy_type(arguments: tuple[Any, ...]) -> NumpyType:
    if not arguments or type(arguments[0]) is not str:
        raise Refused("a numpy.dtype without a name")
    return NumpyType(arguments[0])


def _numpy_scalar(arguments: tuple[Any, ...]) -> float | int | bool:
    if len(arguments) != 2 or type(arguments[0]) is not NumpyType:
        raise Refused("a numpy scalar that is not a type and its bytes")
    numpy_type, data = arguments
    if type(data) is Latin1 and len(data.text) <= MAX_SCALAR_BYTES:
        data = data.encoded()
    if type(data) is not bytes:
        raise Refused("a numpy scalar that is not a type and its bytes")
    letter = _NUMPY_SCALARS.get(numpy_type.code)
    if letter is None:
        raise Refused(f"a numpy scalar of type {_short(numpy_type.code)}")
    order = "=" if numpy_type.order == "|" else numpy_type.order
    if len(data) != struct.calcsize(order + letter):
        raise Refused(f"a numpy scalar of type {numpy_type.code!r} with {len(data)} bytes")
    value: float | int | bool = struct.unpack(order + letter, data)[0]
    return value


def _latin1(arguments: tuple[Any, ...]) -> Latin1:
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] != "latin1":
        raise Refused("a call of _codecs.encode other than to latin1")
    return Latin1(arguments[0])


def _numpy_array(arguments: tuple[Any, ...]) -> Opaque:
    return Opaque()


def set_state(target: object, state: object) -> None:
    """The pickle's BUILD, for the three stand-ins that genuine files build."""
    if type(target) is OrderedMap:
        if not isinstance(state, dict):
            raise Refused("a state of an OrderedDict that is not a dict")
    elif type(target) is NumpyType:
        if type(state) is not tuple or len(state) < 2 or state[1] not in _BYTE_ORDERS:
            raise Refused("a numpy.dtype whose state has no byte order")
        target.order = state[1]
    elif type(target) is not Opaque:
        raise Refused(f"a state set on a {type(target).__name__}")


NAMES: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): Named("collections.OrderedDict", _ordered_map),
    ("torch._utils", "_rebuild_tensor_v2"): Named("torch._utils._rebuild_tensor_v2", rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Named("torch._utils._rebuild_parameter", _parameter),
    ("torch", "device"): Named("torch.device", _device),
    ("torch", "Size"): Named("torch.Size", _size),
    ("numpy", "dtype"): Named("numpy.dtype", _numpy_type),
    ("numpy", "ndarray"): Named("numpy.ndarray"),
    ("numpy.core.multiarray", "scalar"): Named("numpy.scalar", _numpy_scalar),
    ("numpy._core.multiarray", "scalar"): Named("numpy.scalar", _numpy_scalar),
    ("numpy.core.multiarray", "_reconstruct"): Named("numpy._reconstruct", _numpy_array),
    ("numpy._core.multiarray", "_reconstruct"): Named("numpy._reconstruct", _numpy_array),
    ("_codecs", "encode"): Named("_codecs.encode", _latin1),
    **{("torch", name): StorageType(dtype) for name, (dtype, _) in STORAGES.items()},
}


def named(module: str, name: str) -> object:
    """Look a name up; nothing is imported.

    Raises:
        Refused: The table does not have it.
    """
    found = NAMES.get((module, name))
    if found is None:
        raise Refused(f"the name {_short(f'{module}.{name}')}, which no genuine checkpoint holds")
    return found


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
