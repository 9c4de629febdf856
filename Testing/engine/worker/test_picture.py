"""The request for a picture: what it draws, and what it refuses."""

import numpy as np
import pytest
from PIL import Image as Picture

from umamba.errors import InputError
from umamba.worker.picture import preview
from umamba.worker.requests import parse

COLOR = (250, 10, 20)
# Red is drawn firmly along the contour; smoothing mixes it with grey at its edges.
NEAR = 60


@pytest.fixture
def files(tmp_path):
    """An image with a cube in it and the label map of that cube, as the panel writes them."""
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[5:15, 6:18, 7:21] = 3
    np.save(tmp_path / "image.npy", (labels * 40).astype(np.int16))
    np.save(tmp_path / "labels.npy", labels)
    return tmp_path


def request(folder, **changes):
    grid = {"spacing": [1, 1, 2], "origin": [0, 0, 0], "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    message = {
        "id": 1,
        "do": "preview",
        "images": [{"npy": str(folder / "image.npy"), **grid}],
        "labels": str(folder / "labels.npy"),
        "segments": [{"value": 3, "name": "Cube", "color": list(COLOR)}],
        "file": str(folder / "picture.png"),
    }
    return parse(message | changes)


def test_three_planes_with_the_segments_colour(files):
    assert preview(request(files)) == {"event": "result", "file": str(files / "picture.png")}
    with Picture.open(files / "picture.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    coloured = np.abs(pixels - COLOR).max(axis=2) < NEAR
    columns = coloured.any(axis=0)
    edges = np.flatnonzero(np.diff(columns.astype(int)) == 1)
    assert len(edges) >= 3  # one contour in each plane
    assert {path.name for path in files.iterdir()} == {"image.npy", "labels.npy", "picture.png"}


def test_it_replaces_the_picture_that_was_there(files):
    (files / "picture.png").write_bytes(b"old")
    preview(request(files))
    assert (files / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_through_the_process(worker, files):
    wanted = request(files)
    worker.say(id=wanted.id, do=wanted.do, **wanted.values)
    assert worker.events_until("result", "error")[-1] == {
        "id": 1,
        "event": "result",
        "file": str(files / "picture.png"),
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file": "picture.jpg"}, "ends in .png"),
        ({"file": "/no/such/folder/picture.png"}, "picture.png cannot be written"),
        ({"labels": "/no/such/labels.npy"}, "labels: /no/such/labels.npy"),
        ({"segments": [3]}, "segments: each is an object"),
        ({"segments": [{"value": 0, "name": "x", "color": [0, 0, 0]}]}, "value .1 to 65535"),
        ({"segments": [{"value": 3, "name": None, "color": [0, 0, 0]}]}, "name and color"),
        ({"segments": [{"value": 3, "name": "x", "color": "red"}]}, "the color of 3"),
        ({"segments": [{"value": 3, "name": "x", "color": [0, 0, 256]}]}, "the color of 3"),
    ],
)
def test_wrong_requests(files, changes, said):
    with pytest.raises(InputError, match=said):
        preview(request(files, **changes))
    assert not list(files.glob("*.tmp")) + list(files.glob(".*")) + list(files.glob("*.png"))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((2, 3, 4), np.uint8), "shape .2, 3, 4. found, the image has .20, 24, 28."),
        (np.zeros((20, 24, 28), np.float32), "found float32"),
        (np.full((20, 24, 28), -1, np.int16), "from 0 to 65535"),
        (np.full((20, 24, 28), 70_000, np.int32), "from 0 to 65535"),
    ],
)
def test_arrays_that_are_no_labels(files, labels, said):
    np.save(files / "labels.npy", labels)
    with pytest.raises(InputError, match=said):
        preview(request(files))
