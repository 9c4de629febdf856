"""Settings of the worker's process that must be made before PyTorch is loaded."""

from __future__ import annotations

import ctypes
import os
import sys

# Of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Maps of a common tile lie below the first and are taken from the heap; what is free at the heap's end goes
# back to the system beyond the second.
_MAPPED_FROM_BYTES = 32 * 2**20
_KEPT_FREE_BYTES = 128 * 2**20


def settle() -> None:
    """Make this process a good neighbour of 3D Slicer's, which draws on the same cores, and a quick one.

    OpenMP's threads sleep while they have nothing to do. By default they spin, and on a core that another
    program wants too they burn its turn and then miss the start of the next loop (measured beside one busy
    program on two cores: five times as long for a whole run).

    The memory of a tile's maps is kept for the next tile. By default glibc gives it back and takes it again,
    page by page, some 5000 times a tile (measured: a tenth of the time).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (AttributeError, OSError):  # another C library than glibc
            return
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
