"""Row 26: model folders whose weights are changed, damaged, foreign or absurd."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from umamba.models.safetensors_file import sha256_of

WEIGHTS = "fold_0.safetensors"
ID = "tiny"
Header = dict[str, Any]


@pytest.fixture(scope="module")
def stored(mr, tmp_path_factory) -> Path:
    """A model folder that nothing is wrong with."""
    from umamba import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UMAMBA_HOME", str(tmp_path_factory.mktemp("home")))
        return models.get(models.import_(mr, id=ID)).folder


@pytest.fixture
def folder(desk, stored) -> Path:
    """A copy to be damaged."""
    copy = desk.inputs / ID
    shutil.copytree(stored, copy)
    return copy


def read_weights(folder: Path) -> tuple[Header, bytes]:
    """Header and numbers of the weights file."""
    content = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_weights(
    folder: Path, header: Header | str | bytes, numbers: bytes, length: int | None = None
) -> None:
    """Write the weights file, and its hash into the card, so that only the content is wrong."""
    text = (
        header
        if isinstance(header, bytes)
        else header.encode()
        if isinstance(header, str)
        else json.dumps(header).encode()
    )
    declared = struct.pack("<Q", len(text) if length is None else length)
    (folder / WEIGHTS).write_bytes(declared + text + numbers)
    rehash(folder)


def rehash(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["files"] = {name: sha256_of(folder / name) for name in card["files"]}
    (folder / "card.json").write_text(json.dumps(card))


def tensors(header: Header) -> list[str]:
    return [key for key in header if key != "__metadata__"]


def last(header: Header) -> str:
    return max(tensors(header), key=lambda key: header[key]["data_offsets"][1])


def long_header(folder: Path) -> None:
    _, numbers = read_weights(folder)
    write_weights(folder, b"{}", numbers, 200_000_000)


def really_long_header(folder: Path) -> None:
    """A file that is as long as it says, full of holes on the disk."""
    with (folder / WEIGHTS).open("wb") as file:
        file.write(struct.pack("<Q", 150_000_000) + b"{")
        file.truncate(150_000_100)
    rehash(folder)


def header_beyond_the_file(folder: Path) -> None:
    write_weights(folder, b"{}", b"", 1000)


def overlapping(folder: Path) -> None:
    header, numbers = read_weights(folder)
    first, second = tensors(header)[:2]
    size = header[second]["data_offsets"][1] - header[second]["data_offsets"][0]
    begin = header[first]["data_offsets"][0]
    header[second]["data_offsets"] = [begin, begin + size]
    write_weights(folder, header, numbers)


def gap(folder: Path) -> None:
    header, numbers = read_weights(folder)
    offsets = header[last(header)]["data_offsets"]
    header[last(header)]["data_offsets"] = [offset + 8 for offset in offsets]
    write_weights(folder, header, numbers + bytes(8))


def beyond_the_file(folder: Path) -> None:
    header, numbers = read_weights(folder)
    write_weights(folder, header, numbers[:-4])


def something_behind(folder: Path) -> None:
    header, numbers = read_weights(folder)
    write_weights(folder, header, numbers + bytes(4))


def key_twice(folder: Path) -> None:
    header, numbers = read_weights(folder)
    key = tensors(header)[0]
    text = json.dumps(header)
    write_weights(folder, text[:-1] + f", {json.dumps(key)}: {json.dumps(header[key])}}}", numbers)


def missing_tensor(folder: Path) -> None:
    header, numbers = read_weights(folder)
    begin, end = header.pop(last(header))["data_offsets"]
    write_weights(folder, header, numbers[:begin] + numbers[end:])


def extra_tensor(folder: Path) -> None:
    header, numbers = read_weights(folder)
    header["stranger"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(numbers), len(numbers) + 8]}
    write_weights(folder, header, numbers + bytes(8))


def wrong_shape(folder: Path) -> None:
    header, numbers = read_weights(folder)
    entry = header[next(key for key in tensors(header) if len(header[key]["shape"]) == 5)]
    entry["shape"] = entry["shape"][::-1]
    write_weights(folder, header, numbers)


def shape_of_another_size(folder: Path) -> None:
    header, numbers = read_weights(folder)
    header[tensors(header)[0]]["shape"].append(2)
    write_weights(folder, header, numbers)


def another_type(folder: Path) -> None:
    header, numbers = read_weights(folder)
    for key in tensors(header):
        header[key]["dtype"] = "I32"
    write_weights(folder, header, numbers)


def with_number(value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        header, numbers = read_weights(folder)
        write_weights(folder, header, numbers[:-4] + struct.pack("<f", value))

    return change


def many_tensors(count: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        entries = (
            f'"{n}":{{"dtype":"F32","shape":[1],"data_offsets":[{4 * n},{4 * n + 4}]}}' for n in range(count)
        )
        write_weights(folder, "{" + ",".join(entries) + "}", bytes(4 * count))

    return change


def no_json(folder: Path) -> None:
    write_weights(folder, b"\x80\x02c\x00", bytes(8))


def nothing(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")
    rehash(folder)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "header over 100 MB": (long_header, "header"),
    "header over 100 MB that is there": (really_long_header, "header"),
    "header beyond the file": (header_beyond_the_file, "header"),
    "overlapping offsets": (overlapping, "overlaps the one before"),
    "gap": (gap, "leaves a gap before it"),
    "cut off": (beyond_the_file, "cut off"),
    "something behind": (something_behind, "something behind"),
    "duplicate key": (key_twice, "stands twice"),
    "missing tensor": (missing_tensor, "decoder.seg_layers.0.bias"),
    "extra tensor": (extra_tensor, "stranger"),
    "wrong shape": (wrong_shape, "of a wrong shape"),
    "shape of another size": (shape_of_another_size, "wanted for the shape"),
    "integers": (another_type, "'I32' found, F32 or F16 wanted"),
    "NaN": (with_number(np.nan), "hold NaN or infinity"),
    "infinity": (with_number(np.inf), "hold NaN or infinity"),
    "30,000 tensors": (many_tensors(30_000), "tensors"),
    "a million tensors": (many_tensors(1_000_000), "header"),
    "a pickle": (no_json, "not valid JSON"),
    "empty": (nothing, "0 bytes are no weights file"),
}


def zip_of(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{folder.name}/{path.name}")
    return file


def refuses_model(desk, folder: Path, scan: Path, way: str, found: str, advice: str) -> None:
    """Segment with the folder, install a zip of it, or verify it in the store."""
    if way == "segment":
        desk.refuses_image(scan, folder, found, advice)
    elif way == "install":
        (desk.home / "models").mkdir()
        desk.refuses(["models", "install", zip_of(folder, desk.inputs / "model.zip")], found, advice)
    else:
        shutil.copytree(folder, desk.home / "models" / ID)
        desk.refuses(["models", "verify", ID], found, advice)


WAYS = ("segment", "install", "verify")
# Some 100 MB each: one way must do.
LARGE = ("header over 100 MB that is there", "a million tensors")
CASES = [(fault, way) for fault in FAULTS for way in (WAYS[1:2] if fault in LARGE else WAYS)]


@pytest.mark.parametrize(("fault", "way"), CASES)
def test_row_26_weights(desk, folder, scan, fault, way):
    change, found = FAULTS[fault]
    change(folder)
    refuses_model(desk, folder, scan, way, found, "get the model again")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [WEIGHTS, "plans.json", "dataset.json"])
def test_row_26_wrong_hash(desk, folder, scan, way, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + b" ")
    refuses_model(desk, folder, scan, way, f"{name} has SHA-256", "install the model again")


def test_row_26_the_folder_itself_is_fine(desk, folder, scan, expected):
    np.testing.assert_array_equal(desk.good(scan, folder), expected)
    assert desk.run("models", "install", zip_of(folder, desk.inputs / "model.zip")).status == 0
    assert desk.run("models", "verify", ID).status == 0
