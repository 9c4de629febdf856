"""The checkpoint reader: genuine weights bit by bit, everything else refused before anything happens."""

import _codecs
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.models.hostile_files import (
    PROTOCOL_2,
    STOP,
    call,
    checkpoint_content,
    name,
    save_checkpoint,
    tensor,
    text,
    write_checkpoint,
    write_zip,
)
from umamba.errors import ModelError
from umamba.models.checkpoint import read_arrays, read_checkpoint

HOSTILE_CHECKPOINTS = 10  # the oracle's files that end in .pth
CASES = ("e2e_801", "e2e_802", "e2e_803", "e2e_804")
# Reading what a checkpoint says must not read the optimizer, nor hold more than one tensor.
OPTIMIZER_NUMBERS = 10_000_000
MEMORY_WITHOUT_OPTIMIZER = 10_000_000
KEY = "encoder.stages.0.0.convs.0.conv.weight"


def genuine(path: Path) -> dict[str, torch.Tensor]:
    """The weights as torch reads them, under its own allow-list."""
    scalar = np._core.multiarray.scalar
    allowed = [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, _codecs.encode]
    allowed += [scalar, (scalar, "numpy.core.multiarray.scalar")]  # numpy 2's and numpy 1's spelling
    with torch.serialization.safe_globals(allowed):
        return torch.load(path, weights_only=True, map_location="cpu")["network_weights"]


def weights_of(path: Path) -> dict[str, np.ndarray]:
    return dict(read_arrays(read_checkpoint(path)))


@pytest.mark.parametrize("case", CASES)
def test_genuine_checkpoints_read_as_torch_reads_them(oracle, case):
    paths = sorted((oracle / case).glob("*/fold_*/checkpoint_final.pth"))
    assert paths
    for path in paths:
        checkpoint, wanted = read_checkpoint(path), genuine(path)
        found = dict(read_arrays(checkpoint))
        assert set(found) < set(wanted)  # the duplicates are dropped
        for key, array in found.items():
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, wanted[key].numpy())
        assert checkpoint.shapes == {key: array.shape for key, array in found.items()}
        kept = {tensor.data_ptr() for key, tensor in wanted.items() if key in found}
        assert kept == {tensor.data_ptr() for tensor in wanted.values()}  # no tensor got lost with them


def test_what_a_genuine_checkpoint_says(results_804, results_802):
    found = read_checkpoint(results_804 / "fold_1" / "checkpoint_final.pth")
    assert (found.trainer, found.configuration, found.fold) == ("nnUNetTrainer", "3d_fullres", "1")
    assert found.mirror_axes == (0, 1, 2)
    assert found.plans["dataset_name"] == "Dataset804_OracleCT"
    assert found.dataset["labels"]["background"] == 0
    assert read_checkpoint(results_802 / "fold_all" / "checkpoint_final.pth").fold == "all"


@pytest.mark.usefixtures("nothing_happens")
def test_every_hostile_checkpoint_is_refused(oracle):
    files = sorted((oracle / "malicious").glob("*.pth"))
    assert len(files) == HOSTILE_CHECKPOINTS
    for file in files:
        with pytest.raises(ModelError, match=file.name):
            weights_of(file)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("os_system.pth", r"posix\.system"),
        ("builtins_eval.pth", r"__builtin__\.eval"),
        ("os_system_old_format.pth", r"torch before 1\.6"),
        ("plain_pickle_exec.pth", "bare pickle"),
        ("truncated.pth", "cut off"),
        ("tensor_larger_than_storage.pth", "1000000 elements on a storage of 4"),
        ("stride_outside_storage.pth", "reaches element"),
        ("storage_record_too_short.pth", "4 bytes where 12 are declared"),
    ],
)
def test_refusals_say_why(oracle, file, said):
    with pytest.raises(ModelError, match=said) as refusal:
        read_checkpoint(oracle / "malicious" / file)
    assert "\n" not in str(refusal.value)


def test_types_and_layouts(tmp_path):
    half = torch.arange(6, dtype=torch.float16).reshape(2, 3)
    block = torch.randn(4, 5)
    weights = {
        "half": half,
        "transposed": block.t(),
        "part": block[1:3, 2:],
        "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "double": torch.tensor([1 / 3], dtype=torch.float64),
        "single": torch.tensor(7.0),
    }
    found = weights_of(save_checkpoint(tmp_path / "a.pth", weights))
    assert found["half"].dtype == np.float16
    for key, wanted in weights.items():
        dtype = np.float16 if key == "half" else np.float32
        assert found[key].dtype == dtype
        assert found[key].shape == tuple(wanted.shape)
        assert found[key].flags.c_contiguous
        np.testing.assert_array_equal(found[key], wanted.to(torch.float32).numpy().astype(dtype))


def test_wrappers_of_parallel_training_are_stripped(tmp_path):
    found = weights_of(save_checkpoint(tmp_path / "a.pth", {f"module.{KEY}": torch.ones(2)}))
    assert list(found) == [KEY]


def test_duplicates_with_numbers_of_their_own_must_be_equal(tmp_path):
    other = KEY.replace("conv.weight", "all_modules.0.weight")
    same = save_checkpoint(tmp_path / "a.pth", {KEY: torch.ones(2), other: torch.ones(2)})
    assert list(weights_of(same)) == [KEY]
    differs = save_checkpoint(tmp_path / "b.pth", {KEY: torch.ones(2), other: torch.zeros(2)})
    with pytest.raises(ModelError, match="two different tensors"):
        weights_of(differs)
    shape = save_checkpoint(tmp_path / "c.pth", {KEY: torch.ones(2), other: torch.ones(3)})
    with pytest.raises(ModelError, match="different shape"):
        read_checkpoint(shape)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    path = save_checkpoint(tmp_path / "a.pth", {KEY: torch.tensor([1.0, value])})
    with pytest.raises(ModelError, match="NaN or infinity"):
        weights_of(path)
    large = save_checkpoint(tmp_path / "b.pth", {KEY: torch.tensor([1e300], dtype=torch.float64)})
    with pytest.raises(ModelError, match="NaN or infinity"):
        weights_of(large)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network_weights": {}}, "network_weights"),
        ({"network_weights": [1]}, "network_weights"),
        ({"network_weights": {KEY: torch.tensor([1, 2])}}, "I64"),
        ({"network_weights": {KEY: 1.5}}, "float"),
        ({"network_weights": {KEY: torch.zeros(0)}}, "without a single number"),
        ({"network_weights": {1: torch.ones(1)}}, "key"),
        ({"network_weights": {"a\nb": torch.ones(1)}}, "key"),
        ({"init_args": None}, "init_args"),
        ({"init_args": {"configuration": 5}}, "configuration"),
        ({"init_args": {"configuration": "2d", "fold": "../x"}}, "fold"),
        ({"init_args": {"configuration": "2d", "fold": True}}, "fold"),
        ({"init_args": {"configuration": "2d", "plans": [1]}}, "plans"),
        ({"init_args": {"configuration": "2d", "plans": {"a": torch.ones(1)}}}, "plans"),
        ({"trainer_name": None}, "trainer_name"),
        ({"trainer_name": "a\x1b[31m"}, "trainer_name"),
        ({"inference_allowed_mirroring_axes": (0, 3)}, "mirroring"),
        ({"inference_allowed_mirroring_axes": (0, 0)}, "mirroring"),
        ({"inference_allowed_mirroring_axes": "01"}, "mirroring"),
    ],
)
def test_contents_of_another_kind_are_refused(tmp_path, changes, said):
    content = checkpoint_content({KEY: torch.ones(2)}) | changes
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=said):
        read_checkpoint(tmp_path / "a.pth")


def test_a_file_without_mirroring_axes_allows_none(tmp_path):
    path = save_checkpoint(tmp_path / "a.pth", {KEY: torch.ones(2)}, inference_allowed_mirroring_axes=None)
    assert read_checkpoint(path).mirror_axes == ()


def weights_pickle(**options) -> bytes:
    """A checkpoint's pickle with one tensor of 4 numbers."""
    weights = b"}" + text(KEY) + tensor((4,), (1,), **options) + b"s"
    arguments = b"}" + text("configuration") + text("2d") + b"s"
    content = b"}" + text("network_weights") + weights + b"s" + text("init_args") + arguments + b"s"
    return PROTOCOL_2 + content + text("trainer_name") + text("nnUNetTrainer") + b"s" + STOP


def members(pickle: bytes | None = None) -> dict[str, bytes]:
    return {
        "archive/data.pkl": weights_pickle() if pickle is None else pickle,
        "archive/byteorder": b"little",
        "archive/data/0": np.arange(4, dtype="<f4").tobytes(),
    }


def test_the_hand_made_checkpoint_is_read(tmp_path):
    path = write_zip(tmp_path / "a.pth", members())
    np.testing.assert_array_equal(weights_of(path)[KEY], np.arange(4, dtype=np.float32))


LAYOUTS = {
    "foreign member": {"archive/extra.txt": b""},
    "torchscript": {"archive/constants.pkl": b"."},
    "code": {"archive/code/__torch__.py": b""},
    "second folder": {"other/version": b"3"},
    "no folder": {"version": b"3"},
    "parent": {"../version": b"3"},
    "absolute": {"/archive/version": b"3"},
    "backslash": {"archive\\x/version": b"3"},
    "nested zip": {"archive/inner.zip": b"PK\x03\x04"},
    "big endian": {"archive/byteorder": b"big"},
    "long storage": {"archive/data/0": bytes(20)},
    "short storage": {"archive/data/0": bytes(12)},
}


@pytest.mark.parametrize("case", LAYOUTS, ids=str)
@pytest.mark.usefixtures("nothing_happens")
def test_archives_of_another_layout_are_refused(tmp_path, case):
    path = write_zip(tmp_path / "a.pth", members() | LAYOUTS[case])
    with pytest.raises(ModelError, match=r"a\.pth"):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.pth", members())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data.pkl", PROTOCOL_2 + b"}" + STOP)
    with pytest.raises(ModelError, match="twice"):
        read_checkpoint(path)


def test_a_missing_storage_and_a_missing_pickle_are_refused(tmp_path):
    path = write_checkpoint(tmp_path / "a.pth", weights_pickle(key="7"), r0=bytes(16))
    with pytest.raises(ModelError, match="data/7 is missing"):
        read_checkpoint(path)
    with pytest.raises(ModelError, match=r"data\.pkl"):
        read_checkpoint(write_zip(tmp_path / "b.pth", {"archive/version": b"3"}))


def test_compressed_members_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.pth", members(), zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="compressed"):
        read_checkpoint(path)


def test_a_wrong_checksum_is_found(tmp_path):
    path = write_zip(tmp_path / "a.pth", members())
    content = path.read_bytes()
    numbers = members()["archive/data/0"]
    assert content.count(numbers) == 1
    path.write_bytes(content.replace(numbers, bytes(15) + b"\x40"))
    checkpoint = read_checkpoint(path)
    with pytest.raises(ModelError, match="CRC"):
        list(read_arrays(checkpoint))


def test_members_that_share_bytes_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.pth", members())
    content = bytearray(path.read_bytes())
    entry = content.rfind(b"PK\x01\x02")  # the last member's entry in the directory
    content[entry + 42 : entry + 46] = (0).to_bytes(4, "little")  # now begins where the first one does
    path.write_bytes(content)
    with pytest.raises(ModelError, match="share"):
        read_checkpoint(path)


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.pth", members())
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")
    content[entry + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="encrypted"):
        read_checkpoint(path)


def test_an_endless_directory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("umamba.models.zips.MAX_DIRECTORY_BYTES", 1_000)
    path = write_zip(tmp_path / "a.pth", members() | {f"archive/data/{n}": b"" for n in range(1, 50)})
    with pytest.raises(ModelError, match="directory"):
        read_checkpoint(path)


def test_a_file_that_is_replaced_while_it_is_read(tmp_path):
    path = write_zip(tmp_path / "a.pth", members())
    checkpoint = read_checkpoint(path)
    write_zip(path, members() | {"archive/data/0": bytes(8)})
    with pytest.raises(ModelError, match="changed"):
        list(read_arrays(checkpoint))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x80\x02."]
)
def test_files_that_are_no_checkpoint(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.pth"):
        read_checkpoint(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path / "missing.pth")
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path)


def test_the_optimizer_is_not_read(tmp_path):
    momentum = {"state": {0: {"momentum_buffer": torch.zeros(OPTIMIZER_NUMBERS)}}}
    path = save_checkpoint(tmp_path / "a.pth", {KEY: torch.ones(2)}, optimizer_state=momentum)
    read_checkpoint(path)  # what is imported on the way is not counted
    tracemalloc.start()
    try:
        list(read_arrays(read_checkpoint(path)))
        assert tracemalloc.get_traced_memory()[1] < MEMORY_WITHOUT_OPTIMIZER
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def small_checkpoint(oracle) -> Path:
    """The smallest genuine one."""
    return min((oracle / "e2e_804").glob("*/fold_0/*.pth"), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def small_weights(small_checkpoint) -> dict[str, np.ndarray]:
    return weights_of(small_checkpoint)


# A byte at a random place, the first bytes and the directory at the end more often than their size deserves.
places = st.integers(0, 10**9) | st.integers(0, 2_000) | st.integers(-6_000, -1)
flips = st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=8)


@given(flips=flips, cut=st.none() | st.integers(0, 10**9))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_found_or_does_no_harm(
    small_checkpoint, small_weights, nothing_happens, tmp_path, flips, cut
):
    content = bytearray(small_checkpoint.read_bytes())
    for place, mask in flips:
        content[place % len(content)] ^= mask
    path = tmp_path / "damaged.pth"
    path.write_bytes(content if cut is None else content[: cut % len(content)])
    try:
        found = weights_of(path)
    except ModelError:
        return
    assert found.keys() == small_weights.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, small_weights[key])


@given(flips=flips)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("nothing_happens")
def test_a_damaged_pickle_with_a_right_checksum(small_checkpoint, tmp_path, flips):
    """Any exception other than ModelError fails; so does anything that the pickle makes happen."""
    with zipfile.ZipFile(small_checkpoint) as archive:
        parts = {member: archive.read(member) for member in archive.namelist()}
    pickle = next(member for member in parts if member.endswith("data.pkl"))
    content = bytearray(parts[pickle])
    for place, mask in flips:
        content[place % len(content)] ^= mask
    path = write_zip(tmp_path / "damaged.pth", parts | {pickle: bytes(content)})
    try:
        weights_of(path)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017  (most are errors, not all)


def test_a_call_deep_inside_is_refused(tmp_path, nothing_happens):
    attack = call(name("posix", "system"), text("touch PWNED"))
    hidden = PROTOCOL_2 + b"}" + text("logging") + b"]" + attack + b"a" + b"s" + STOP
    with pytest.raises(ModelError, match=r"posix\.system"):
        read_checkpoint(write_zip(tmp_path / "a.pth", members(hidden)))
