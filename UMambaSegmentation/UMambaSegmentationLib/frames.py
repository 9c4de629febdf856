"""One run over a sequence: each frame of a volume becomes a frame of a segmentation."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.client.job import JobError
from UMambaSegmentationLib.computation import Computation
from UMambaSegmentationLib.logs import log
from UMambaSegmentationLib.run import EventCallback, Run
from UMambaSegmentationLib.run_options import RunOptions
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.regions import region_options
from UMambaSegmentationLib.scene.segmentations import frame_result
from UMambaSegmentationLib.scene.sequences import Frames, FrameWriter, frames_of

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.engine import Engine


class FrameSegmentation(Run):
    """A run over all frames. The scene sees nothing of it before the last is done."""

    def __init__(
        self, *, callback: EventCallback | None = None, on_end: Callable[[Any], None] | None = None
    ) -> None:
        """Make a run that has not begun.

        Args:
            callback: Gets the engine's events, with `frame` (from 0) and `frames`.
            on_end: Called once, with this object, at the end.
        """
        super().__init__(callback=callback, on_end=on_end)
        self._index = 0

    def start(
        self,
        engine: Engine,
        volumes: Sequence[slicer.vtkMRMLVolumeNode | None],
        card: Card,
        *,
        region: slicer.vtkMRMLNode | None = None,
        options: RunOptions | None = None,
    ) -> None:
        """Hand the first frame to the engine.

        Args:
            engine: Computes.
            volumes: The nodes that show the sequences, one for each channel; one that belongs to no sequence
                counts for every frame.
            card: The model.
            region: As for a single volume; the same for each frame.
            options: How to run. An uncertainty volume is not made.

        Raises:
            SceneError: No sequence, or the nodes do not fit the model, each other, or the region.
        """
        if card.source == "available":
            raise SceneError(_("Install the model first."))
        frames = frames_of(volumes[0]) if volumes else None
        if frames is None:
            raise SceneError(_("The volume belongs to no sequence; segment it as a single volume."))
        self._engine, self._card = engine, card
        self._options = replace(options or RunOptions(), uncertainty=False)
        self._kept = self._options.kept_values(card)
        self._region = region_options(region, volumes[0])
        self._channels = [
            (volume.GetID() if volume is not None else "", _alongside(volume, frames)) for volume in volumes
        ]
        self._frames, self._writer = frames, FrameWriter(frames)
        self._begin(volumes, self._frame)

    def _frame(self) -> Computation:
        """Compute the frame that is next."""
        volumes = [
            frames.node(self._index) if frames is not None else self._scene.GetNodeByID(node_id)
            for node_id, frames in self._channels
        ]
        return Computation(
            self._engine,
            self._card,
            volumes,
            self._region,
            self._options,
            on_event=self._tell_frame,
            on_end=self._computed,
        )

    def _tell_frame(self, event: dict[str, Any]) -> None:
        self._tell({**event, "frame": self._index, "frames": self._frames.count})

    def _computed(self, computation: Computation) -> None:
        """Keep the frame, and go on or end. A fault ends the run: it must not seem to go on for ever."""
        try:
            self._keep(computation)
            self._index += 1
            if self._index < self._frames.count:
                self._computation = self._frame()
                return
            self._result_id = self._writer.finish().GetID()
        except (JobError, SceneError) as error:
            self._fail(error)
        except Exception as error:  # a fault of ours
            log(traceback.format_exc())
            self._fail(error)
        else:
            self._end("done")

    def _keep(self, computation: Computation) -> None:
        if computation.error is not None:
            raise computation.error
        if not self._frames.exists:
            raise SceneError(_("The sequence was changed while the run went on; run again."))
        answer = computation.answer
        assert answer is not None
        frame = frame_result(
            answer.labels,
            self._frames.node(self._index),
            self._card,
            keep=self._kept,
            provenance=dict(answer.provenance),
        )
        self._writer.add(self._index, frame)
        self.warnings += [warning for warning in answer.warnings if warning not in self.warnings]


def _alongside(volume: slicer.vtkMRMLVolumeNode | None, first: Frames) -> Frames | None:
    """The frames of a channel that are played with those of the first; None for one that stands still."""
    frames = frames_of(volume)
    together = frames is not None and frames.browser == first.browser and frames.count == first.count
    return frames if together else None
