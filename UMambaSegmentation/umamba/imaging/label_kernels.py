"""Compiled inner loop of label resampling: the labels around a point vote for it."""

from __future__ import annotations

import numpy as np

from umamba.ops.numba_jit import kernel

_LABELS = "Array(int32, 3, 'C', readonly=True)"
_TAPS = "float64[::1], int32[:,::1], float64[:,::1], int32[:,::1], float64[:,::1]"
# A product that is added without rounding would break ties that scipy sees.
_EXACT: frozenset[str] = frozenset()
# A point has two neighbours on each of three axes.
_CORNERS = 8


@kernel(f"void({_LABELS}, {_TAPS}, int64, int32[::1], int32[::1], boolean, int32[:,::1])", _EXACT)
def vote_plane(
    planes: np.ndarray,
    plane_weights: np.ndarray,
    rows: np.ndarray,
    row_weights: np.ndarray,
    columns: np.ndarray,
    column_weights: np.ndarray,
    nearest_plane: int,
    nearest_row: np.ndarray,
    nearest_column: np.ndarray,
    threshold: bool,
    out: np.ndarray,
) -> None:
    """Linear interpolation of every label's indicator at once, for one plane of the output.

    Products and sums are float64 and run in scipy.ndimage.zoom's order (last axis fastest, weights of axis
    0, 1, 2 multiplied in turn), so that votes that tie there tie here.

    Args:
        planes: (2, Y, X) int32, the two input planes around the output plane.
        plane_weights: (2,) float64.
        rows, row_weights: (Y', 2), the two input rows around each output row, and their weights.
        columns, column_weights: (X', 2) likewise.
        nearest_plane: 0 or 1; nearest_row: (Y',); nearest_column: (X',): the nearest input sample.
        threshold: True: the largest label with at least half the votes, 0 if there is none. False: the label
            with the most votes; in a tie the nearest sample's label if it is among them, else the smallest.
        out: (Y', X') int32, overwritten.
    """
    labels = np.empty(_CORNERS, dtype=np.int32)
    votes = np.empty(_CORNERS, dtype=np.float64)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            found = 0
            for corner in range(_CORNERS):
                z, y, x = corner >> 2, (corner >> 1) & 1, corner & 1
                weight = plane_weights[z] * row_weights[row, y] * column_weights[column, x]
                if weight == 0:
                    continue
                label = planes[z, rows[row, y], columns[column, x]]
                at = 0
                while at < found and labels[at] != label:
                    at += 1
                if at == found:
                    labels[at], votes[at] = label, 0.0
                    found += 1
                votes[at] += weight
            winner, most = np.int32(0), 0.0
            if threshold:
                for at in range(found):
                    if votes[at] >= 0.5 and (most == 0 or labels[at] > winner):
                        winner, most = labels[at], 1.0
            else:
                near = planes[nearest_plane, nearest_row[row], nearest_column[column]]
                for at in range(found):
                    label, ties = labels[at], votes[at] == most and winner != near
                    if votes[at] > most or (ties and (label == near or label < winner)):
                        winner, most = label, votes[at]
            out[row, column] = winner
