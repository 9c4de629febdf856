"""Makers of pickles and zip files, hostile and harmless, for the tests of this folder."""

import struct
import zipfile
from pathlib import Path

import torch

CANARY = "PWNED"
PROTOCOL_2 = b"\x80\x02"
STOP = b"."


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def integer(value: int) -> bytes:
    """LONG1."""
    data = value.to_bytes(max(1, value.bit_length() // 8 + 1), "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def tuple_of(*parts: bytes) -> bytes:
    """MARK ... TUPLE."""
    return b"(" + b"".join(parts) + b"t"


def call(target: bytes, *arguments: bytes) -> bytes:
    """REDUCE."""
    return target + tuple_of(*arguments) + b"R"


def storage(key: str = "0", kind: str = "FloatStorage", elements: int = 4) -> bytes:
    """The persistent id of a storage."""
    return tuple_of(text("storage"), name("torch", kind), text(key), text("cpu"), integer(elements)) + b"Q"


def tensor(shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, **options) -> bytes:
    """A tensor on a storage, as torch writes it."""
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        storage(**options),
        integer(offset),
        tuple_of(*map(integer, shape)),
        tuple_of(*map(integer, stride)),
        b"\x89",
        call(name("collections", "OrderedDict")),
    )


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A zip file with these members, in this order."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def write_checkpoint(path: Path, pickle: bytes, **storages: bytes) -> Path:
    """A zip in torch's layout around a pickle; storages are named r0, r1, ..."""
    members = {"archive/data.pkl": pickle, "archive/byteorder": b"little", "archive/version": b"3\n"}
    members |= {f"archive/data/{key[1:]}": content for key, content in storages.items()}
    return write_zip(path, members)


def checkpoint_content(weights: dict, **changes) -> dict:
    """What nnU-Net stores, with little in it."""
    arguments = {"plans": {"a": [1, 2.5]}, "configuration": "2d", "fold": 0, "dataset_json": {}}
    return {
        "network_weights": weights,
        "optimizer_state": {},
        "init_args": arguments,
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    } | changes


def save_checkpoint(path: Path, weights: dict, **changes) -> Path:
    """The same, written by torch."""
    torch.save(checkpoint_content(weights, **changes), path)
    return path


def files_below(*folders: Path) -> set[Path]:
    """Every file and folder below these folders."""
    return {entry for folder in folders for entry in folder.rglob("*")}
