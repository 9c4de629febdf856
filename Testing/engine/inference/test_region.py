"""Boxes in mm: which voxels a region of interest takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from umamba import Geometry, Image, InputError
from umamba.imaging.orientation import to_orientation
from umamba.inference.grid import to_full_grid
from umamba.inference.inputs import Channel
from umamba.inference.region import FACE_TOLERANCE_MM, IndexBox, box_around, box_from_roi

AXIAL = Geometry((10, 8, 6), (1.0, 2.0, 3.0), (-5.0, 10.0, 100.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
# Left-handed: i runs towards the right (-L), so physical x falls with the index.
FLIPPED = Geometry((10, 8, 6), (1.0, 2.0, 3.0), (-5.0, 10.0, 100.0), (-1.0, 0, 0, 0, 1, 0, 0, 0, 1))
TURN = np.deg2rad(45)
TILTED = Geometry(
    (10, 10, 1),
    (1.0, 1.0, 1.0),
    (0, 0, 0),
    (np.cos(TURN), -np.sin(TURN), 0, np.sin(TURN), np.cos(TURN), 0, 0, 0, 1),
)


def test_centres_on_the_faces_are_inside() -> None:
    box = box_from_roi(AXIAL, (-4, -2, 12, 14, 103, 106))
    assert (box.start, box.stop) == ((1, 1, 1), (3, 3, 4))
    assert box.inside is None


def test_a_centre_just_outside_is_left_out() -> None:
    assert box_from_roi(AXIAL, (-4, -2.01, 10, 30, 100, 120)).stop[2] == 3


def test_each_pair_may_come_in_either_order() -> None:
    assert box_from_roi(AXIAL, (-2, -4, 14, 12, 106, 103)) == box_from_roi(AXIAL, (-4, -2, 12, 14, 103, 106))


def test_a_flipped_axis_takes_the_same_places() -> None:
    box = box_from_roi(FLIPPED, (-7, -6, 10, 30, 100, 120))
    assert (box.start[2], box.stop[2]) == (1, 3)


def test_partly_outside_is_clipped_and_wholly_outside_refused() -> None:
    assert box_from_roi(AXIAL, (-1000, -5, -1000, 1000, -1000, 1000)).stop == (6, 8, 1)
    with pytest.raises(InputError, match="no voxel"):
        box_from_roi(AXIAL, (500, 600, 0, 20, 100, 120))
    with pytest.raises(InputError, match="no voxel"):
        box_from_roi(AXIAL, (-4.9, -4.1, 10, 30, 100, 120))  # between two centres


@pytest.mark.parametrize("roi", [(0, 1, 2), (0, 1, 2, 3, 4, float("nan")), (0, 1, 0, 1, 0, float("inf"))])
def test_six_finite_numbers_are_wanted(roi: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="six finite"):
        box_from_roi(AXIAL, roi)


def test_a_tilted_grid_keeps_only_centres_inside() -> None:
    """The box -1..1 x 4..8 lies along the diagonal of a grid turned by 45 degrees."""
    roi = (-1.0, 1.0, 4.0, 8.0, -1.0, 1.0)
    box = box_from_roi(TILTED, roi)
    assert box.inside is not None
    taken = np.zeros(TILTED.shape, dtype=bool)
    taken[box.slices] = box.inside
    for i in range(10):
        for j in range(10):
            x, y, _ = TILTED.matrix @ (i, j, 0)
            assert taken[0, j, i] == (-1 <= x <= 1 and 4 <= y <= 8)


def test_cut_moves_the_origin_to_the_first_voxel() -> None:
    image = Image(np.arange(480).reshape(6, 8, 10), AXIAL)
    cut = box_from_roi(AXIAL, (-4, -2, 12, 14, 103, 106)).cut(image)
    assert cut.geometry.origin == (-4.0, 12.0, 103.0)
    assert cut.geometry.size == (3, 2, 2)
    assert cut.data[0, 0, 0] == image.data[1, 1, 1]


def test_around_takes_centres_within_half_the_extent() -> None:
    box = box_around(AXIAL, (0.0, 18.0, 106.0), (4.0, 8.0, 6.0))
    assert (box.start, box.stop) == ((1, 2, 3), (4, 7, 8))


def test_around_is_clipped_at_the_border_and_refused_outside() -> None:
    assert box_around(AXIAL, (-5.0, 10.0, 100.0), (4.0, 8.0, 6.0)).start == (0, 0, 0)
    with pytest.raises(InputError, match="outside the image"):
        box_around(AXIAL, (-7.0, 10.0, 100.0), (4.0, 8.0, 6.0))
    with pytest.raises(InputError, match="three finite"):
        box_around(AXIAL, (1.0, 2.0), (4.0, 8.0, 6.0))


def test_around_keeps_at_least_the_voxel_itself() -> None:
    box = box_around(AXIAL, (0.4, 18.0, 106.0), (0.1, 0.1, 0.1))
    assert all(b - a == 1 for a, b in zip(box.start, box.stop, strict=True))


def every_voxel(geometry: Geometry, roi: tuple[float, ...]) -> np.ndarray:
    """Mask (Z, Y, X) of the centres in the box, asked of each voxel of the image."""
    bounds = np.sort(np.reshape(roi, (3, 2)), axis=1)
    index = np.stack(np.meshgrid(*(np.arange(size) for size in geometry.size), indexing="ij"), axis=-1)
    centres = index @ geometry.matrix.T + geometry.origin
    low, high = bounds[:, 0] - FACE_TOLERANCE_MM, bounds[:, 1] + FACE_TOLERANCE_MM
    return ((centres >= low) & (centres <= high)).all(axis=-1).transpose(2, 1, 0)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 2.5])] * 3),
    angles=st.tuples(*[st.sampled_from([0, 3, 45, 90, 180, 217])] * 3),
    mirrored=st.booleans(),
    roi=st.tuples(*[st.integers(-12, 12)] * 6),
)
def test_any_grid_gives_the_voxels_that_asking_each_one_gives(size, spacing, angles, mirrored, roi) -> None:
    cosines = Rotation.from_euler("xyz", angles, degrees=True).as_matrix().round(12)
    if mirrored:
        cosines[:, 0] *= -1
    geometry = Geometry(size, spacing, (1.25, -2.25, 0.25), tuple(cosines.ravel().tolist()))
    wanted = every_voxel(geometry, roi)
    if not wanted.any():
        with pytest.raises(InputError, match="no voxel"):
            box_from_roi(geometry, roi)
        return
    box = box_from_roi(geometry, roi)
    found = np.zeros(geometry.shape, dtype=bool)
    found[box.slices] = True if box.inside is None else box.inside
    np.testing.assert_array_equal(found, wanted)
    for axis in range(3):  # and the box is tight
        others = tuple(other for other in range(3) if other != axis)
        span = np.flatnonzero(wanted.any(axis=others))
        assert (box.start[axis], box.stop[axis]) == (span[0], span[-1] + 1)


def test_a_box_of_astronomical_size_is_the_whole_image() -> None:
    huge = 1e308
    for geometry in (AXIAL, TILTED):
        assert box_from_roi(geometry, (-huge, huge) * 3).stop == geometry.shape


@pytest.mark.parametrize("letters", ["LPS", "RAS", "SPL", "native"])
@pytest.mark.parametrize("masked", [False, True])
def test_labels_of_a_region_come_back_to_their_place(letters, masked) -> None:
    rng = np.random.default_rng(5)
    original = Image(np.zeros((6, 8, 10), np.int16), AXIAL)
    oriented, undo = to_orientation(original, letters)
    stop = tuple(size - 1 for size in oriented.data.shape)
    shape = tuple(end - 2 for end in stop)
    inside = rng.random(shape) < 0.5 if masked else None
    part = rng.integers(1, 5, shape).astype(np.uint8)
    box = IndexBox((2, 2, 2), stop, inside)
    found = to_full_grid(part, Channel(original, oriented, undo), box)
    wanted = np.zeros(oriented.data.shape, np.uint8)
    wanted[box.slices] = part if inside is None else part * inside
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(undo.forward(found), wanted)
