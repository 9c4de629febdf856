"""The banded matrix of one axis against scipy, skimage and torch, and its product with arrays."""

import numpy as np
import pytest
import torch
from skimage.transform import resize

from umamba.imaging import axis_operator as subject
from umamba.imaging.axis_operator import AxisOperator, apply_axis, axis_operator, torch_axis_operator

# Weights, at most 1, are rounded to float32; those cut come to 1e-8.
WEIGHT_TOLERANCE = 6e-8
# Sums of float32 products of values of about 1.
SUM_TOLERANCE = 2e-6
# torch computes the points in float32, so that weights differ by rounding of points up to the axis' length.
TORCH_TOLERANCE = 1e-5

SIZES = [(1, 1), (1, 5), (5, 1), (2, 3), (3, 2), (7, 21), (21, 7), (40, 33), (33, 40), (180, 97), (97, 181)]


def dense(operator: AxisOperator) -> np.ndarray:
    """The operator as an (m, n) matrix."""
    matrix = np.zeros((operator.m, operator.n))
    for row, (start, weights) in enumerate(zip(operator.start, operator.weights, strict=True)):
        matrix[row, start : start + operator.taps] = weights
    return matrix


def resized_identity(n: int, m: int, order: int) -> np.ndarray:
    """skimage's answer to every unit impulse, (m, n), without its clipping to 0..1."""
    return resize(np.eye(n), (m, n), order, mode="edge", anti_aliasing=False, preserve_range=True, clip=False)


@pytest.mark.parametrize("order", range(6))
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_matrix_is_what_skimage_does_to_impulses(n, m, order):
    operator = axis_operator(n, m, order)
    assert np.abs(dense(operator) - resized_identity(n, m, order)).max() < WEIGHT_TOLERANCE


@pytest.mark.parametrize("order", range(6))
def test_bands_lie_within_the_input(order):
    for n, m in SIZES:
        operator = axis_operator(n, m, order)
        assert operator.start.min() >= 0
        assert operator.start.max() + operator.taps <= n


def test_linear_midpoints_by_hand():
    # Two samples at three points: -1/6 (the end), 1/2, 7/6 (the end).
    assert np.allclose(dense(axis_operator(2, 3, 1)), [[1, 0], [0.5, 0.5], [0, 1]])


def test_few_taps_where_few_are_needed():
    assert axis_operator(184, 512, 1).taps == 2
    assert axis_operator(30, 50, 0).taps == 1
    assert axis_operator(77, 77, 3).is_identity
    assert axis_operator(512, 184, 3).taps < 32


def test_a_long_axis_is_small_and_exact():
    n, m = 2100, 1900
    operator = axis_operator(n, m, 3)
    assert operator.weights.nbytes < 100 * m * 4
    signal = np.random.default_rng(3).normal(size=n)
    expected = resize(signal, (m,), 3, mode="edge", anti_aliasing=False, clip=False)
    assert np.abs(dense(operator) @ signal - expected).max() < SUM_TOLERANCE


@pytest.mark.parametrize("mode", ["linear", "nearest", "nearest-exact"])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_torch_matrix_is_what_torch_does_to_impulses(n, m, mode):
    impulses = torch.eye(n)[:, None]
    expected = torch.nn.functional.interpolate(impulses, size=m, mode=mode)[:, 0].T.numpy()
    assert np.abs(dense(torch_axis_operator(n, m, mode)) - expected).max() < TORCH_TOLERANCE


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(5, 70, 9), (66, 3, 131), (1, 40, 300), (200, 2, 1)])
def test_product_along_each_axis_is_the_dense_product(shape, axis):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    operator = axis_operator(shape[axis], 2 * shape[axis] + 1, 3)
    expected = np.moveaxis(np.tensordot(dense(operator), array.astype(np.float64), (1, axis)), 0, axis)
    assert np.abs(apply_axis(array, operator, axis) - expected).max() < SUM_TOLERANCE


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_strides_number_types_read_only_and_out(axis):
    array = np.random.default_rng(1).integers(-900, 900, size=(20, 30, 40)).astype(np.int16)
    array.flags.writeable = False
    operator = axis_operator(array.shape[axis], 17, 3)
    expected = apply_axis(np.ascontiguousarray(array, dtype=np.float32), operator, axis)
    turned = np.asfortranarray(array)[::-1][::-1]
    shape = expected.shape
    out = np.zeros(shape[::-1], dtype=np.float32).T
    assert apply_axis(turned, operator, axis, out=out) is out
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_result_is_independent_of_threads(axis, monkeypatch):
    monkeypatch.setattr(subject, "_PART_VALUES", 5_000)  # many parts of work
    array = np.random.default_rng(2).normal(size=(50, 60, 70)).astype(np.float32)
    operator = axis_operator(array.shape[axis], 41, 3)
    single = apply_axis(array, operator, axis, threads=1)
    assert np.array_equal(apply_axis(array, operator, axis, threads=5), single)


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="for 5 samples cannot act on axis 1"):
        apply_axis(np.zeros((5, 6, 7)), axis_operator(5, 3, 1), 1)
    with pytest.raises(ValueError, match="wanted is float32"):
        apply_axis(np.zeros((5, 6, 7)), axis_operator(5, 3, 1), 0, out=np.zeros((3, 6, 7)))
