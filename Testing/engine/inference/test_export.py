"""Labels decided plane by plane equal labels decided on the whole resampled array."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from peers.nnunet_peer import make_dataset, make_plans
from umamba import ModelError
from umamba.inference.export import PlaneExporter, Sinks
from umamba.inference.preprocessing import Layout
from umamba.models.card import Instances
from umamba.plans import parse_dataset, parse_plans

PLANS = make_plans((8, 8, 8), (1, 1, 1), (4, 8), ((1, 1, 1), (2, 2, 2)), ("ZScoreNormalization",))
CONFIGURATION = parse_plans(PLANS).configuration("3d_fullres")
PLAIN = parse_dataset(make_dataset(["MR"], 4)).labels
REGIONS = parse_dataset(
    {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "tip": 3},
        "regions_class_order": [1, 2, 3],
    }
).labels
# A float32 resampling may order two nearly equal logits the other way.
NEAR_TIE = 1e-4


def make_layout(net: tuple[int, int, int], crop: tuple[int, int, int], coarse: float = 1.0) -> Layout:
    """`coarse` is the spacing of the first axis over that of the others, on both grids."""
    spacing = (coarse, 1.0, 1.0)
    box = tuple((0, size) for size in crop)
    return Layout((0, 1, 2), crop, box, net, spacing, spacing, spacing, spacing)


def whole(logits: np.ndarray, crop: tuple[int, int, int]) -> np.ndarray:
    """skimage's linear resize of every channel, as nnU-Net calls it."""
    return np.stack([resize(c.astype(float), crop, 1, mode="edge", anti_aliasing=False) for c in logits])


def export(logits: np.ndarray, layout: Layout, rules: object, chunk: int, **extra: np.ndarray) -> np.ndarray:
    labels = np.full(layout.crop_shape, 99, dtype=np.uint8)
    exporter = PlaneExporter(layout, CONFIGURATION, rules, Sinks(labels, **extra))  # type: ignore[arg-type]
    for start in range(0, logits.shape[1], chunk):
        exporter.add(logits[:, start : start + chunk])
        assert len(exporter._held) <= exporter.planes_held
    return labels


shapes = st.tuples(*[st.integers(1, 12)] * 3)


@settings(max_examples=50, deadline=None)
@given(net=shapes, crop=shapes, chunk=st.integers(1, 5), seed=st.integers(0, 99))
def test_plane_by_plane_equals_the_whole(
    net: tuple[int, int, int], crop: tuple[int, int, int], chunk: int, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(size=(4, *net)).astype(np.float32)
    found = export(logits, make_layout(net, crop), PLAIN, chunk)
    resampled = logits if net == crop else whole(logits, crop)
    best = np.take_along_axis(resampled, found[None].astype(int), axis=0)[0]
    assert np.all(resampled.max(axis=0) - best <= NEAR_TIE)


def test_a_coarse_axis_repeats_whole_planes() -> None:
    """Spacing ratio above 3: order 0 along the coarse axis, so labels come in groups of equal planes."""
    logits = np.random.default_rng(1).normal(size=(4, 3, 6, 6)).astype(np.float32)
    layout = make_layout((3, 6, 6), (9, 6, 6), coarse=4.0)
    found = export(logits, layout, PLAIN, 1)
    np.testing.assert_array_equal(found, np.repeat(np.argmax(logits, axis=0), 3, axis=0))


def test_regions_write_in_their_order() -> None:
    logits = np.random.default_rng(2).normal(size=(3, 4, 5, 6)).astype(np.float32)
    found = export(logits, make_layout((4, 5, 6), (4, 5, 6)), REGIONS, 2)
    expected = np.zeros((4, 5, 6), dtype=np.uint8)
    for channel, value in zip(logits, (1, 2, 3), strict=True):
        expected[channel > 0] = value
    np.testing.assert_array_equal(found, expected)


def test_regions_keep_their_overlap() -> None:
    logits = np.full((3, 1, 1, 2), -1, dtype=np.float32)
    logits[0, ..., 0] = 1  # whole only
    logits[1, ..., 1] = 1  # core without whole: the label map shows 2, the regions say which
    layout = make_layout((1, 1, 2), (1, 1, 2))
    bits = np.zeros((1, 1, 2), dtype=np.uint8)
    labels = export(logits, layout, REGIONS, 1, regions=bits)
    assert labels[0, 0].tolist() == [1, 2]
    assert bits[0, 0].tolist() == [0b001, 0b010]


def test_the_lowest_label_wins_a_tie() -> None:
    logits = np.zeros((4, 2, 2, 2), dtype=np.float32)
    logits[1:3] = 1
    found = export(logits, make_layout((2, 2, 2), (2, 2, 2)), PLAIN, 2)
    assert np.unique(found).tolist() == [1]


def test_doubtful_interior_is_decided_on_the_image_grid() -> None:
    """From an interior pixel to a boundary pixel its share falls below 0.99 on the way."""
    logits = np.full((4, 1, 1, 2), -9, dtype=np.float32)
    logits[1, ..., 0], logits[2, ..., 1] = 4, 4
    layout = make_layout((1, 1, 2), (1, 1, 8))
    labels = np.zeros(layout.crop_shape, dtype=np.uint8)
    for certainty, expected in ((None, [1, 1, 1, 1, 2, 2, 2, 2]), (0.99, [1, 1, 1, 2, 2, 2, 2, 2])):
        rule = Instances(boundary=2, interior=1, certainty=certainty) if certainty else None
        PlaneExporter(layout, CONFIGURATION, PLAIN, Sinks(labels), rule).add(logits)
        assert labels[0, 0].tolist() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_network_that_overflows_is_an_error(value: float) -> None:
    logits = np.zeros((4, 2, 2, 2), dtype=np.float32)
    logits[2, 1, 1, 1] = value
    with pytest.raises(ModelError, match="NaN or infinite"):
        export(logits, make_layout((2, 2, 2), (2, 2, 2)), PLAIN, 2)


def test_probabilities_and_uncertainty() -> None:
    logits = np.zeros((4, 1, 1, 2), dtype=np.float32)
    logits[2, ..., 1] = 100
    layout = make_layout((1, 1, 2), (1, 1, 2))
    uncertainty = np.empty((1, 1, 2), dtype=np.float32)
    probabilities = np.empty((4, 1, 1, 2), dtype=np.float32)
    export(logits, layout, PLAIN, 1, uncertainty=uncertainty, probabilities=probabilities)
    np.testing.assert_allclose(uncertainty[0, 0], [1, 0], atol=1e-6)
    np.testing.assert_allclose(probabilities[:, 0, 0].T, [[0.25] * 4, [0, 0, 1, 0]], atol=1e-6)
