"""Messages to the worker: what is taken, and what is wrong with the others."""

import numpy as np
import pytest

from umamba.errors import InputError
from umamba.worker import requests
from umamba.worker.images import load_sources
from umamba.worker.pipes import read_lines

# Cosines from a matrix are divided by their length, in double precision.
ROUNDING = 1e-12
SEGMENT = {"id": 1, "do": "segment", "images": ["a.nii.gz"], "model": "m"}


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ([], "JSON object"),
        ({"do": "hello"}, "needs an id"),
        ({"id": None, "do": "hello"}, "needs an id"),
        ({"id": 1}, "do: None"),
        ({"id": 1, "do": "sing"}, "do: 'sing'"),
        ({"id": 1, "do": "segment", "model": "m"}, "images"),
        ({"id": 1, "do": "plan", "images": "a.nii.gz", "model": "m"}, "images"),
        ({"id": 1, "do": "plan", "images": ["a.nii.gz"]}, "model"),
        ({**SEGMENT, "colour": "red"}, "unknown key 'colour'"),
        ({**SEGMENT, "step": "0.5"}, "step"),
        ({**SEGMENT, "threads": True}, "threads"),
        ({**SEGMENT, "mirror": 1}, "mirror"),
        ({**SEGMENT, "folder": "/no/such/folder"}, "folder"),
        ({"id": 1, "do": "hello", "model": "m"}, "unknown key 'model'; hello knows id, do"),
        ({"id": 1, "do": "import"}, "path: the path of a results folder"),
        ({"id": 1, "do": "import", "path": "a", "labels": {"1": "a"}}, "labels"),
        ({"id": 1, "do": "install", "file": ""}, "file: the path of a file is wanted"),
        ({"id": 1, "do": "install", "file": 3}, "file: 3 found, the path of a file wanted"),
        ({"id": 1, "do": "export", "model": "m"}, "file"),
        ({"id": 1, "do": "export", "model": "m", "file": "a.zip", "overwrite": 1}, "overwrite: 1 found"),
        ({"id": 1, "do": "remove"}, "model: the id of a model is wanted"),
        ({"id": 1, "do": "preview", "images": ["a"], "labels": ["l.npy"], "file": "a.png"}, "labels"),
    ],
)
def test_wrong_messages(message, part):
    with pytest.raises(InputError, match=part):
        requests.parse(message)


def test_options_are_taken_and_null_is_the_default():
    request = requests.parse({**SEGMENT, "step": 0.5, "labels": ["a"], "roi": None})
    assert request.options == {"step": 0.5, "labels": ["a"]}
    assert (request.id, request.do) == (1, "segment")
    assert (request.values["images"], request.values["model"], request.folder) == (["a.nii.gz"], "m", None)


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[" * 100_000, b"hello"])
def test_lines_that_are_no_json(line):
    with pytest.raises(InputError, match="JSON"):
        requests.decode(line)


def test_lines_are_joined_and_split(tmp_path):
    path = tmp_path / "pipe"
    long = b"x" * 200_000
    path.write_bytes(b"one\n\n" + long + b"\nlast")
    with path.open("rb") as file:
        assert list(read_lines(file.fileno())) == [b"one", b"", long, b"last"]


@pytest.fixture
def array_file(tmp_path):
    path = tmp_path / "image.npy"
    np.save(path, np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    return str(path)


def test_an_array_with_its_grid(array_file):
    direction = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
    entry = {
        "npy": array_file,
        "spacing": [1, 2, 3],
        "origin": [4, 5, 6],
        "direction": direction,
        "modality": "CT",
    }
    (image,) = load_sources((entry,))
    assert image.data.tolist() == np.arange(24).reshape(2, 3, 4).tolist()
    assert isinstance(image.data, np.memmap)
    assert image.geometry.size == (4, 3, 2)
    assert image.geometry.spacing == (1.0, 2.0, 3.0)
    assert image.geometry.origin == (4.0, 5.0, 6.0)
    assert image.geometry.direction == tuple(direction)
    assert image.modality == "CT"


def test_an_array_with_slicers_matrix(array_file):
    # i runs to the patient's right by 2 mm (RAS -x: LPS +x is left), j to the front by 3, k up by 4.
    matrix = [[-2, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]]
    (image,) = load_sources(({"npy": array_file, "ijk_to_ras": matrix},))
    assert image.geometry.spacing == pytest.approx((2, 3, 4), abs=ROUNDING)
    assert image.geometry.origin == pytest.approx((-10, -20, 30), abs=ROUNDING)
    assert image.geometry.direction == pytest.approx((1, 0, 0, 0, -1, 0, 0, 0, 1), abs=ROUNDING)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"npy": "/no/such/file.npy"}, "file.npy"),
        ({"npy": 3}, "npy"),
        ({"spacing": [1, 2]}, "spacing: 3 numbers"),
        ({"origin": [1, 2, float("nan")]}, "origin: 3 numbers"),
        ({"direction": None}, "direction: 9 numbers"),
        ({"ijk_to_ras": [[1, 0, 0, 0]]}, "ijk_to_ras: 16 numbers"),
        ({"ijk_to_ras": [0] * 16}, "without length"),
    ],
)
def test_arrays_without_a_grid(array_file, change, part):
    grid = {"spacing": [1, 1, 1], "origin": [0, 0, 0], "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    with pytest.raises(InputError, match=part):
        load_sources(({"npy": array_file, **grid, **change},))


def test_an_array_that_is_no_volume_or_holds_objects(tmp_path):
    flat, objects = tmp_path / "flat.npy", tmp_path / "objects.npy"
    np.save(flat, np.zeros((3, 4)))
    np.save(objects, np.array([[[print]]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="shape"):
        load_sources(({"npy": str(flat)},))
    with pytest.raises(InputError, match="memory-mapped"):
        load_sources(({"npy": str(objects)},))
    archive, empty = tmp_path / "archive.npz", tmp_path / "empty.npy"
    np.savez(archive, np.zeros((1, 1, 1)))
    empty.write_bytes(b"")
    for path, said in ((archive, "an archive found"), (empty, "empty.npy")):
        with pytest.raises(InputError, match=said):
            load_sources(({"npy": str(path)},))
