"""One request to the engine: volumes in, arrays out. Knows nothing of the nodes that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.run_folder import RunFolder
from UMambaSegmentationLib.run_options import RunOptions
from UMambaSegmentationLib.scene.volumes import image_entries

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.engine import Engine
    from UMambaSegmentationLib.client.job import Job

Event = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the engine found.

    Attributes:
        labels: (K, J, I) unsigned integers on the first volume's grid.
        uncertainty: (K, J, I) float32, 0 to 1, if it was asked for.
        provenance: How the labels came about; plain values.
        warnings: What was odd but could be dealt with, one sentence each.
    """

    labels: np.ndarray
    uncertainty: np.ndarray | None
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...]


class Computation:
    """Writes the volumes into a private folder, asks the engine, reads its arrays, removes the folder."""

    def __init__(
        self,
        engine: Engine,
        card: Card,
        volumes: Sequence[slicer.vtkMRMLVolumeNode | None],
        region: Mapping[str, Any],
        options: RunOptions,
        *,
        on_event: Callable[[Event], None],
        on_end: Callable[[Computation], None],
    ) -> None:
        """Begin.

        Args:
            engine: Its process starts if need be.
            card: The model.
            volumes: One for each channel, in the card's order; None where the first has all channels.
            region: What `region_options` gives.
            options: How to run.
            on_event: Gets plan, progress and log events.
            on_end: Called once, in Slicer's thread, when `answer` or `error` is there; not after `cancel`.

        Raises:
            SceneError: A volume that cannot be segmented, or a temporary folder that cannot be written to.
        """
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self._on_event = on_event
        self._on_end: Callable[[Computation], None] | None = on_end
        self._folder = RunFolder()
        try:
            self.job: Job = engine.submit(
                "segment",
                on_event=self._pass_on,
                on_end=self._ended,
                images=image_entries(volumes, card, self._folder.path),
                model=str(card.folder),
                folder=str(self._folder.path),
                **region,
                **options.for_engine(),
            )
        except BaseException:
            self._folder.remove()
            raise

    def cancel(self) -> None:
        """Stop; returns at once. Nothing is heard of it any more."""
        self._on_end = None
        self.job.cancel()
        self._folder.remove()  # at once where that is possible; where open files stay (Windows), later
        self.job.on_release(lambda _job: self._folder.remove())

    def _pass_on(self, event: Event) -> None:
        if self._on_end is not None:
            self._on_event(event)

    def _ended(self, job: Job) -> None:
        if self._on_end is None:
            return
        tell, self._on_end = self._on_end, None
        try:
            self.answer = _read(job.check())
        except Exception as error:  # a JobError, or an answer that makes no sense: told to the person
            self.error = error
        finally:
            self._folder.remove()
        tell(self)


def _read(result: Mapping[str, Any]) -> Answer:
    """Take the arrays into memory: their files go before anybody looks at them."""
    arrays = {name: np.load(Path(path), allow_pickle=False) for name, path in result["arrays"].items()}
    return Answer(
        labels=arrays["labels"],
        uncertainty=arrays.get("uncertainty"),
        provenance=dict(result["provenance"]),
        warnings=tuple(result["warnings"]),
    )
