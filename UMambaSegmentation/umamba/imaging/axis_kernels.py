"""Compiled inner loops of resampling: banded sums along an axis, and votes of labels."""

from __future__ import annotations

import numpy as np

from umamba.ops.numba_jit import kernel

# Inputs may be read-only arrays: memory-mapped files, views of an image library, shared operators.
_READ = "Array(float32, 2, 'C', readonly=True)"
_COMBINE = f"void({_READ}, Array(int32, 1, 'C', readonly=True), {_READ}, float32[:,::1])"
# Columns worked on at once: a block of a few hundred input rows stays in a core's own cache.
_BLOCK = 128
# Rows that are turned into columns at once, for sums along the last axis.
_ROWS = 64


@kernel(_COMBINE)
def combine_rows(source: np.ndarray, start: np.ndarray, weights: np.ndarray, target: np.ndarray) -> None:
    """target[j] = sum over t of weights[j, t] * source[start[j] + t].

    Args:
        source: (n, C) float32.
        start: (m,) int32.
        weights: (m, k) float32.
        target: (m, C) float32, overwritten.
    """
    columns = source.shape[1]
    outputs, taps = weights.shape
    total = np.empty(_BLOCK, dtype=np.float32)
    whole = taps - taps % 4
    for low in range(0, columns, _BLOCK):
        width = min(_BLOCK, columns - low)
        for j in range(outputs):
            first = start[j]
            total[:width] = 0
            for t in range(0, whole, 4):
                w0, w1, w2, w3 = weights[j, t], weights[j, t + 1], weights[j, t + 2], weights[j, t + 3]
                a = source[first + t, low : low + width]
                b = source[first + t + 1, low : low + width]
                c = source[first + t + 2, low : low + width]
                d = source[first + t + 3, low : low + width]
                for x in range(width):
                    total[x] += w0 * a[x] + w1 * b[x] + w2 * c[x] + w3 * d[x]
            for t in range(whole, taps):
                w0 = weights[j, t]
                a = source[first + t, low : low + width]
                for x in range(width):
                    total[x] += w0 * a[x]
            target[j, low : low + width] = total[:width]


@kernel(_COMBINE)
def combine_columns(source: np.ndarray, start: np.ndarray, weights: np.ndarray, target: np.ndarray) -> None:
    """target[r, j] = sum over t of weights[j, t] * source[r, start[j] + t].

    Args:
        source: (R, n) float32.
        start: (m,) int32.
        weights: (m, k) float32.
        target: (R, m) float32, overwritten.
    """
    rows, length = source.shape
    outputs, taps = weights.shape
    turned = np.empty((length, _ROWS), dtype=np.float32)
    total = np.empty((outputs, _ROWS), dtype=np.float32)
    for low in range(0, rows, _ROWS):
        height = min(_ROWS, rows - low)
        for r in range(height):
            for x in range(length):
                turned[x, r] = source[low + r, x]
        for j in range(outputs):
            first = start[j]
            sums = total[j]
            sums[:] = 0
            for t in range(taps):
                weight = weights[j, t]
                line = turned[first + t]
                for r in range(_ROWS):
                    sums[r] += weight * line[r]
        for r in range(height):
            for j in range(outputs):
                target[low + r, j] = total[j, r]
