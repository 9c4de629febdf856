"""Voxel bytes: all of them or an error, and no memory before the promise was held against the file."""

import gzip
import tracemalloc
import zlib

import numpy as np
import psutil
import pytest

from umamba.errors import InputError
from umamba.imaging.payload import Payload, check_memory, read_start, read_voxels

VOXELS = np.arange(3000, dtype="<i2").reshape(10, 15, 20)
MEGABYTE = 1 << 20
# Far more than reading a header may take, far less than what the bad headers promise.
LITTLE_MEMORY = 4 * MEGABYTE


@pytest.mark.parametrize("encoding", ["raw", "gzip", "zlib"])
@pytest.mark.parametrize("skip", [0, 7])
@pytest.mark.parametrize("start", [0, 5])
def test_reads_what_was_stored(tmp_path, encoding, skip, start):
    pack = {"raw": bytes, "gzip": gzip.compress, "zlib": zlib.compress}[encoding]
    path = tmp_path / "data"
    path.write_bytes(b"x" * start + pack(b"y" * skip + VOXELS.tobytes()))
    found = read_voxels(Payload(path, start, encoding, skip), VOXELS.shape, VOXELS.dtype)
    np.testing.assert_array_equal(found, VOXELS)


def test_big_endian_comes_back_native(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(VOXELS.astype(">i2").tobytes())
    found = read_voxels(Payload(path), VOXELS.shape, np.dtype(">i2"))
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, VOXELS)


def test_gzip_members_follow_on(tmp_path):
    path = tmp_path / "data"
    whole = VOXELS.tobytes()
    path.write_bytes(gzip.compress(whole[:1001]) + gzip.compress(b"") + gzip.compress(whole[1001:]))
    found = read_voxels(Payload(path, encoding="gzip"), VOXELS.shape, VOXELS.dtype)
    np.testing.assert_array_equal(found, VOXELS)


@pytest.mark.parametrize("encoding", ["gzip", "zlib"])
def test_what_follows_the_stream_is_ignored(tmp_path, encoding):
    pack = {"gzip": gzip.compress, "zlib": zlib.compress}[encoding]
    path = tmp_path / "data"
    path.write_bytes(pack(VOXELS.tobytes()) + b"\0\0\0 padding")
    found = read_voxels(Payload(path, encoding=encoding), VOXELS.shape, VOXELS.dtype)
    np.testing.assert_array_equal(found, VOXELS)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "zlib"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(tmp_path, encoding, kept):
    noise = np.random.default_rng(0).integers(0, 255, 30_000, dtype=np.uint8)
    pack = {"raw": bytes, "gzip": gzip.compress, "zlib": zlib.compress}[encoding]
    packed = pack(noise.tobytes())
    path = tmp_path / "data"
    path.write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(InputError, match=r"data: .*(ends early|cut off)"):
        read_voxels(Payload(path, encoding=encoding), noise.shape, noise.dtype)


@pytest.mark.parametrize(("encoding", "lost"), [("gzip", 1), ("gzip", 8), ("zlib", 1), ("zlib", 4)])
def test_a_stream_without_its_checksum_is_refused(tmp_path, encoding, lost):
    pack = {"gzip": gzip.compress, "zlib": zlib.compress}[encoding]
    path = tmp_path / "data"
    path.write_bytes(pack(VOXELS.tobytes())[:-lost])
    with pytest.raises(InputError, match="ends early"):
        read_voxels(Payload(path, encoding=encoding), VOXELS.shape, VOXELS.dtype)


@pytest.mark.parametrize("encoding", ["gzip", "zlib"])
def test_a_wrong_checksum_is_refused(tmp_path, encoding):
    pack = {"gzip": gzip.compress, "zlib": zlib.compress}[encoding]
    packed = bytearray(pack(VOXELS.tobytes()))
    packed[-6 if encoding == "gzip" else -2] ^= 1
    path = tmp_path / "data"
    path.write_bytes(packed)
    with pytest.raises(InputError, match="damaged"):
        read_voxels(Payload(path, encoding=encoding), VOXELS.shape, VOXELS.dtype)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "zlib"])
def test_a_promise_that_no_file_of_that_size_can_keep_takes_no_memory(tmp_path, encoding):
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(bytes(1000)))
    tracemalloc.start()
    with pytest.raises(InputError, match="promises 70362301923326 bytes"):
        read_voxels(Payload(path, encoding=encoding), (32767, 32767, 32767), np.dtype("<i2"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LITTLE_MEMORY


def test_a_bomb_is_unpacked_only_as_far_as_its_header_says(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(bytes(200 * MEGABYTE)))
    tracemalloc.start()
    found = read_voxels(Payload(path, encoding="gzip"), (100,), np.dtype("u1"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found.any()
    assert peak < LITTLE_MEMORY


def test_more_than_this_computer_has_is_refused():
    with pytest.raises(InputError, match=r"scan\.nii: its voxels take .* GB, this computer has"):
        check_memory(psutil.virtual_memory().total + 1, "scan.nii")


def test_the_start_of_a_packed_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(b"abcdefgh" * 1000))
    assert read_start(path, 10) == b"abcdefghab"
    path.write_bytes(gzip.compress(b"abc"))
    assert read_start(path, 10) == b"abc"
