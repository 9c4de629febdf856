"""Distances against all pairs tried one by one, and on shapes whose distances are known."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from umamba.evaluation.element_sizes import element_sizes
from umamba.evaluation.surfaces import border_voxels, distances, elements

# Sums in another order.
ROUNDING = 1e-12
# A drawn circle is that much longer than a true one: it turns in steps of 45 degrees only.
STAIRS = 0.08
EXAMPLES = 25
SPACING = (2.5, 0.8, 1.0)

masks = st.sampled_from([(3, 4, 5), (1, 6, 4), (5, 2, 3), (6, 7), (1, 5)]).flatmap(
    lambda shape: st.tuples(*(arrays(bool, shape).filter(np.any) for _ in range(2)))
)


def elements_by_hand(mask, spacing):
    """{place: size} of every corner at which voxels of both kinds meet."""
    table, found = element_sizes(spacing), {}
    for place in itertools.product(*(range(size + 1) for size in mask.shape)):
        code = 0
        for step in itertools.product((-1, 0), repeat=mask.ndim):
            voxel = tuple(p + s for p, s in zip(place, step, strict=True))
            known = all(0 <= v < size for v, size in zip(voxel, mask.shape, strict=True))
            code = 2 * code + int(known and mask[voxel])
        if table[code]:
            found[place] = table[code]
    return found


def border_by_hand(mask):
    """{voxel: 1} of those with a neighbour outside the mask."""
    found = {}
    for voxel in map(tuple, np.argwhere(mask)):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            other = list(voxel)
            other[axis] += step
            if not 0 <= other[axis] < mask.shape[axis] or not mask[tuple(other)]:
                found[voxel] = 1.0
    return found


def nearest_by_hand(places, others, spacing):
    return [
        min(math.dist([p * s for p, s in zip(a, spacing, strict=True)], b) for b in others) for a in places
    ]


def within_95(distances, sizes):
    """The least distance within which 95 % lie; rounding must not push it over a step."""
    return min(
        d
        for d in distances
        if sum(s for e, s in zip(distances, sizes, strict=True) if e <= d * (1 + ROUNDING))
        >= (0.95 - ROUNDING) * sum(sizes)
    )


@pytest.mark.parametrize(
    ("surface", "by_hand"), [(elements, elements_by_hand), (border_voxels, border_by_hand)]
)
@settings(max_examples=EXAMPLES, deadline=None)
@given(pair=masks, tolerance=st.sampled_from([0.0, 0.8, 1.0, 1.6, 2.5]))
def test_distances_are_those_of_all_pairs(surface, by_hand, pair, tolerance):
    spacing = SPACING[-pair[0].ndim :]
    arguments = (spacing,) if surface is elements else ()
    made = [surface(mask, *arguments) for mask in pair]
    sought = [by_hand(mask, *arguments) for mask in pair]
    for ours, theirs in zip(made, sought, strict=True):
        assert {tuple(p): s for p, s in zip(ours.places.tolist(), ours.sizes, strict=True)} == theirs
    found = distances(*made, spacing)
    millimetres = [[[p * s for p, s in zip(a, spacing, strict=True)] for a in places] for places in sought]
    there = nearest_by_hand(sought[0], millimetres[1], spacing)
    back = nearest_by_hand(sought[1], millimetres[0], spacing)
    sizes = [list(places.values()) for places in sought]
    both = [*zip(there, sizes[0], strict=True), *zip(back, sizes[1], strict=True)]
    total = sum(size for _, size in both)
    assert found.hausdorff() == pytest.approx(max(*there, *back), rel=ROUNDING)
    assert found.average() == pytest.approx(sum(d * s for d, s in both) / total, rel=ROUNDING)
    assert found.hausdorff_95_pooled() == pytest.approx(np.percentile([*there, *back], 95), rel=ROUNDING)
    # Lengths of this grid are never within rounding of a tolerance unless they are it.
    near = sum(size for distance, size in both if distance <= tolerance * (1 + ROUNDING))
    assert found.share_within(tolerance) == pytest.approx(near / total, rel=ROUNDING)
    by_direction = max(within_95(there, sizes[0]), within_95(back, sizes[1]))
    assert found.hausdorff_95() == pytest.approx(by_direction, rel=ROUNDING)


def test_two_voxels_five_apart():
    first, second = np.zeros((1, 1, 8), dtype=bool), np.zeros((1, 1, 8), dtype=bool)
    first[0, 0, 1] = second[0, 0, 6] = True
    found = distances(border_voxels(first), border_voxels(second), (1.0, 1.0, 2.0))
    assert (found.hausdorff(), found.hausdorff_95_pooled(), found.average()) == (10.0, 10.0, 10.0)
    assert (found.share_within(9.999), found.share_within(10.0)) == (0.0, 1.0)


def test_a_slab_shifted_by_a_slice():
    first = np.zeros((6, 9, 9), dtype=bool)
    first[1:3] = True
    second = np.roll(first, 1, axis=0)
    found = distances(elements(first, SPACING), elements(second, SPACING), SPACING)
    assert found.hausdorff() == found.hausdorff_95() == SPACING[0]
    assert found.share_within(SPACING[0]) == 1.0


def test_a_circles_length():
    rows, columns = np.ogrid[:101, :101]
    circle = (rows - 50) ** 2 + (columns - 50) ** 2 <= 40**2
    length = elements(circle, (1.0, 1.0)).sizes.sum()
    assert length == pytest.approx(2 * math.pi * 40, rel=STAIRS)


def test_a_mask_that_fills_the_image_has_a_surface():
    full = np.ones((2, 3, 4), dtype=bool)
    assert len(elements(full, (1.0, 1.0, 1.0)).sizes) == 3 * 4 * 5 - 1 * 2 * 3
    assert len(border_voxels(full).sizes) == full.size
