"""Compiled inner loops of the export: resample one plane of logits and take the winning label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit, prange


def mix_planes(planes: Sequence[np.ndarray], taps: np.ndarray) -> np.ndarray:
    """Weighted sum of neighbouring planes (K, Y, X) float32; the plane itself for a single whole tap."""
    if len(planes) == 1 and taps[0] == 1:
        return planes[0]
    mixed: np.ndarray = planes[0] * taps[0]
    for plane, tap in zip(planes[1:], taps[1:], strict=True):
        if tap:
            mixed += plane * tap
    return mixed


def all_finite(plane: np.ndarray) -> bool:
    """Whether no value is NaN or infinite (a NaN or infinity survives in the sum of absolute values)."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.abs(plane).sum(dtype=np.float64)))


@njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator]
def label_plane(
    logits: np.ndarray,
    row_start: np.ndarray,
    row_taps: np.ndarray,
    column_start: np.ndarray,
    column_taps: np.ndarray,
    region_order: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Resample (K, Y, X) logits in plane and write the labels of each row of the image.

    Without regions the first of the largest logits wins. With `region_order` (K values) every channel with
    a positive logit writes its value, later channels over earlier ones.
    """
    heads, _, width = logits.shape
    rows, columns = labels.shape
    for row in prange(rows):
        line = np.empty(width, dtype=np.float32)
        best = np.full(columns, -np.inf, dtype=np.float32)
        winner = np.zeros(columns, dtype=np.int32)
        for head in range(heads):
            _mix_rows(logits[head], row_start[row], row_taps[row], line)
            for column in range(columns):
                value = np.float32(0)
                first = column_start[column]
                for tap in range(column_taps.shape[1]):
                    value += column_taps[column, tap] * line[first + tap]
                if region_order.shape[0] > 0:
                    if value > 0:
                        winner[column] = region_order[head]
                elif value > best[column]:
                    best[column] = value
                    winner[column] = head
        for column in range(columns):
            labels[row, column] = winner[column]


@njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator]
def resample_plane(
    logits: np.ndarray,
    row_start: np.ndarray,
    row_taps: np.ndarray,
    column_start: np.ndarray,
    column_taps: np.ndarray,
    out: np.ndarray,
) -> None:
    """Resample (K, Y, X) float32 in plane into `out` (K, rows, columns)."""
    heads, rows, columns = out.shape
    width = logits.shape[2]
    for row in prange(rows):
        line = np.empty(width, dtype=np.float32)
        for head in range(heads):
            _mix_rows(logits[head], row_start[row], row_taps[row], line)
            for column in range(columns):
                value = np.float32(0)
                first = column_start[column]
                for tap in range(column_taps.shape[1]):
                    value += column_taps[column, tap] * line[first + tap]
                out[head, row, column] = value


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mix_rows(plane: np.ndarray, first: int, taps: np.ndarray, line: np.ndarray) -> None:
    """Weighted sum of `len(taps)` rows of a plane, starting at row `first`."""
    for column in range(line.shape[0]):
        value = np.float32(0)
        for tap in range(taps.shape[0]):
            value += taps[tap] * plane[first + tap, column]
        line[column] = value
