"""What a run is to those who started it: a state, a way to cancel and to wait, a node at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.client.job import JobError
from UMambaSegmentationLib.logs import log
from UMambaSegmentationLib.scene.errors import SceneError

if TYPE_CHECKING:
    from UMambaSegmentationLib.computation import Computation

State = Literal["waiting", "running", "done", "cancelled", "failed"]
EventCallback = Callable[[dict[str, Any]], None]


class Run:
    """A run in the background. It holds the IDs of nodes, not nodes: those may go while it computes.

    Attributes:
        state: "waiting", "running", "done", "cancelled" or "failed".
        error: Why it failed; its text is one sentence for a person.
        warnings: What was odd but could be dealt with, one sentence each.
    """

    def __init__(
        self, *, callback: EventCallback | None = None, on_end: Callable[[Any], None] | None = None
    ) -> None:
        """Make a run that has not begun.

        Args:
            callback: Gets the engine's events (docs/worker-protocol.md) while it runs.
            on_end: Called once, with this object, when it is done, cancelled or failed.
        """
        self.state: State = "waiting"
        self.error: Exception | None = None
        self.warnings: list[str] = []
        self._callback = callback
        self._on_end = on_end
        self._computation: Computation | None = None
        self._result_id = ""
        self._volume_ids: list[str] = []
        self._scene = slicer.mrmlScene
        self._observations: list[int] = []

    @property
    def node(self) -> Any:  # noqa: ANN401  (a segmentation, or of frames its proxy)
        """The result, or None: not there yet, or gone from the scene."""
        return self._scene.GetNodeByID(self._result_id) if self._result_id else None

    def cancel(self) -> None:
        """Stop; returns at once and leaves the scene as it was. Does nothing after the end."""
        if self.state == "running":
            self._stop_computing()
            self._end("cancelled")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long; the window stays alive.

        Returns:
            Whether it has ended. False as well if it waits for a person's answer.
        """
        limit = None if seconds is None else time.monotonic() + seconds
        while self.state == "running" and self._computation is not None:
            job = self._computation.job
            left = None if limit is None else max(limit - time.monotonic(), 0.0)
            if not job.wait(left) or (self._computation is not None and self._computation.job is job):
                break
        return self.state not in ("waiting", "running")

    def check(self) -> Any:  # noqa: ANN401
        """The result's node.

        Raises:
            JobError: The engine could not do it.
            SceneError: The run was cancelled, or the nodes do not allow it.
        """
        if self.state == "cancelled":
            raise SceneError(_("The run was cancelled; the scene is as it was."))
        if self.error is not None:
            raise self.error
        return self.node

    def _begin(
        self, volumes: Sequence[slicer.vtkMRMLVolumeNode | None], compute: Callable[[], Computation]
    ) -> None:
        """Compute; from here on the run ends by itself when the scene closes or a volume goes.

        If it cannot begin, what `compute` raises is raised, and nothing has happened.
        """
        self._computation = compute()
        self.state = "running"
        self._volume_ids = [volume.GetID() for volume in volumes if volume is not None]
        self._observations = [
            self._scene.AddObserver(self._scene.StartCloseEvent, lambda *_: self.cancel()),
            self._scene.AddObserver(self._scene.NodeRemovedEvent, lambda *_: self._look_for_volumes()),
        ]

    def _look_for_volumes(self) -> None:
        if not all(self._scene.GetNodeByID(volume_id) for volume_id in self._volume_ids):
            self._stop_computing()
            self._fail(SceneError(_("The volume was removed while the run went on; nothing was changed.")))

    def _stop_computing(self) -> None:
        computation, self._computation = self._computation, None
        if computation is not None:
            computation.cancel()

    def _tell(self, event: dict[str, Any]) -> None:
        if self._callback is not None:
            self._callback(event)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, JobError) and error.kind == "cancelled":  # the engine was closed
            self._end("cancelled")
        else:
            self.error = error
            self._end("failed")

    def _end(self, state: State) -> None:
        """Once: forget everything but the outcome, then tell."""
        if self.state != "running":
            return
        self.state = state
        self._computation = None
        for observation in self._observations:
            self._scene.RemoveObserver(observation)
        self._observations = []
        log(f"run {state}" + (f": {type(self.error).__name__}" if self.error is not None else ""))
        tell, self._on_end, self._callback = self._on_end, None, None
        if tell is not None:
            tell(self)
