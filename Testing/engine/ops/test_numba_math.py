"""The vectorising exponentials against float64."""

import numpy as np
import pytest
from numba import njit

from umamba.ops.numba_math import exp2, sigmoid, softplus

# Two roundings of float32 (2^-24 each) and the polynomial's 4e-9.
EXP2_ERROR = 1.3e-7
# The argument is multiplied by log2(e): one rounding of the product and one of the constant, |x| 2^-24 each.
ROUNDING_OF_ARGUMENT = 2 * 2**-24


@njit
def _evaluate(x, powers, sigmoids, softpluses):
    for i in range(x.size):
        powers[i], sigmoids[i], softpluses[i] = exp2(x[i]), sigmoid(x[i]), softplus(x[i])


def _values(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    results = tuple(np.empty_like(x) for _ in range(3))
    _evaluate(x, *results)
    return results


def test_relative_errors() -> None:
    x = np.linspace(-80, 80, 400_001).astype(np.float32)
    exact = x.astype(np.float64)
    powers, sigmoids, softpluses = _values(x)
    allowed = EXP2_ERROR * 3 + ROUNDING_OF_ARGUMENT * np.abs(exact)
    assert np.abs(powers / np.exp2(exact) - 1).max() <= EXP2_ERROR
    assert (np.abs(sigmoids * (1 + np.exp(-exact)) - 1) <= allowed).all()
    assert (np.abs(softpluses / np.logaddexp(0, exact) - 1) <= allowed).all()


@pytest.mark.parametrize(
    ("x", "wanted"),
    [
        (np.nan, (np.nan, np.nan, np.nan)),
        (np.inf, (np.inf, 1, np.inf)),
        (-np.inf, (0, 0, 0)),
        (1e30, (np.inf, 1, 1e30)),
        (-1e30, (0, 0, 0)),
        (0, (1, 0.5, np.log(2))),
        (25, (2**25, 1, 25)),
    ],
)
def test_special_values(x: float, wanted: tuple[float, float, float]) -> None:
    found = [float(values[0]) for values in _values(np.array([x], np.float32))]
    np.testing.assert_allclose(found, wanted, rtol=2 * EXP2_ERROR)
