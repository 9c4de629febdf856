"""Label maps that cannot be compared: the case is named, and what to do."""

import numpy as np
import pytest
import SimpleITK as sitk

from umamba.errors import InputError
from umamba.evaluation.case import load
from umamba.evaluation.pairs import Pair

SHAPE = (4, 5, 6)
# Of a voxel: as different writers round the same grid, and as no rounding goes.
ROUNDING = 1e-4
SHIFT = 0.2


def image(values=None, spacing=(1.0, 1.5, 2.0), origin=(3.0, -4.0, 5.0)):
    made = sitk.GetImageFromArray(np.ones(SHAPE, np.uint8) if values is None else values)
    made.SetSpacing(spacing)
    made.SetOrigin(origin)
    return made


@pytest.fixture
def loaded(tmp_path):
    """Write two images and load them as a case."""

    def run(reference, prediction, suffix=".nii.gz"):
        pair = Pair("case_7", tmp_path / f"truth{suffix}", tmp_path / f"found{suffix}")
        for path, made in ((pair.reference, reference), (pair.prediction, prediction)):
            sitk.WriteImage(made, path)
        return load(pair, None)

    return run


def test_both_maps_with_spacing_and_volume(loaded):
    maps = loaded(image(), image(np.full(SHAPE, 300.0)))
    assert maps.reference.dtype == maps.prediction.dtype == np.uint16
    assert maps.prediction.max() == 300
    assert (maps.spacing, maps.unit, maps.is_flat) == ((2.0, 1.5, 1.0), "mm", False)
    assert maps.voxel_ml == 0.003


def test_flat_images_have_pixels(loaded):
    flat = sitk.GetImageFromArray(np.ones((5, 6), np.uint8))
    maps = loaded(flat, flat, ".png")
    assert (maps.reference.shape, maps.unit, maps.voxel_ml, maps.is_flat) == ((1, 5, 6), "px", None, True)


def test_grids_that_differ_by_rounding_are_one(loaded):
    loaded(image(), image(origin=(3.0 + ROUNDING, -4.0, 5.0), spacing=(1.0 + ROUNDING / 6, 1.5, 2.0)))


@pytest.mark.parametrize(
    ("prediction", "part"),
    [
        (image(np.ones((4, 5, 7), np.uint8)), "the reference has 6 x 5 x 4 voxels, the prediction 7 x 5 x 4"),
        (image(origin=(3.0 + SHIFT, -4.0, 5.0)), "lies elsewhere than the reference: up to 0.2 mm apart"),
        (image(spacing=(1.0, 1.5, 2.5)), "up to 1.5 mm apart"),
        (image(np.full(SHAPE, 0.5)), "found.nii.gz: holds the value 0.5; labels are whole numbers"),
        (image(np.full(SHAPE, np.nan)), "holds the value nan"),
        (image(np.full(SHAPE, -1, np.int16)), "holds the value -1; labels are 0 to"),
        (image(np.full(SHAPE, 1e12)), "holds the value 1e[+]12; labels are 0 to"),
    ],
)
def test_what_cannot_be_compared_is_named(loaded, prediction, part):
    with pytest.raises(InputError, match=f"^case case_7: .*{part}"):
        loaded(image(), prediction)


def test_turned_axes_are_another_grid(loaded):
    turned = image()
    turned.SetDirection((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    with pytest.raises(InputError, match="case case_7: the prediction lies elsewhere"):
        loaded(image(), turned)


def test_colours_are_no_labels_unless_they_are_equal(loaded):
    grey = np.arange(30, dtype=np.uint8).reshape(5, 6)
    alike = sitk.GetImageFromArray(np.stack([grey] * 3, axis=-1), isVector=True)
    np.testing.assert_array_equal(loaded(alike, alike, ".png").reference[0], grey)
    coloured = sitk.GetImageFromArray(np.stack([grey, grey, 2 * grey], axis=-1), isVector=True)
    with pytest.raises(InputError, match=r"case case_7: .*holds 3 channels"):
        loaded(alike, coloured, ".png")
