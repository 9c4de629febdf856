"""The largest resident memory that this process has had."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_resident_bytes() -> int:
    """Peak resident memory of this process alone, in bytes.

    On Linux `ru_maxrss` of a child starts at what its parent had when it was started, so that a small program
    seems large when a large one started it. The kernel's own mark for this program (VmHWM) does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
