"""Compiled inner loop of the crop: which background can be reached from outside."""

from __future__ import annotations

import numpy as np

from umamba.ops.numba_jit import inlined, kernel

FOREGROUND, HOLE, OUTSIDE = 0, 1, 2
# Places kept for later in the beginning; doubled whenever they do not suffice.
_FIRST_STACK = 4096


@inlined()
def _fill_run(line: np.ndarray, x: int) -> tuple[int, int]:
    """Fill the run of holes around x; half-open, empty when another run's neighbour filled it already."""
    low, high = x, x
    while high < line.shape[0] and line[high] == HOLE:
        line[high] = OUTSIDE
        high += 1
    if high > x:
        while low > 0 and line[low - 1] == HOLE:
            low -= 1
            line[low] = OUTSIDE
    return low, high


@inlined()
def _keep_runs(line: np.ndarray, low: int, high: int, offset: int, stack: np.ndarray, size: int) -> int:
    """Put the first voxel of each run of holes that begins or reaches into low..high on the stack."""
    before = False
    for x in range(low, high):
        hole = line[x] == HOLE
        if hole and not before:
            stack[size] = offset + x
            size += 1
        before = hole
    return size


@inlined()
def _fill(state: np.ndarray, stack: np.ndarray, seed: int) -> np.ndarray:
    """Fill all that is linked to one voxel; gives back the stack, which may have grown."""
    depth, rows, columns = state.shape
    stack[0] = seed
    size = 1
    while size > 0:
        size -= 1
        line, x = divmod(stack[size], columns)
        z, y = divmod(line, rows)
        low, high = _fill_run(state[z, y], x)
        most = size + 4 * ((high - low + 1) // 2)  # every second voxel may begin a run, in four lines
        if most > stack.shape[0]:
            grown = np.empty(2 * most, dtype=np.int64)
            grown[:size] = stack[:size]
            stack = grown
        if z > 0:
            size = _keep_runs(state[z - 1, y], low, high, (line - rows) * columns, stack, size)
        if z < depth - 1:
            size = _keep_runs(state[z + 1, y], low, high, (line + rows) * columns, stack, size)
        if y > 0:
            size = _keep_runs(state[z, y - 1], low, high, (line - 1) * columns, stack, size)
        if y < rows - 1:
            size = _keep_runs(state[z, y + 1], low, high, (line + 1) * columns, stack, size)
    return stack


@kernel("void(uint8[:,:,::1])")
def flood_from_border(state: np.ndarray) -> None:
    """Turn every HOLE of `state` (Z, Y, X) that the 6-neighbourhood links to the border into OUTSIDE.

    A whole run along x is filled at a time, then the runs that touch it in the four lines beside it are kept
    for later: time follows the number of voxels, memory the number of runs. (Half of the voxels 0 by chance,
    the worst found, take 3 bytes a voxel.)
    """
    depth, rows, columns = state.shape
    stack = np.empty(_FIRST_STACK, dtype=np.int64)
    for z in range(depth):
        for y in range(rows):
            face = z == 0 or z == depth - 1 or y == 0 or y == rows - 1
            step = 1 if face else max(columns - 1, 1)
            for x in range(0, columns, step):
                if state[z, y, x] == HOLE:
                    stack = _fill(state, stack, (z * rows + y) * columns + x)
