"""What several Triton kernels compute: all in float32, NaN and infinities handed on as the formulas say."""

from __future__ import annotations

import triton.language as tl

from umamba.ops.triton_jit import kernel

LOG2_E = tl.constexpr(1.4426950408889634)


@kernel()
def sigmoid(x: tl.tensor) -> tl.tensor:
    """1 / (1 + e^-x): 0 and 1 where the power overflows or vanishes."""
    return 1.0 / (1.0 + tl.exp2(-x * LOG2_E))


@kernel()
def softplus(x: tl.tensor) -> tl.tensor:
    """ln(1 + e^x); from about 17 on equal to x, so PyTorch's threshold of 20 makes no difference.

    max(x, 0) + log1p(w) with w = e^-|x| <= 1; log1p(w) = 2 atanh(s) with s = w / (2 + w) <= 1/3, whose series
    leaves 2e-9 after its eighth term. (The logarithm of 1 + w would lose small w.)
    """
    w = tl.exp2(-tl.abs(x) * LOG2_E)
    s = w / (2.0 + w)
    q = s * s
    p = 1.0 / 13 + q * (1.0 / 15)
    p = 1.0 / 11 + q * p
    p = 1.0 / 9 + q * p
    p = 1.0 / 7 + q * p
    p = 1.0 / 5 + q * p
    p = 1.0 / 3 + q * p
    p = 1.0 + q * p
    return tl.where(x > 0, x, 0.0) + 2.0 * s * p


@kernel()
def silu_as_given(x: tl.tensor) -> tl.tensor:
    """x sigmoid(x), rounded to x's dtype as the published code rounds a gate; float32."""
    wide = x.to(tl.float32)
    return (wide * sigmoid(wide)).to(x.dtype).to(tl.float32)


@kernel()
def silu_slope(x: tl.tensor) -> tl.tensor:
    """The derivative of x sigmoid(x), for float32 x."""
    s = sigmoid(x)
    return s * (1.0 + x * (1.0 - s))
