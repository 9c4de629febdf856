"""Orientation by permuting and flipping: names, grids, and the way back."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image
from umamba.imaging.orientation import Undo, orientation_of, to_orientation

# Positions are sums of a few float64 products of about 100 mm.
POSITION_MM = 1e-10
# Cosines whose sizes differ by less than this may be named either way by other tools.
NEAR_TIE = 1e-3

SIZE = (4, 5, 6)
SPACING = (0.7, 1.5, 3.0)
ORIGIN = (-31.5, 12.25, 100.0)
ALL_48 = [
    np.eye(3)[:, list(order)] * np.array(signs)
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
LETTERS = ["".join(letters) for order in permutations(("LR", "AP", "SI")) for letters in product(*order)]
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def geometry(direction, size=SIZE):
    return Geometry(size, SPACING, ORIGIN, tuple(np.asarray(direction, dtype=float).ravel()))


def image(direction):
    grid = geometry(direction)
    return Image(np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape), grid)


def affine_ras(grid):
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ grid.matrix
    affine[:3, 3] = LPS_TO_RAS @ np.array(grid.origin)
    return affine


def positions(grid):
    """mm of every voxel, (Z, Y, X, 3)."""
    k, j, i = np.indices(grid.shape)
    return np.stack([i, j, k], axis=-1) @ grid.matrix.T + np.array(grid.origin)


def as_sitk(picture):
    result = sitk.GetImageFromArray(picture.data)
    result.SetSpacing(picture.geometry.spacing)
    result.SetOrigin(picture.geometry.origin)
    result.SetDirection(picture.geometry.direction)
    return result


def rotation(quaternion):
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize("direction", ALL_48)
def test_names_are_nibabels(direction):
    grid = geometry(direction)
    assert orientation_of(grid) == "".join(nibabel.aff2axcodes(affine_ras(grid)))


def test_the_identity_is_lps():
    assert orientation_of(geometry(np.eye(3))) == "LPS"
    assert orientation_of(geometry(LPS_TO_RAS)) == "RAS"


@pytest.mark.parametrize("letters", LETTERS)
def test_simpleitk_means_the_same_by_its_letters(letters):
    picture = image(ALL_48[0])
    theirs = sitk.DICOMOrient(as_sitk(picture), letters)
    ours, _ = to_orientation(picture, letters)
    assert np.array_equal(ours.data, sitk.GetArrayFromImage(theirs))
    assert ours.geometry.direction == theirs.GetDirection()
    assert np.abs(np.subtract(ours.geometry.origin, theirs.GetOrigin())).max() < POSITION_MM


@pytest.mark.parametrize("direction", ALL_48)
@pytest.mark.parametrize("letters", ["RAS", "LPS", "PIR", "SLA"])
def test_every_grid_reaches_the_orientation_and_comes_back(direction, letters):
    original = image(direction)
    oriented, undo = to_orientation(original, letters)
    assert orientation_of(oriented.geometry) == letters
    assert oriented.geometry.shape == oriented.data.shape
    assert np.shares_memory(oriented.data, original.data)
    back = undo(oriented.data)
    assert np.array_equal(back, original.data)
    assert back.strides == original.data.strides
    # Every voxel keeps its place in space.
    assert (
        np.abs(
            undo(np.moveaxis(positions(oriented.geometry), 3, 0))
            - np.moveaxis(positions(original.geometry), 3, 0)
        ).max()
        < POSITION_MM
    )


@pytest.mark.parametrize("direction", ALL_48)
def test_copies_of_one_scan_become_one_array(direction):
    scan = image(ALL_48[0])
    copy, _ = to_orientation(scan, orientation_of(geometry(direction)))
    again, _ = to_orientation(copy, orientation_of(scan.geometry))
    assert np.array_equal(again.data, scan.data)
    assert np.abs(np.subtract(again.geometry.origin, scan.geometry.origin)).max() < POSITION_MM
    assert again.geometry.direction == scan.geometry.direction


@given(st.tuples(*[st.floats(-1, 1)] * 4), st.sampled_from(ALL_48), st.sampled_from(LETTERS))
@settings(deadline=None)
def test_oblique_grids_get_the_nearest_axes(quaternion, turn, letters):
    assume(np.linalg.norm(quaternion) > 0.1)
    direction = rotation(quaternion) @ turn
    sizes = np.sort(np.abs(direction).ravel())
    picture = image(direction)
    oriented, undo = to_orientation(picture, letters)
    assert np.array_equal(undo(oriented.data), picture.data)
    assert (
        np.abs(
            positions(oriented.geometry)
            - np.moveaxis(undo.forward(np.moveaxis(positions(picture.geometry), 3, 0)), 0, 3)
        ).max()
        < POSITION_MM
    )
    if np.diff(sizes).min() > NEAR_TIE:
        theirs = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction.ravel().tolist())
        assert orientation_of(picture.geometry) == theirs


@pytest.mark.parametrize("noise", [0, 1e-8, -1e-8])
def test_forty_five_degrees_are_decided_alike_whatever_the_rounding(noise):
    c = np.sqrt(0.5) + noise
    s = np.sqrt(1 - c * c)
    assert orientation_of(geometry([[c, -s, 0], [s, c, 0], [0, 0, 1]])) == "LPS"


def test_native_and_flat_images_pass_through():
    picture = image(ALL_48[17])
    assert to_orientation(picture, "native") == (picture, Undo())
    flat = Image(
        np.zeros((1, 4, 5), dtype=np.uint8), Geometry((5, 4), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))
    )
    same, undo = to_orientation(flat, "RAS")
    assert same is flat
    assert undo(flat.data).shape == (1, 4, 5)
    assert orientation_of(flat.geometry) == "native"


@pytest.mark.parametrize("letters", ["", "RA", "RRS", "RLS", "XYZ", "ras", "RASS"])
def test_letters_that_name_nothing_are_refused(letters):
    with pytest.raises(InputError, match="is no orientation: three letters"):
        to_orientation(image(np.eye(3)), letters)


def test_the_way_back_takes_channels_in_front():
    original = image(ALL_48[29])
    oriented, undo = to_orientation(original, "RAS")
    stacked = np.stack([oriented.data, oriented.data + 1])
    assert np.array_equal(undo(stacked)[1], original.data + 1)
