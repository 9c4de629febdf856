"""A report of a segmentation: the engine draws the planes, the page is written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.client.job import JobError
from UMambaSegmentationLib.run_folder import RunFolder
from UMambaSegmentationLib.scene.edits import edited_segments
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.report import labels_of, write_html
from UMambaSegmentationLib.scene.segmentations import provenance_of
from UMambaSegmentationLib.scene.tables import segment_volumes
from UMambaSegmentationLib.scene.volumes import image_entry

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.engine import Engine
    from UMambaSegmentationLib.client.job import Job


class Report:
    """Writes one page. It shows the segments as they are when it is started, edited ones too."""

    def __init__(
        self,
        engine: Engine,
        node: slicer.vtkMRMLSegmentationNode,
        card: Card | None,
        file: Path,
        on_end: Callable[[str], None],
    ) -> None:
        """Begin.

        Args:
            engine: Draws the planes.
            node: The segmentation; its reference volume is what the contours are drawn on.
            card: The model's, or None where it is no longer installed.
            file: The page; an existing one is replaced.
            on_end: Called once with a sentence: written, or why not. Not after `cancel`.

        Raises:
            SceneError: There is nothing to show.
        """
        volume = node.GetNodeReference(
            slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        )
        if volume is None:
            raise SceneError(_("The segmentation's volume is gone: load it again."))
        self._file, self._card = file, card
        self._on_end: Callable[[str], None] | None = on_end
        self._rows = segment_volumes(node)
        self._edited = edited_segments(node)
        self._provenance = provenance_of(node)
        self._folder = RunFolder()
        try:
            labels, segments = labels_of(node, volume)
            array_file = self._folder.path / "labels.npy"
            np.save(array_file, labels, allow_pickle=False)
            self._picture = self._folder.path / "planes.png"
            self.job: Job = engine.submit(
                "preview",
                on_end=self._ended,
                images=[image_entry(volume, self._folder.path, "volume")],
                labels=str(array_file),
                segments=segments,
                file=str(self._picture),
            )
        except BaseException:
            self._folder.remove()
            raise

    def cancel(self) -> None:
        """Stop; nothing is written and nothing more is heard."""
        self._on_end = None
        self.job.cancel()
        self._folder.remove()
        self.job.on_release(lambda _job: self._folder.remove())

    def _ended(self, job: Job) -> None:
        if self._on_end is None:
            return
        tell, self._on_end = self._on_end, None
        try:
            job.check()
            write_html(self._file, self._picture, self._rows, self._card, self._provenance, self._edited)
        except (JobError, SceneError) as error:
            tell(str(error))
        else:
            tell(_("The report was written."))
        finally:
            self._folder.remove()
