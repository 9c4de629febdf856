"""Exponentials for numba kernels that compile to vector instructions (libm's keep a loop scalar).

All float32. Every function hands NaN on as NaN and infinities to their limits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from umamba.ops.numba_jit import inlined

Float = Any  # float32, in and out of a kernel

ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
LOG2_E = np.float32(np.log2(np.e))
LN_2 = np.float32(np.log(2))

# Adding 1.5 * 2^23 rounds to the nearest integer and leaves that integer in the low bits.
_ROUNDER = np.float32(1.5 * 2**23)
# At these the power of two is exactly 0 and infinity.
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)


def _chebyshev(function: Any, degree: int, low: float, high: float) -> list[np.float32]:  # noqa: ANN401
    """Coefficients, lowest first, of the near-minimax polynomial of `function` on [low, high]."""
    middle, half = (low + high) / 2, (high - low) / 2
    series = np.polynomial.Chebyshev.interpolate(function, degree, domain=[low, high])
    assert middle - half == low
    return [np.float32(value) for value in series.convert(kind=np.polynomial.Polynomial).coef]


# 2^r for |r| <= 1/2: relative error 4e-9 before rounding.
_E0, _E1, _E2, _E3, _E4, _E5, _E6 = _chebyshev(np.exp2, 6, -0.5, 0.5)
# atanh(sqrt(q)) / sqrt(q) for q <= 1/9.
_T0, _T1, _T2, _T3, _T4, _T5 = _chebyshev(
    lambda q: np.where(q > 0, np.arctanh(np.sqrt(np.maximum(q, 1e-18))) / np.sqrt(np.maximum(q, 1e-18)), 1.0),
    5,
    0.0,
    1 / 9,
)


@intrinsic  # type: ignore[untyped-decorator]
def _power_of_two(typingctx: Any, rounded: Any) -> Any:  # noqa: ANN401
    """2^k for the integer k in the low bits of x + _ROUNDER, by writing k into the exponent's bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        integer = ir.IntType(32)
        bits = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, 23))
        return builder.bitcast(builder.add(bits, ir.Constant(integer, 127 << 23)), ir.FloatType())

    return types.float32(types.float32), build


@inlined()
def exp2(x: Float) -> Float:
    """2^x; 0 below -126.5 and infinity from 127.5. Relative error 1e-7."""
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    rounded = x + _ROUNDER
    r = x - (rounded - _ROUNDER)
    p = _E5 + r * _E6
    p = _E4 + r * p
    p = _E3 + r * p
    p = _E2 + r * p
    p = _E1 + r * p
    p = _E0 + r * p
    return p * _power_of_two(rounded)  # type: ignore[call-arg]


@inlined()
def sigmoid(x: Float) -> Float:
    """1 / (1 + e^-x), without overflow on either side."""
    w = exp2(-abs(x) * LOG2_E)
    top = ONE if x > ZERO else w
    return top / (ONE + w)


@inlined()
def softplus(x: Float) -> Float:
    """ln(1 + e^x); from about 17 on equal to x, so PyTorch's threshold of 20 makes no difference.

    max(x, 0) + log1p(w) with w = e^-|x|, and log1p(w) = 2 atanh(w / (2 + w)).
    """
    w = exp2(-abs(x) * LOG2_E)
    s = w / (TWO + w)
    q = s * s
    p = _T4 + q * _T5
    p = _T3 + q * p
    p = _T2 + q * p
    p = _T1 + q * p
    p = _T0 + q * p
    positive = x if x > ZERO else ZERO
    return positive + TWO * s * p
