"""Row 17 and images that do not suit the model: channels too few, too many, on other grids; 2D and 3D."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Picture

from engine.bad_input.samples import change_json, make_image, make_model
from image_builders import nifti_bytes


@pytest.fixture
def t1(desk, image):
    return desk.save("t1.nii", nifti_bytes(image))


@pytest.fixture
def flair(desk):
    return desk.save("flair.nii", nifti_bytes(make_image(seed=1)))


@pytest.fixture
def wanted(desk, two_channels, t1, flair):
    """Labels of both channels as they should be given."""
    return desk.good([t1, flair], two_channels, name="wanted.nrrd")


def test_row_17_one_channel_of_two(desk, two_channels, t1):
    desk.refuses_image(t1, two_channels, "channel FLAIR is missing", "the model takes 2 channels (T1, FLAIR)")


def test_row_17_three_channels_of_two(desk, two_channels, t1, flair):
    desk.refuses_image([t1, flair, t1], two_channels, "3 images were given", "the model takes 2 channels")


def test_row_17_two_channels_of_one(desk, mr, t1, flair):
    desk.refuses_image([t1, flair], mr, "2 images were given", "the model takes 1 channel (T1)")


def test_row_17_named_in_any_order(desk, two_channels, t1, flair, wanted):
    labels = desk.good([f"flair={flair}", f"T1={t1}"], two_channels)
    np.testing.assert_array_equal(labels, wanted)


def test_row_17_a_channel_twice(desk, two_channels, t1, flair):
    desk.refuses_image([f"T1={t1}", f"T1={flair}"], two_channels, "channel T1 is given twice", "once")


def test_row_17_a_channel_that_the_model_has_not(desk, two_channels, t1, flair):
    desk.refuses_image([f"T1={t1}", f"T2={flair}"], two_channels, "no channel 'T2'", "it takes 2 channels")


def test_row_17_named_and_unnamed(desk, two_channels, t1, flair):
    desk.refuses_image([f"T1={t1}", flair], two_channels, "some are not", "name all of them or none")


@pytest.mark.parametrize("shape", [(10, 19, 21), (11, 19, 22), (1, 19, 22)])
def test_row_17_another_shape(desk, two_channels, t1, shape):
    other = desk.save("flair.nii", nifti_bytes(make_image(shape)))
    desk.refuses_image([t1, other], two_channels, "channel FLAIR has", "resample one to the other's grid")


def test_row_17_another_spacing(desk, two_channels, t1, image):
    rows = np.column_stack([np.diag((1, 1, 1.1)), np.zeros(3)]).ravel()
    other = desk.save("flair.nii", nifti_bytes(image, pixdim=(1, 1, 1.1), srows=rows))
    desk.refuses_image([t1, other], two_channels, "channel FLAIR has spacing 1 x 1 x 1.1", "resample one")


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ((1, 0, 0, 0.5, 0, 1, 0, 0, 0, 0, 1, 0), "origin"),
        ((1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0), "direction"),
    ],
    ids=["origin", "direction"],
)  # fmt: skip
def test_row_17_another_place(desk, two_channels, t1, wanted, rows, what):
    other = desk.save("other.nii", nifti_bytes(make_image(seed=1), srows=rows))
    labels = desk.warns([t1, other], two_channels, f"channel FLAIR lies elsewhere than channel T1 ({what}")
    np.testing.assert_array_equal(labels, wanted)


def test_row_17_a_place_that_differs_by_rounding(desk, two_channels, t1, wanted):
    rows = (1, 0, 0, 5e-4, 0, 1, 0, 0, 0, 0, 1, 0)
    other = desk.save("other.nii", nifti_bytes(make_image(seed=1), srows=rows))
    np.testing.assert_array_equal(desk.good([t1, other], two_channels), wanted)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A 2D model that was trained on PNG files."""
    model = make_model(tmp_path_factory.mktemp("photographs"), patch=(16, 16))
    change_json(model, "dataset.json", lambda dataset: dataset.update(file_ending=".png"))
    return model


def test_a_model_of_photographs_given_a_volume(desk, photographs, t1):
    desk.refuses_image(t1, photographs, "this is a volume of 10 slices", "works on flat (2D) images")


def test_a_model_of_photographs_given_a_picture(desk, photographs, image):
    path = desk.inputs / "scan.png"
    Picture.fromarray(image[0].astype(np.uint8)).save(path)
    assert desk.good(path, photographs).shape == image.shape[1:]


@pytest.mark.parametrize("name", ["scan.png", "scan.tif", "scan.nii"])
def test_a_model_of_volumes_given_a_picture(desk, mr, image, name):
    if name.endswith(".nii"):
        path = desk.save(name, nifti_bytes(image[0]))
    else:
        path = desk.inputs / name
        Picture.fromarray(image[0].astype(np.uint8)).save(path)
    desk.refuses_image(path, mr, "this is a flat (2D) image", "works on volumes")


def test_a_network_of_slices_takes_a_volume_slice_by_slice(desk, flat, t1, image):
    """A 2D configuration of volumes, as nnU-Net has it: not a model for pictures only."""
    assert desk.good(t1, flat).shape == image.shape
