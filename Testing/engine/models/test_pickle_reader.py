"""The pickle interpreter: the same as Python's for plain data, and a wall for everything else."""

import contextlib
import pickle
import pickletools
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.hostile_files import PROTOCOL_2, STOP, call, integer, name, storage, tensor, text, tuple_of
from umamba.models.pickle_reader import _ACTIONS, read_pickle
from umamba.models.pickle_values import Opaque, OrderedMap, Refused, Storage, Tensor
from umamba.models.plain import plain_object

# What a file of a few hundred bytes may cost at most, in bytes of memory.
SMALL_FILE_MEMORY = 5_000_000
# A command that leaves a mark if it is ever run.
SHELL = "touch PWNED"

scalars = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(-9, 9), inner)
    ),
    max_leaves=20,
)


def read(*parts: bytes) -> object:
    return read_pickle(PROTOCOL_2 + b"".join(parts) + STOP)


@given(values, st.integers(2, 5))
@settings(max_examples=100, deadline=None)
def test_plain_data_reads_as_python_reads_it(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol)) == value


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_value_or_a_refusal(data):
    with contextlib.suppress(Refused):  # any other exception fails
        read_pickle(PROTOCOL_2 + data)


@given(st.lists(st.sampled_from([bytes([code]) for code in _ACTIONS]) | st.binary(max_size=5), max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_order_of_known_opcodes_gives_a_value_or_a_refusal(parts):
    with contextlib.suppress(Refused):
        read(*parts)


@pytest.mark.parametrize(
    "opcode",
    [op for op in pickletools.opcodes if ord(op.code) not in _ACTIONS and op.name not in ("STOP",)],
    ids=lambda op: op.name,
)
def test_every_other_opcode_is_refused_by_name(opcode):
    line = b"os\nsystem\n"
    data = b"(" + text(SHELL) + opcode.code.encode("latin1") + line + b"\x00" * 16
    with pytest.raises(Refused, match=opcode.name):
        read(data)


OS_SYSTEM = name("posix", "system")
ATTACKS = {
    "reduce": call(OS_SYSTEM, text(SHELL)),
    "name alone": OS_SYSTEM,
    "eval": call(name("builtins", "eval"), text("open('PWNED', 'w')")),
    "python 2 builtins": call(name("__builtin__", "eval"), text("open('PWNED', 'w')")),
    "getattr chain": call(name("builtins", "getattr"), name("torch", "device"), text("__class__")),
    "attribute of an allowed name": name("collections", "OrderedDict.__reduce__"),
    "dotted module": name("collections.OrderedDict", "fromkeys"),
    "torch.load": call(name("torch", "load"), text("x")),
    "torch hub": call(name("torch.hub", "load"), text("x")),
    "import by torch": name("torch.serialization", "os"),
    "stack global": text("posix") + text("system") + b"\x93" + tuple_of(text(SHELL)) + b"R",
    "stack global without texts": integer(1) + integer(2) + b"\x93",
    "nested reduce": call(call(name("torch", "device"), text("cpu")), text(SHELL)),
    "call of a storage type": call(name("torch", "FloatStorage"), integer(10**9)),
    "call of a text": call(text("os.system"), text(SHELL)),
    "call of ndarray": call(name("numpy", "ndarray"), tuple_of(integer(10**9))),
    "arguments not a tuple": name("torch", "device") + text("cpu") + b"R",
    "setstate on a dict": b"}" + b"}" + text("__class__") + OS_SYSTEM + b"s" + b"b",
    "setstate on a list": b"]" + b"}" + b"b",
    "setstate on a name": name("collections", "OrderedDict") + b"}" + b"b",
    "setstate on a tensor": tensor((2,), (1,)) + b"}" + b"b",
    "setstate not a dict": call(name("collections", "OrderedDict")) + tuple_of(integer(1)) + b"b",
    "dtype with a wrong state": call(name("numpy", "dtype"), text("f8"))
    + tuple_of(integer(3), text("!"))
    + b"b",
    "OrderedDict of something": call(name("collections", "OrderedDict"), b"]"),
    "encode to another codec": call(name("_codecs", "encode"), text("a"), text("rot13")),
    "scalar of objects": call(name("numpy", "dtype"), text("O8")) + STOP,
    "items set on a tuple": tuple_of(integer(1)) + text("a") + integer(1) + b"s",
    "items set on a name": name("torch", "device") + text("a") + integer(1) + b"s",
    "entries added to a dict": b"}" + integer(1) + b"a",
    "entries added to a text": text("a") + integer(1) + b"a",
    "key that is a tuple": b"}" + tuple_of(integer(1)) + integer(1) + b"s",
    "key that is a large number": b"}" + integer(2**61) + integer(1) + b"s",
    "key twice": b"}" + 2 * (text("a") + integer(1) + b"s"),
    "key without a value": b"}(" + text("a") + b"u",
    "memo of nothing": b"h\x05",
    "pop of nothing": b"a",
    "pop across a mark": integer(1) + b"(" + b"\x85",
    "items without a mark": b"}" + integer(1) + integer(2) + b"u",
    "loose parts": integer(1) + integer(2),
    "nothing": b"",
    "open mark": b"(" + integer(1),
    "second protocol": PROTOCOL_2 + integer(1),
    "name without an end": b"c" + b"a" * 500,
    "name that is not UTF-8": b"c\xff\xfe\nx\n",
    "text that is not UTF-8": b"X\x02\x00\x00\x00\xff\xfe",
    "scalar of a wrong length": call(
        name("numpy._core.multiarray", "scalar"), call(name("numpy", "dtype"), text("f8")), b"C\x03abc"
    ),
    "array scalar of a foreign type": call(
        name("numpy._core.multiarray", "scalar"), call(name("numpy", "dtype"), text("O")), b"C\x08abcdefgh"
    ),
    "parameter that is no tensor": call(
        name("torch._utils", "_rebuild_parameter"),
        integer(1),
        b"\x88",
        call(name("collections", "OrderedDict")),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
@pytest.mark.usefixtures("nothing_happens")
def test_attacks_are_refused(attack):
    with pytest.raises(Refused):
        read(ATTACKS[attack])


def test_a_refusal_names_what_was_found():
    with pytest.raises(Refused, match=r"posix\.system"):
        read(OS_SYSTEM)


@pytest.mark.parametrize(
    "start", [b"", b"\x80", b"\x80\x01", b"\x80\x06", b"\x80\xff", b"(lp0\n.", b"cos\n", b"I1\n."]
)
def test_other_protocols_are_refused(start):
    with pytest.raises(Refused, match="protocol"):
        read_pickle(start)


PERSISTENT = {
    "text": text("storage"),
    "short": tuple_of(text("storage")),
    "another kind": tuple_of(
        text("module"), name("torch", "FloatStorage"), text("0"), text("cpu"), integer(1)
    ),
    "type that is a text": tuple_of(text("storage"), text("f"), text("0"), text("cpu"), integer(1)),
    "path as key": tuple_of(
        text("storage"), name("torch", "FloatStorage"), text("../0"), text("cpu"), integer(1)
    ),
    "digits of another script": tuple_of(
        text("storage"), name("torch", "FloatStorage"), text("٣"), text("cpu"), integer(1)
    ),
    "negative size": tuple_of(
        text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), integer(-1)
    ),
    "endless size": tuple_of(
        text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), integer(2**60)
    ),
    "size that is a flag": tuple_of(
        text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), b"\x88"
    ),
    "view metadata": tuple_of(
        text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), integer(1), b"N"
    ),
}


@pytest.mark.parametrize("case", PERSISTENT, ids=str)
def test_persistent_ids_of_a_wrong_shape_are_refused(case):
    with pytest.raises(Refused, match="storage"):
        read(PERSISTENT[case] + b"Q")


def test_a_tensor_is_described():
    found = read(tensor((2, 2), (1, 2)))
    assert found == Tensor(Storage("0", "F32", 4), 0, (2, 2), (1, 2))


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        ((5,), (1,), 0),
        ((4,), (1,), 1),
        ((2, 2), (2, 2), 0),
        ((4,), (0,), 1 << 40),
        ((5,), (0,), 0),
        ((2,), (-1,), 1),
        ((-2,), (1,), 0),
        ((1,) * 9, (1,) * 9, 0),
        ((2, 2), (1,), 0),
        ((1 << 60, 1 << 60), (0, 0), 0),
        ((1,), (1,), -1),
    ],
)
def test_a_tensor_outside_of_its_storage_is_refused(shape, stride, offset):
    with pytest.raises(Refused, match="tensor"):
        read(tensor(shape, stride, offset))


def test_the_strange_sizes_that_torch_writes_are_read():
    assert read(tensor((), ())).shape == ()
    assert read(tensor((1, 4), (4, 1))).stride == (4, 1)
    assert read(tensor((0,), (1,), elements=0)).shape == (0,)


def test_shape_as_torch_size():
    size = call(name("torch", "Size"), tuple_of(integer(2)))
    parts = [storage(), integer(0), size, tuple_of(integer(1)), b"\x89", b"N"]
    assert read(call(name("torch._utils", "_rebuild_tensor_v2"), *parts)).shape == (2,)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
@pytest.mark.parametrize(
    ("code", "order", "data", "wanted"),
    [
        ("f8", "<", struct.pack("<d", 0.25), 0.25),
        ("f4", ">", struct.pack(">f", -2.0), -2.0),
        ("i8", "<", struct.pack("<q", -7), -7),
        ("b1", "|", b"\x01", True),
    ],
)
def test_numpy_scalars_of_both_spellings(module, code, order, data, wanted):
    kind = call(name("numpy", "dtype"), text(code), b"\x89", b"\x88")
    kind += tuple_of(integer(3), text(order), b"N", b"N", b"N", integer(-1), integer(-1), integer(0)) + b"b"
    as_text = call(name("_codecs", "encode"), text(data.decode("latin1")), text("latin1"))
    as_bytes = b"C" + bytes([len(data)]) + data
    for content in (as_text, as_bytes):
        assert read(call(name(module, "scalar"), kind, content)) == wanted


def test_what_a_model_does_not_need_is_read_as_nothing():
    assert type(read(call(name("torch", "device"), text("cuda"), integer(0)))) is Opaque
    array = call(
        name("numpy._core.multiarray", "_reconstruct"), name("numpy", "ndarray"), tuple_of(integer(0))
    )
    assert type(read(array + tuple_of(integer(1)) + b"b")) is Opaque


def test_the_state_of_an_ordered_dict_is_dropped():
    found = read(call(name("collections", "OrderedDict")) + b"}" + text("_metadata") + b"}" + b"s" + b"b")
    assert type(found) is OrderedMap
    assert found == {}


LENGTHS = {
    "text": b"X\xff\xff\xff\xff",
    "bytes": b"B\xff\xff\xff\xff",
    "short text": b"\x8c\xff",
    "short bytes": b"C\xff",
    "integer": b"\x8a\xff" + b"\x01" * 255,
    "frame": b"\x95" + b"\xff" * 8,
    "large bytes": b"\x8e" + b"\xff" * 8,
    "large text": b"\x8d" + b"\xff" * 8,
    "memo index": b"N" + b"r\xff\xff\xff\xff" + b"j\xff\xff\xff\xfe",
}


@pytest.mark.parametrize("case", LENGTHS, ids=str)
def test_lengths_beyond_the_file_take_no_memory(case):
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            read_pickle(PROTOCOL_2 + LENGTHS[case] + b"a" * 20)
        assert tracemalloc.get_traced_memory()[1] < SMALL_FILE_MEMORY
    finally:
        tracemalloc.stop()


def laughs(depth: int) -> bytes:
    """Lists of the list before, twice: the last one has 2^depth entries, in 9 * depth bytes."""
    data = b"](]q\x00"
    for level in range(depth):
        last = bytes([level])
        data += b"]q" + bytes([level + 1]) + b"(h" + last + b"h" + last + b"e"
    return data + b"e"


def test_a_billion_laughs_stay_small():
    document = read(b"}" + text("plans") + laughs(100) + b"s")
    with pytest.raises(Refused, match="larger or deeper"):
        plain_object(document, "plans")
    with pytest.raises(Refused, match="larger or deeper"):
        plain_object({"plans": read(laughs(30))}, "plans")


def test_one_long_text_cannot_be_multiplied():
    long = text("a" * 1_000_000) + b"q\x00"
    encoded = name("_codecs", "encode") + b"q\x01" + b"h\x00" + text("latin1") + b"q\x02" + b"\x86" + b"R"
    again = b"h\x01h\x00h\x02\x86R"
    tracemalloc.start()
    try:
        read(b"](" + long + encoded + 1_000 * again + b"e")
        assert tracemalloc.get_traced_memory()[1] < SMALL_FILE_MEMORY
    finally:
        tracemalloc.stop()


def test_a_list_that_holds_itself():
    document = read(b"}q\x00" + text("me") + b"h\x00" + b"s")
    with pytest.raises(Refused, match="larger or deeper"):
        plain_object(document, "plans")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}, Opaque()])
def test_values_that_json_does_not_have(value):
    with pytest.raises(Refused, match="plans"):
        plain_object({"a": [value]}, "plans")


def test_plain_values_are_copied():
    assert plain_object({"a": (1, [2.5, None, True]), 3: "x"}, "plans") == {
        "a": [1, [2.5, None, True]],
        "3": "x",
    }
    with pytest.raises(Refused, match="twice"):
        plain_object({"3": 1, 3: 2}, "plans")
    with pytest.raises(Refused, match="not a dict"):
        plain_object([1], "plans")


def test_endless_opcodes_end(monkeypatch):
    monkeypatch.setattr("umamba.models.pickle_reader.MAX_OPCODES", 1_000)
    with pytest.raises(Refused, match="opcodes"):
        read(b"N" * 2_000)


def test_a_pickle_of_more_bytes_than_any_is_refused(monkeypatch):
    monkeypatch.setattr("umamba.models.pickle_reader.MAX_PICKLE_BYTES", 10)
    with pytest.raises(Refused, match="bytes"):
        read(b"N" * 20)
