"""Grids and voxels that are odd or unfit."""

import numpy as np
import pytest

from umamba.errors import InputError
from umamba.imaging.checks import LARGEST_VALUE, check_geometry, checked_image, clean_voxels
from umamba.imaging.image import Geometry, Image

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
NAN, INFINITY = float("nan"), float("inf")


def grid(spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=UPRIGHT, size=(4, 3, 2)):
    return Geometry(size, spacing, origin, direction)


@pytest.mark.parametrize("value", [0.0, -1.0, NAN, INFINITY])
def test_spacing_that_is_no_length(value):
    with pytest.raises(InputError, match=r"scan: spacing .* must be above 0"):
        check_geometry(grid(spacing=(1.0, value, 1.0)), "scan")


@pytest.mark.parametrize("value", [1e-6, 1e6])
def test_spacing_in_another_unit(value):
    with pytest.raises(InputError, match="perhaps metres or micrometres"):
        check_geometry(grid(spacing=(value, value, value)), "scan")


@pytest.mark.parametrize("value", [5e-4, 25.0])
def test_unusual_spacing_is_a_warning(value):
    (warning,) = check_geometry(grid(spacing=(1.0, 1.0, value)), "scan")
    assert "unusual spacing" in warning


@pytest.mark.parametrize("spacing", [(0.3, 0.3, 0.3), (0.5, 0.5, 10.0)])
def test_usual_spacing_is_none(spacing):
    assert check_geometry(grid(spacing=spacing), "scan") == []


def test_origin_that_is_no_number():
    with pytest.raises(InputError, match="its origin is not a number"):
        check_geometry(grid(origin=(0.0, NAN, 0.0)), "scan")


@pytest.mark.parametrize(("off", "warnings"), [(0.0, 0), (1e-6, 0), (1e-4, 1), (1e-2, 1)])
def test_axes_near_right_angles(off, warnings):
    found = check_geometry(grid(direction=(1, off, 0, 0, 1, 0, 0, 0, 1)), "scan")
    assert len(found) == warnings


@pytest.mark.parametrize("direction", [(1, 1, 0, 0, 1, 0, 0, 0, 1), (0,) * 9, (NAN,) * 9])
def test_axes_that_are_none(direction):
    with pytest.raises(InputError, match=r"right angles|not numbers"):
        check_geometry(grid(direction=direction), "scan")


def test_oblique_and_left_handed_axes_are_fine():
    cosine, sine = np.cos(np.pi / 12), np.sin(np.pi / 12)
    assert check_geometry(grid(direction=(cosine, -sine, 0, sine, cosine, 0, 0, 0, -1)), "scan") == []


@pytest.mark.parametrize(
    ("values", "odd", "becomes"),
    [
        ([3.0, 5.0, 9.0], NAN, 0.0),  # MR: what surrounds the body is 0
        ([-1024.0, 40.0, 9.0], NAN, -1024.0),  # CT: air
        ([3.0, 5.0, 9.0], INFINITY, 9.0),
        ([3.0, 5.0, 9.0], -INFINITY, 3.0),
    ],
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_few_odd_voxels_are_replaced_and_told(values, odd, becomes, kind):
    data = np.array([*values, odd], kind).reshape(1, 2, 2)
    cleaned, (warning,) = clean_voxels(data, "scan")
    np.testing.assert_array_equal(cleaned.ravel(), [*values, becomes])
    assert warning.startswith("scan: 1 of 4 voxels are not finite")


def test_doubles_beyond_single_precision_count_as_infinite():
    data = np.array([1.0, 2.0, 10 * LARGEST_VALUE, -10 * LARGEST_VALUE]).reshape(1, 1, 4)
    cleaned, warnings = clean_voxels(data, "scan")
    np.testing.assert_array_equal(cleaned.ravel(), [1.0, 2.0, 2.0, 1.0])
    assert len(warnings) == 1


@pytest.mark.parametrize("odd", [NAN, INFINITY])
def test_no_finite_voxel_at_all(odd):
    with pytest.raises(InputError, match="not one voxel"):
        clean_voxels(np.full((2, 2, 2), odd, np.float32), "scan")


@pytest.mark.parametrize("value", [0, 7])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_constant_images_are_told(value, kind):
    cleaned, (warning,) = clean_voxels(np.full((2, 2, 2), value, kind), "scan")
    assert f"the same value ({value})" in warning
    np.testing.assert_array_equal(cleaned, value)


def test_one_voxel_passes():
    _, warnings = clean_voxels(np.ones((1, 1, 1), np.int16), "scan")
    assert len(warnings) == 1


def test_only_an_array_of_ones_own_is_changed_in_place():
    data = np.array([[[1.0, NAN]]])
    cleaned, _ = clean_voxels(data, "scan")
    assert np.isnan(data[0, 0, 1])
    assert cleaned[0, 0, 1] == 0
    cleaned, _ = clean_voxels(data, "scan", own=True)
    assert cleaned is data
    assert data[0, 0, 1] == 0


def test_an_image_of_another_shape_than_its_grid():
    with pytest.raises(InputError, match=r"array has shape 1 x 1 x 1, its grid 2 x 3 x 4"):
        checked_image(Image(np.zeros((1, 1, 1)), grid()), "scan")


def test_an_image_of_complex_numbers():
    with pytest.raises(InputError, match="complex64"):
        checked_image(Image(np.zeros((2, 3, 4), np.complex64), grid()), "scan")


def test_checking_twice_warns_once():
    image = Image(np.zeros((2, 3, 4), np.int16), grid())
    once = checked_image(image, "scan")
    assert checked_image(once, "scan").warnings == once.warnings != ()
