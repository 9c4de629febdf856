"""Boxes in mm: which voxels a region of interest takes."""

import numpy as np
import pytest

from umamba import Geometry, Image, InputError
from umamba.inference.region import box_around, box_from_roi

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
