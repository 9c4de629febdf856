"""What a run would take, asked of the engine before it is started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import slicer

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.run_folder import RunFolder
from UMambaSegmentationLib.run_options import RunOptions
from UMambaSegmentationLib.scene.regions import region_options
from UMambaSegmentationLib.scene.volumes import image_entries

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.engine import Engine
    from UMambaSegmentationLib.client.job import Job


def start_plan(
    engine: Engine,
    card: Card,
    volumes: Sequence[slicer.vtkMRMLVolumeNode | None],
    region: slicer.vtkMRMLNode | None,
    options: RunOptions,
    on_end: Callable[[Job], None] | None = None,
) -> Job:
    """Ask for the plan of a run: its job ends with the event `plan` of docs/worker-protocol.md.

    Raises:
        SceneError: The nodes do not fit the model, each other, or the region.
    """
    options.kept_values(card)
    box = region_options(region, volumes[0])
    folder = RunFolder()
    try:
        job = engine.submit(
            "plan",
            on_end=on_end,
            images=image_entries(volumes, card, folder.path),
            model=str(card.folder),
            **box,
            **options.for_engine(),
        )
    except BaseException:
        folder.remove()
        raise
    job.on_release(lambda _job: folder.remove())
    return job
