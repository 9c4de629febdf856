"""Can weights be kept in half precision?"""

from __future__ import annotations

import numpy as np

from umamba.events import Monitor
from umamba.models.checkpoint import read_arrays
from umamba.models.results import Results

LARGEST = float(np.finfo(np.float16).max)


def too_large_for_half(results: Results, monitor: Monitor) -> str | None:
    """The first weight that float16 cannot hold, in words, or None.

    Raises:
        ModelError: A checkpoint is damaged, or holds NaN or infinity.
    """
    for fold, checkpoint in results.checkpoints.items():
        total = len(checkpoint.tensors)
        for done, (key, array) in enumerate(read_arrays(checkpoint)):
            monitor.step("check", done, total)
            largest = float(np.abs(array).max())
            if largest > LARGEST:
                return f"fold {fold}: {key} reaches {largest:.3g}, float16 ends at {LARGEST:.0f}"
    return None
