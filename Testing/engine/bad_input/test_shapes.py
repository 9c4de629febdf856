"""Rows 7, 8 and 9: one voxel, one slice, one line; smaller than the patch; two thousand slices."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

import umamba
from engine.bad_input.desk import finish, labels_of, start
from engine.bad_input.samples import PATCH, make_image, make_model
from image_builders import nifti_bytes, nifti_header

# Window weights are multiplied and divided again: a voxel whose two best logits are equal but for rounding
# may go either way.
MOST_TIES = 1
SMALL = 5
SLICES = 2000
MANY_PATCH = (40, 16, 16)


def by_hand(model, image: np.ndarray) -> np.ndarray:
    """Labels of an image of at most one patch, as nnU-Net computes them: z-score, zeros around, network."""
    values = (image - image.mean()) / max(image.std(), 1e-8)
    missing = [max(patch - size, 0) for patch, size in zip(PATCH, image.shape, strict=True)]
    padded = np.pad(values, [(amount // 2, amount - amount // 2) for amount in missing])
    network = umamba.models.load_network(model)
    with torch.no_grad():
        logits = network(torch.from_numpy(padded.astype(np.float32))[None, None])[0].numpy()
    inside = tuple(
        slice(amount // 2, amount // 2 + size) for amount, size in zip(missing, image.shape, strict=True)
    )
    return logits[(slice(None), *inside)].argmax(axis=0)


def check(labels: np.ndarray, wanted: np.ndarray) -> None:
    assert labels.shape == wanted.shape
    assert np.count_nonzero(labels != wanted) <= MOST_TIES


def test_row_7_one_voxel(desk, mr):
    image = np.full((1, 1, 1), 5, np.float32)
    labels = desk.warns(desk.save("scan.nii", nifti_bytes(image)), mr, "all voxels have the same value (5)")
    check(labels, by_hand(mr, image))


@pytest.mark.parametrize("shape", [(1, 16, 16), (8, 1, 16), (8, 16, 1)])
def test_row_7_one_slice(desk, mr, shape):
    image = make_image(shape)
    check(desk.good(desk.save("scan.nii", nifti_bytes(image)), mr), by_hand(mr, image))


@pytest.mark.parametrize("shape", [(1, 1, 16), (1, 16, 1), (8, 1, 1), (1, 1, 2)])
def test_row_7_one_line(desk, mr, shape):
    image = np.linspace(1, 9, max(shape), dtype=np.float32).reshape(shape)
    check(desk.good(desk.save("scan.nii", nifti_bytes(image)), mr), by_hand(mr, image))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 20, 20), (20, 1, 20), (1, 1, 20)])
def test_row_7_network_of_slices(desk, flat, shape):
    path = desk.save("scan.nii", nifti_bytes(np.arange(np.prod(shape), dtype=np.float32).reshape(shape)))
    answer = desk.segment(path, flat)
    assert len(answer.err) == (1 if shape == (1, 1, 1) else 0)
    assert labels_of(desk.outputs / "labels.nrrd").shape == shape


def test_row_7_picture_of_one_pixel(desk, flat):
    path = desk.inputs / "scan.png"
    Picture.new("L", (1, 1), 7).save(path)
    assert desk.warns(path, flat, "all voxels have the same value (7)").shape == (1, 1)


def test_row_7_one_axis(desk, mr):
    content = nifti_header((20,), 2) + bytes(20)
    desk.refuses_image(desk.save("scan.nii", content), mr, "has one axis only", "a volume is wanted")


def test_row_7_no_voxels(desk, mr):
    content = nifti_header((20, 0, 4), 2)
    desk.refuses_image(desk.save("scan.nii", content), mr, "says size (20, 0, 4", "export it again")


def test_row_7_nothing_left_at_the_models_spacing(desk, tmp_path):
    """One voxel of 0.02 mm for a network of 10 mm."""
    model = make_model(tmp_path / "coarse", spacing=(10.0,) * 3)
    content = nifti_bytes(np.full((1, 1, 1), 5, np.float32), pixdim=(0.02,) * 3)
    desk.refuses_image(
        desk.save("scan.nii", content), model, "leaves none at the model's", "check the image's spacing"
    )


SMALLER = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(3), count)]


@pytest.mark.parametrize("axes", SMALLER, ids=lambda axes: "".join("zyx"[axis] for axis in axes))
def test_row_8_smaller_than_the_patch(desk, mr, axes):
    shape = [SMALL if axis in axes else size for axis, size in enumerate(PATCH)]
    image = make_image(shape)
    check(desk.good(desk.save("scan.nii", nifti_bytes(image)), mr), by_hand(mr, image))


def test_row_8_smaller_on_one_axis_larger_on_the_others(desk, mr):
    """The slices are the middle of those of the same image between slices of the mean, which becomes 0."""
    image = make_image((SMALL, 30, 40))
    before = (PATCH[0] - SMALL) // 2
    around = np.full((PATCH[0], 30, 40), image.mean(dtype=np.float64), np.float32)
    around[before : before + SMALL] = image
    # The mean slices lower the deviation: scale the image so that its z-score stays.
    stretch = around.std() / image.std()
    model_sees = (around - image.mean()) / stretch
    whole = desk.good(desk.save("a.nii", nifti_bytes(model_sees.astype(np.float32))), mr, name="a.nrrd")
    labels = desk.good(desk.save("scan.nii", nifti_bytes(image)), mr)
    check(labels, whole[before : before + SMALL])


# The peak as the kernel counts it for this program alone: getrusage counts the parent's size before exec too.
MEASURED = """
import json, re, sys
from pathlib import Path
from umamba.cli.main import main
status = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({"event": "peak", "bytes": int(peak[1]) * 1024}))
sys.exit(status)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process")
def test_row_9_two_thousand_slices(desk, tmp_path):
    """What the process takes, as the operating system counts it, stays below what the plan announced."""
    model = make_model(tmp_path / "long", patch=MANY_PATCH, features=(2, 4))
    path = desk.save("scan.nii", nifti_bytes(make_image((SLICES, 16, 16))))
    output = desk.outputs / "labels.nii"
    words = ["segment", path, "-o", output, "--model", model, "--device", "cpu", "--no-mirror", "--json"]
    answer = finish(start(words, command=[sys.executable, "-c", MEASURED]))
    assert (answer.status, answer.err) == (0, [])
    (plan,) = [event for event in answer.events if event["event"] == "plan"]
    assert plan["tiles"] > SLICES / MANY_PATCH[0]
    assert answer.events[-1]["bytes"] <= plan["peak_ram_bytes"]
    assert labels_of(output).shape == (SLICES, 16, 16)
