"""How much surface lies where voxels meet: the table of the published code, and what can be told by hand."""

import math

import numpy as np
import pytest

from umamba.evaluation.element_sizes import bits, element_sizes

# Sums of a few square roots.
ROUNDING = 1e-12
SPACING = (0.8, 1.5, 3.0)


def code_of(*inside):
    return sum(bit for voxel, bit in bits(len(inside[0])) if voxel in inside)


def test_areas_of_all_codes_are_the_published_ones(oracle):
    table = np.load(oracle / "metrics" / "surface_element_areas.npz")
    for spacing, areas in zip(table["spacings"], table["areas"], strict=True):
        np.testing.assert_allclose(element_sizes(tuple(spacing)), areas, rtol=ROUNDING, atol=0)


def test_bits_are_the_published_ones():
    assert bits(3)[0] == ((0, 0, 0), 128)
    assert bits(3)[1] == ((0, 0, 1), 64)
    assert bits(3)[-1] == ((1, 1, 1), 1)


def test_a_flat_side_is_as_large_as_a_voxels_face():
    sizes = element_sizes(SPACING)
    side = [(0, y, x) for y in (0, 1) for x in (0, 1)]
    assert sizes[code_of(*side)] == pytest.approx(SPACING[1] * SPACING[2], rel=ROUNDING)


def test_one_corner_is_a_triangle_through_three_midpoints():
    half = np.array(SPACING) / 2
    a, b, c = np.diag(half)
    area = np.linalg.norm(np.cross(b - a, c - a)) / 2
    assert element_sizes(SPACING)[code_of((0, 0, 0))] == pytest.approx(area, rel=ROUNDING)


def test_inside_and_outside_have_one_surface():
    sizes = element_sizes(SPACING)
    np.testing.assert_allclose(sizes, sizes[::-1], rtol=ROUNDING)
    assert sizes[0] == sizes[-1] == 0


@pytest.mark.parametrize(
    ("inside", "length"),
    [
        ([(0, 0)], math.hypot(0.8, 1.5) / 2),
        ([(0, 0), (0, 1)], 1.5),  # a row: the line runs along it
        ([(0, 1), (1, 1)], 0.8),
        ([(0, 1), (1, 0)], math.hypot(0.8, 1.5)),
        ([(0, 0), (0, 1), (1, 1)], math.hypot(0.8, 1.5) / 2),
    ],
)
def test_lines_of_flat_images(inside, length):
    assert element_sizes((0.8, 1.5))[code_of(*inside)] == pytest.approx(length, rel=ROUNDING)
