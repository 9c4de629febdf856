"""The private folder of one run: the volume's and the result's arrays, which are patient data."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.scene.errors import SceneError

PREFIX = "umamba-panel-"
# A folder as old as this was left by a Slicer that crashed: no run takes two days.
STALE_SECONDS = 2 * 24 * 3600


class RunFolder:
    """A folder that only this user can read (mode 700). Whoever makes one removes it on every way out."""

    def __init__(self) -> None:
        """Make the folder.

        Raises:
            SceneError: The temporary folder cannot be written to.
        """
        parent = Path(slicer.app.temporaryPath)
        _remove_left_behind(parent)
        try:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            raise SceneError(
                _("The temporary folder cannot be written to ({reason}): make room on the disk.").format(
                    reason=error.strerror or error
                )
            ) from None

    def remove(self) -> None:
        """Remove the folder, or of it what nobody has open (Windows); may be called again."""
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_left_behind(parent: Path) -> None:
    with contextlib.suppress(OSError):
        for path in parent.glob(PREFIX + "*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
