"""The safe reader of checkpoints: a file of `torch.save` in, plain data out, nothing of it ever run.

The format (torch 1.6 and later): a zip whose members are stored, not compressed: `<name>/data.pkl`, a
pickle; `<name>/data/<n>`, the raw numbers of each storage; a few short texts. The dict in the pickle is
nnU-Net's: network_weights, init_args, trainer_name, inference_allowed_mirroring_axes, and what only a
training needs (optimizer, log), whose numbers are never read.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from umamba.errors import ModelError
from umamba.models.pickle_reader import MAX_PICKLE_BYTES, read_pickle
from umamba.models.pickle_values import ITEM_BYTES, Refused, Tensor
from umamba.models.plain import plain_object
from umamba.models.zips import open_zip, read_member

# A network of a thousand tensors counts every one three times.
MAX_TENSORS = 100_000
MAX_KEY_CHARACTERS = 500
# What a training says of itself is believed below these only: a million epochs, the year 2100.
MAX_EPOCHS = 1_000_000
LATEST_S = 4_102_444_800.0

_RECORD = re.compile(r"data\.pkl|version|byteorder|\.[a-z_]+|\.data/[a-z_]+|data/\d{1,9}")
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PICKLE_START = b"\x80"
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_FOLD = re.compile(r"\d{1,3}|all")
_NUMPY_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
# What is stored as: float16 stays, everything else becomes float32.
STORED_TYPES = {"F32": "F32", "F16": "F16", "BF16": "F32", "F64": "F32"}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says, without its numbers.

    Attributes:
        path: The file.
        trainer: nnU-Net's trainer class, a name only.
        configuration: A configuration of the plans.
        fold: "0", "1", ... or "all".
        mirror_axes: Axes that the training allowed to mirror; empty in files that do not say.
        plans, dataset: plans.json and dataset.json as the training had them, None where missing.
        tensors: The weights, each once, by the key that the networks here use.
        copies: Further tensors that must equal the one of that key (duplicates with numbers of their own).
        epochs: How many were trained, or None where the file does not say.
        ended: When the last of them ended, seconds since 1970, or None.
    """

    path: Path
    trainer: str
    configuration: str
    fold: str
    mirror_axes: tuple[int, ...]
    plans: Mapping[str, Any] | None
    dataset: Mapping[str, Any] | None
    tensors: Mapping[str, Tensor]
    copies: tuple[tuple[str, Tensor], ...]
    epochs: int | None = None
    ended: float | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight by its key."""
        return {key: tensor.shape for key, tensor in self.tensors.items()}


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what a checkpoint says and check where its weights lie; their numbers are not read yet.

    Raises:
        ModelError: The file is damaged, or holds anything that a genuine checkpoint does not.
    """
    with _opened(path) as (records, content):
        if not isinstance(content, dict) or "network_weights" not in content:
            raise Refused("no 'network_weights': it is not a checkpoint of nnU-Net")
        tensors, copies = _checked_weights(records, content["network_weights"])
        return _interpret(path, content, tensors, copies)


# Entries under which trainings put a state dict beside other things.
WRAPPERS = ("model", "state_dict", "model_state_dict")


def read_state_dict(
    path: Path, names: Callable[[Sequence[str]], Mapping[str, str]] | None = None
) -> Checkpoint | None:
    """The same of a bare state dict, or of one under a usual entry (`WRAPPERS`); None without either.

    Args:
        path: The file.
        names: Gives the name under which each key is kept; None keeps the keys, without wrappers.

    Returns:
        Weights alone: every word that such a file does not say is empty, the fold is "0".

    Raises:
        ModelError: As `read_checkpoint`, and what `names` raises.
    """
    with _opened(path) as (records, content):
        weights = _state_dict(content)
        if weights is None:
            return None
        if names is not None:
            known = names([str(key) for key in weights])
            weights = {known[str(key)]: tensor for key, tensor in weights.items()}
        tensors, copies = _checked_weights(records, weights)
        return Checkpoint(path, "", "", "0", (), None, None, tensors, copies)


def _state_dict(content: object) -> dict[Any, Any] | None:
    """The dict of tensors that a file is, or that lies under a usual entry of it."""
    if not isinstance(content, dict) or "network_weights" in content:
        return None
    weights = next((content[entry] for entry in WRAPPERS if entry in content), content)
    if isinstance(weights, dict) and any(type(value) is Tensor for value in weights.values()):
        return weights
    return None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, ZipInfo], object]]:
    """The members of a checkpoint and what its pickle holds; a refusal becomes one clear line."""
    try:
        _refuse_other_formats(path)
        with open_zip(path) as archive:
            records = _records(archive)
            entry = records["data.pkl"]
            if entry.file_size > MAX_PICKLE_BYTES:
                raise Refused(f"a pickle of {entry.file_size} bytes")
            yield records, read_pickle(bytes(read_member(archive, entry)))
    except Refused as refusal:
        raise ModelError(
            f"{path.name}: refused, for it holds {refusal}; nothing in it was run. Use only the checkpoint "
            "that nnU-Net or U-Mamba wrote"
        ) from None


def _checked_weights(
    records: Mapping[str, ZipInfo], weights: object
) -> tuple[dict[str, Tensor], tuple[tuple[str, Tensor], ...]]:
    """The tensors by their stored names, each with a record of its size."""
    tensors, copies = _fold(weights)
    for _, tensor in (*tensors.items(), *copies):
        _check_record(records, tensor)
    return tensors, copies


def read_arrays(checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    """Read the weights one after the other, so that only one is in memory.

    Yields:
        Key and a contiguous float16 or float32 array.

    Raises:
        ModelError: A checksum is wrong, a number is not finite, duplicates differ.
    """
    copies: dict[str, list[Tensor]] = {}
    for key, tensor in checkpoint.copies:
        copies.setdefault(key, []).append(tensor)
    name = checkpoint.path.name
    with open_zip(checkpoint.path) as archive:
        try:  # once more: the file may be another one by now
            records = _records(archive)
            for _, tensor in (*checkpoint.tensors.items(), *checkpoint.copies):
                _check_record(records, tensor)
        except Refused as refusal:
            raise ModelError(f"{name}: has changed while it was read; it holds {refusal}") from None
        for key, tensor in checkpoint.tensors.items():
            array = _array(archive, records, tensor)
            if not np.isfinite(array).all():
                raise ModelError(
                    f"{name}: the weights {key!r} hold NaN or infinity: the training broke down; "
                    "use another checkpoint of it"
                )
            for copy in copies.get(key, ()):
                if not np.array_equal(array, _array(archive, records, copy)):
                    raise ModelError(f"{name}: holds two different tensors for {key!r}; the file is damaged")
            yield key, array


def _refuse_other_formats(path: Path) -> None:
    """Say plainly what a file is that is not of the zip format."""
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    except OSError as error:
        raise ModelError(f"{path.name}: cannot be read ({error.strerror or error})") from None
    advice = "load and save it once with the torch that wrote it (1.6 or later)"
    if not head:
        raise ModelError(f"{path.name}: the file is empty")
    if head.startswith(_LEGACY_MAGIC) or head[_TAR_MAGIC_AT:] == _TAR_MAGIC:
        raise ModelError(f"{path.name}: refused, for it is in the format of torch before 1.6; {advice}")
    if head.startswith(_PICKLE_START):
        raise ModelError(f"{path.name}: refused, for it is a bare pickle and not a checkpoint of torch.save")
    if not head.startswith(b"PK"):
        raise ModelError(f"{path.name}: not a checkpoint of torch.save (its first bytes are of no zip file)")


def _records(archive: ZipFile) -> dict[str, ZipInfo]:
    """The members by their name below the one folder that torch.save makes."""
    found: dict[str, ZipInfo] = {}
    folders = set()
    for member in archive.infolist():
        folder, _, record = member.orig_filename.partition("/")
        folders.add(folder)
        if not folder or folder in (".", "..") or "\\" in folder or not _RECORD.fullmatch(record):
            raise Refused(f"the member {member.orig_filename[:80]!r}")
        if record in found:
            raise Refused(f"the member {record!r} twice")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise Refused(f"the compressed member {record!r}")
        found[record] = member
    if len(folders) != 1 or "data.pkl" not in found:
        raise Refused("no data.pkl in one folder, as torch.save writes it")
    if "byteorder" in found and bytes(read_member(archive, found["byteorder"])) != b"little":
        raise Refused("numbers of another byte order than little-endian")
    return found


def _check_record(records: Mapping[str, ZipInfo], tensor: Tensor) -> None:
    storage = tensor.storage
    record = records.get(f"data/{storage.key}")
    wanted = storage.elements * ITEM_BYTES[storage.dtype]
    if record is None:
        raise Refused(f"weights whose record data/{storage.key} is missing")
    if record.file_size != wanted:
        raise Refused(
            f"the record data/{storage.key} of {record.file_size} bytes where {wanted} are declared"
        )


def _interpret(
    path: Path,
    content: Mapping[Any, Any],
    tensors: Mapping[str, Tensor],
    copies: tuple[tuple[str, Tensor], ...],
) -> Checkpoint:
    arguments = content.get("init_args")
    if not isinstance(arguments, dict):
        raise Refused("no 'init_args': it is not a checkpoint of nnU-Net")
    fold = arguments.get("fold", "all")
    if isinstance(fold, bool) or not isinstance(fold, int | str) or not _FOLD.fullmatch(str(fold)):
        raise Refused("a fold that is neither a number nor 'all'")
    plans, dataset = arguments.get("plans"), arguments.get("dataset_json")
    return Checkpoint(
        path=path,
        trainer=_word(content.get("trainer_name"), "trainer_name"),
        configuration=_word(arguments.get("configuration"), "configuration"),
        fold=str(fold),
        mirror_axes=_mirror_axes(content.get("inference_allowed_mirroring_axes")),
        plans=None if plans is None else plain_object(plans, "plans"),
        dataset=None if dataset is None else plain_object(dataset, "a dataset.json"),
        tensors=tensors,
        copies=copies,
        epochs=_epochs(content.get("current_epoch")),
        ended=_ended(content.get("logging")),
    )


def _fold(weights: object) -> tuple[dict[str, Tensor], tuple[tuple[str, Tensor], ...]]:
    """Keep each tensor once; remember what claims to be the same but lies elsewhere."""
    from umamba.nn.keys import canonical_key  # needs torch, which reading a card does not

    if not isinstance(weights, dict) or not 0 < len(weights) <= MAX_TENSORS:
        raise Refused("network_weights that are no dict of tensors")
    found: dict[str, Tensor] = {}
    copies = set()
    for key, tensor in weights.items():
        if not isinstance(key, str) or len(key) > MAX_KEY_CHARACTERS or not key.isprintable():
            raise Refused("weights whose key is not a short text")
        if type(tensor) is not Tensor or tensor.dtype not in STORED_TYPES:
            what = tensor.dtype if type(tensor) is Tensor else type(tensor).__name__
            raise Refused(f"weights {key[:80]!r} of type {what}, where floating-point numbers are wanted")
        if not math.prod(tensor.shape):
            raise Refused(f"weights {key[:80]!r} without a single number")
        name = canonical_key(key)
        if name not in found:
            found[name] = tensor
        elif found[name] != tensor:
            if found[name].shape != tensor.shape:
                raise Refused(f"two tensors of different shape for {name[:80]!r}")
            copies.add((name, tensor))
    return found, tuple(sorted(copies, key=lambda entry: entry[0]))


def _array(archive: ZipFile, records: Mapping[str, ZipInfo], tensor: Tensor) -> np.ndarray:
    """The numbers of one tensor; every index was checked to lie inside its storage."""
    data = read_member(archive, records[f"data/{tensor.storage.key}"])
    flat = np.frombuffer(data, dtype=_NUMPY_TYPES[tensor.dtype])
    view = np.lib.stride_tricks.as_strided(
        flat[tensor.offset :], tensor.shape, [step * flat.itemsize for step in tensor.stride]
    )
    array = np.ascontiguousarray(view).reshape(tensor.shape)
    if tensor.dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused by the caller
        return array.astype(np.float16 if STORED_TYPES[tensor.dtype] == "F16" else np.float32, copy=False)


def _epochs(value: object) -> int | None:
    return value if type(value) is int and 0 < value <= MAX_EPOCHS else None


def _ended(log: object) -> float | None:
    """The last entry of the list in which nnU-Net keeps when each epoch ended."""
    times = log.get("epoch_end_timestamps") if isinstance(log, dict) else None
    last = times[-1] if isinstance(times, list) and times else None
    return last if type(last) is float and 0 < last < LATEST_S else None


def _word(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY_CHARACTERS or not value.isprintable():
        raise Refused(f"no {what}")
    return value


def _mirror_axes(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > 3 or len(set(map(repr, value))) != len(value):
        raise Refused("inference_allowed_mirroring_axes that are no axes")
    if any(type(axis) is not int or not 0 <= axis <= 2 for axis in value):
        raise Refused("inference_allowed_mirroring_axes that are no axes")
    return tuple(value)
