"""Weights files: the safetensors library agrees on good ones, and every malformed header is refused."""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file, save_file

from umamba.errors import ModelError
from umamba.models.safetensors_file import (
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    read_arrays,
    read_header,
    sha256_of,
    write_arrays,
)

GOOD = {
    "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "b": {"dtype": "F16", "shape": [3], "data_offsets": [16, 22]},
}
NUMBERS = bytes(22)


def write_raw(path: Path, header: bytes | dict, numbers: bytes = NUMBERS, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + numbers)
    return path


def write(path: Path, tensors: dict[str, np.ndarray]) -> str:
    names = {"float32": "F32", "float16": "F16"}
    shapes = {key: (names[str(array.dtype)], array.shape) for key, array in tensors.items()}
    return write_arrays(path, shapes, iter(tensors.items()))


def changed(**entry) -> dict:
    return GOOD | {"a": GOOD["a"] | entry}


finite = {
    np.float32: st.floats(width=32, allow_nan=False, allow_infinity=False),
    np.float16: st.floats(width=16, allow_nan=False, allow_infinity=False),
}
shapes = arrays.array_shapes(min_dims=0, max_dims=4, max_side=4)
tensors = st.sampled_from(list(finite)).flatmap(
    lambda dtype: st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda key: key != "__metadata__"),
        arrays.arrays(dtype, shapes, elements=finite[dtype]),
        min_size=1,
        max_size=5,
    )
)


@given(tensors)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_and_agreement_with_the_library(tmp_path, tensors):
    path = tmp_path / "a.safetensors"
    path.unlink(missing_ok=True)
    digest = write(path, tensors)
    assert digest == sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    theirs, ours = load_file(path), dict(read_arrays(path))
    assert list(ours) == list(tensors)
    assert theirs.keys() == tensors.keys()
    for key, wanted in tensors.items():
        for found in (ours[key], theirs[key]):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


def test_files_of_the_library_are_read(tmp_path):
    wanted = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "v": np.ones(3, np.float16)}
    save_file(wanted, tmp_path / "a.safetensors", metadata={"format": "pt"})
    found = dict(read_arrays(tmp_path / "a.safetensors"))
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)


def test_the_hand_made_header_is_read(tmp_path):
    header = read_header(write_raw(tmp_path / "a.safetensors", GOOD))
    assert {key: (entry.dtype, entry.shape) for key, entry in header.items()} == {
        "a": ("F32", (2, 2)),
        "b": ("F16", (3,)),
    }


MALFORMED = {
    "overlapping offsets": (GOOD | {"b": GOOD["b"] | {"data_offsets": [14, 20]}}, "overlaps"),
    "the same bytes twice": (GOOD | {"c": GOOD["a"]}, "overlaps"),
    "a gap": (GOOD | {"b": GOOD["b"] | {"data_offsets": [18, 24]}}, "gap"),
    "a gap at the start": ({"a": GOOD["a"] | {"data_offsets": [6, 22]}}, "gap"),
    "beyond the file": (changed(shape=[2, 200], data_offsets=[0, 1600]), "overlaps"),
    "offsets backwards": (changed(data_offsets=[16, 0]), "bytes found"),
    "negative offsets": (changed(data_offsets=[-16, 0]), "not two numbers"),
    "offsets that are texts": (changed(data_offsets=["0", "16"]), "not two numbers"),
    "one offset": (changed(data_offsets=[0]), "not two numbers"),
    "endless offsets": (changed(data_offsets=[0, 2**80]), "not two numbers"),
    "wrong shape": (changed(shape=[2, 3]), "24 wanted"),
    "endless shape": (changed(shape=[2**40, 2**40]), "wanted"),
    "negative shape": (changed(shape=[-2, -2]), "shape"),
    "shape with a flag": (changed(shape=[True, 4]), "shape"),
    "shape with a fraction": (changed(shape=[2.0, 2]), "shape"),
    "shape without numbers": (changed(shape=[0, 2], data_offsets=[0, 0]), "shape"),
    "shape that is a number": (changed(shape=4), "shape"),
    "too many axes": (changed(shape=[1] * 9), "shape"),
    "integers": (changed(dtype="I64"), "I64"),
    "no type": (changed(dtype=None), "type"),
    "a list as type": (changed(dtype=["F32"]), "type"),
    "missing part": (GOOD | {"a": {"dtype": "F32", "shape": [2, 2]}}, "data_offsets wanted"),
    "further part": (changed(code="x"), "data_offsets wanted"),
    "an entry that is a list": (GOOD | {"a": [1]}, "data_offsets wanted"),
    "metadata that is a list": (GOOD | {"__metadata__": [1]}, "__metadata__"),
    "metadata with numbers": (GOOD | {"__metadata__": {"a": 1}}, "__metadata__"),
    "no tensor": ({"__metadata__": {"a": "b"}}, "0 tensors"),
    "a key twice": (json.dumps(GOOD).encode().replace(b'"b"', b'"a"'), "twice"),
    "no JSON": (b"{" * 30, "JSON"),
    "a list": (b"[1, 2]", "object"),
    "not UTF-8": (b'{"\xff\xfe": 1}', "JSON"),
    "bottomless": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested"),
    "NaN in the header": (b'{"a": NaN}', "JSON"),
}


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_headers_are_refused(tmp_path, case):
    header, said = MALFORMED[case]
    with pytest.raises(ModelError, match=said) as refusal:
        list(read_arrays(write_raw(tmp_path / "a.safetensors", header)))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("numbers", [NUMBERS[:-1], NUMBERS + b"\x00", b""])
def test_numbers_that_are_too_few_or_too_many_are_refused(tmp_path, numbers):
    with pytest.raises(ModelError, match="wanted"):
        read_header(write_raw(tmp_path / "a.safetensors", GOOD, numbers))


@pytest.mark.parametrize("length", [100_000_001, MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_a_long_header_is_refused_unread(tmp_path, length):
    with pytest.raises(ModelError, match=f"header of {length} bytes"):
        read_header(write_raw(tmp_path / "a.safetensors", GOOD, length=length))


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="the file has"):
        read_header(write_raw(tmp_path / "a.safetensors", GOOD, length=1_000_000))


def test_more_tensors_than_any_network_has(tmp_path):
    count = MAX_TENSORS + 1
    header = {
        str(n): {"dtype": "F16", "shape": [1], "data_offsets": [2 * n, 2 * n + 2]} for n in range(count)
    }
    with pytest.raises(ModelError, match=f"{count} tensors"):
        read_header(write_raw(tmp_path / "a.safetensors", header, bytes(2 * count)))


def test_a_million_tensors_are_refused_by_their_header(tmp_path):
    line = b'"%07d":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},'
    text = b"{" + b"".join(line % n for n in range(1_000_000))[:-1] + b"}"
    with pytest.raises(ModelError, match="header of"):
        read_header(write_raw(tmp_path / "a.safetensors", text))


@pytest.mark.parametrize("size", [0, 3, 7])
def test_a_stump_is_refused(tmp_path, size):
    path = tmp_path / "a.safetensors"
    path.write_bytes(bytes(size))
    with pytest.raises(ModelError, match="no weights file"):
        read_header(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    write(tmp_path / "a.safetensors", {"x": np.ones(3, np.float32), "y": np.array([1, value], np.float32)})
    with pytest.raises(ModelError, match="'y' hold NaN or infinity"):
        list(read_arrays(tmp_path / "a.safetensors"))


def test_a_missing_file(tmp_path):
    for read in (read_header, sha256_of, lambda path: list(read_arrays(path))):
        with pytest.raises(ModelError, match="cannot be read"):
            read(tmp_path / "a.safetensors")


def test_what_is_written_must_be_what_was_announced(tmp_path):
    with pytest.raises(ValueError, match="announced"):
        write_arrays(tmp_path / "a", {"x": ("F32", (2,))}, [("x", np.ones(3, np.float32))])
    with pytest.raises(ValueError, match="announced"):
        write_arrays(tmp_path / "b", {"x": ("F32", (2,))}, [("y", np.ones(2, np.float32))])
    with pytest.raises(FileExistsError):
        write_arrays(tmp_path / "b", {}, [])
