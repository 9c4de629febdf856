"""Compiled inner loops of the export: resample one plane of logits and take the winning label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umamba.imaging.axis_operator import AxisOperator
from umamba.ops.numba_jit import inlined, kernel
from umamba.ops.threads import run_rows

_PLANES = "Array(float32, 3, 'C', readonly=True)"
_OPERATOR = "Array(int32, 1, 'C', readonly=True), Array(float32, 2, 'C', readonly=True)"
_READ = f"{_PLANES}, {_OPERATOR}, {_OPERATOR}"


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


def label_plane(logits: np.ndarray, rows: AxisOperator, columns: AxisOperator) -> np.ndarray:
    """The first of the largest logits at each place of the image's plane, (rows, columns) uint16."""
    labels = np.empty((rows.m, columns.m), dtype=np.uint16)
    run_rows(_label_rows, (*_arguments(logits, rows, columns), labels), rows.m)
    return labels


def region_plane(logits: np.ndarray, rows: AxisOperator, columns: AxisOperator) -> np.ndarray:
    """Bit r is set where the logit of region r is positive, (rows, columns) uint64."""
    bits = np.empty((rows.m, columns.m), dtype=np.uint64)
    run_rows(_region_rows, (*_arguments(logits, rows, columns), bits), rows.m)
    return bits


def resample_plane(logits: np.ndarray, rows: AxisOperator, columns: AxisOperator) -> np.ndarray:
    """The logits themselves on the image's plane, (K, rows, columns) float32."""
    out = np.empty((logits.shape[0], rows.m, columns.m), dtype=np.float32)
    run_rows(_resample_rows, (*_arguments(logits, rows, columns), out), rows.m)
    return out


def _arguments(logits: np.ndarray, rows: AxisOperator, columns: AxisOperator) -> tuple[np.ndarray, ...]:
    return np.ascontiguousarray(logits), rows.start, rows.weights, columns.start, columns.weights


@inlined()
def _mix_rows(plane: np.ndarray, first: int, taps: np.ndarray, line: np.ndarray) -> None:
    """Weighted sum of `len(taps)` rows of a plane, starting at row `first`."""
    for column in range(line.shape[0]):
        value = np.float32(0)
        for tap in range(taps.shape[0]):
            value += taps[tap] * plane[first + tap, column]
        line[column] = value


@inlined()
def _value(line: np.ndarray, first: int, taps: np.ndarray) -> np.float32:
    """Weighted sum of `len(taps)` entries of a line, starting at `first`."""
    value = np.float32(0)
    for tap in range(taps.shape[0]):
        value += taps[tap] * line[first + tap]
    return value


@kernel(f"void({_READ}, uint16[:,::1], int64, int64)")
def _label_rows(
    logits: np.ndarray,
    row_start: np.ndarray,
    row_taps: np.ndarray,
    column_start: np.ndarray,
    column_taps: np.ndarray,
    labels: np.ndarray,
    begin: int,
    end: int,
) -> None:
    columns = labels.shape[1]
    line = np.empty(logits.shape[2], dtype=np.float32)
    best = np.empty(columns, dtype=np.float32)
    for row in range(begin, end):
        best[:] = -np.inf
        labels[row] = 0
        for head in range(logits.shape[0]):
            _mix_rows(logits[head], row_start[row], row_taps[row], line)
            for column in range(columns):
                value = _value(line, column_start[column], column_taps[column])
                if value > best[column]:
                    best[column] = value
                    labels[row, column] = head


@kernel(f"void({_READ}, uint64[:,::1], int64, int64)")
def _region_rows(
    logits: np.ndarray,
    row_start: np.ndarray,
    row_taps: np.ndarray,
    column_start: np.ndarray,
    column_taps: np.ndarray,
    bits: np.ndarray,
    begin: int,
    end: int,
) -> None:
    line = np.empty(logits.shape[2], dtype=np.float32)
    for row in range(begin, end):
        bits[row] = 0
        for head in range(logits.shape[0]):
            bit = np.uint64(1) << np.uint64(head)
            _mix_rows(logits[head], row_start[row], row_taps[row], line)
            for column in range(bits.shape[1]):
                if _value(line, column_start[column], column_taps[column]) > 0:
                    bits[row, column] |= bit


@kernel(f"void({_READ}, float32[:,:,::1], int64, int64)")
def _resample_rows(
    logits: np.ndarray,
    row_start: np.ndarray,
    row_taps: np.ndarray,
    column_start: np.ndarray,
    column_taps: np.ndarray,
    out: np.ndarray,
    begin: int,
    end: int,
) -> None:
    line = np.empty(logits.shape[2], dtype=np.float32)
    for row in range(begin, end):
        for head in range(logits.shape[0]):
            _mix_rows(logits[head], row_start[row], row_taps[row], line)
            for column in range(out.shape[2]):
                out[head, row, column] = _value(line, column_start[column], column_taps[column])
