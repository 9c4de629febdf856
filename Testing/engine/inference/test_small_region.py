"""A run on a small part of an image: what lies outside of the part plays no role and is not looked at."""

import dataclasses

import numpy as np
import pytest

from umamba import Geometry, Image, InputError, plan, segment
from umamba.events import Monitor
from umamba.inference.request import Request
from umamba.inference.result import count_labels
from umamba.inference.run import prepare

MODEL = "hippocampus-mr"
SHAPE = (50, 60, 52)
ROI = (10.0, 40.0, 10.0, 50.0, 8.0, 40.0)
INSIDE, OUTSIDE = (20, 20, 20), (2, 3, 50)
BAD = {"nan": np.nan, "infinite": np.inf, "too large": 1e39}


@pytest.fixture
def image():
    """Noise on a grid of 1 mm; float64, so that it can hold what single precision cannot."""
    grid = Geometry(SHAPE[::-1], (1.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    return Image(np.random.default_rng(1).normal(100, 20, SHAPE), grid)


def spoilt(image, place, value):
    data = image.data.copy()
    data[place] = value
    return dataclasses.replace(image, data=data)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_voxel_outside_changes_nothing(image, bad):
    wanted = segment(image, MODEL, roi=ROI, device="cpu")
    found = segment(spoilt(image, OUTSIDE, BAD[bad]), MODEL, roi=ROI, device="cpu")
    assert found.warnings == wanted.warnings
    np.testing.assert_array_equal(found.labels, wanted.labels)
    assert found.labels.shape == SHAPE


def test_a_bad_voxel_inside_is_replaced_and_said(image):
    given = spoilt(image, INSIDE, np.nan)
    prepared = prepare(given, MODEL, Request(roi=ROI, device="cpu"), Monitor())
    (line,) = (line for line in prepared.warnings if "not finite" in line)
    assert line.startswith("channel MRI: 1 of ")
    assert np.isfinite(prepared.stages[0].cropped.channels[0]).all()
    assert np.isnan(given.data[INSIDE])  # the caller's array is left alone


def test_a_part_without_a_finite_voxel_is_refused(image):
    data = image.data.copy()
    data[8:41, 10:51, 10:41] = np.nan
    with pytest.raises(InputError, match="channel MRI: not one voxel"):
        plan(dataclasses.replace(image, data=data), MODEL, roi=ROI)


def test_counting_labels_with_empty_slices():
    labels = np.zeros((4, 5, 6), np.uint16)
    labels[1, 2, :3] = 700
    labels[3] = 2
    counts = count_labels(labels)
    assert {value: int(counts[value]) for value in np.flatnonzero(counts)} == {0: 87, 2: 30, 700: 3}
