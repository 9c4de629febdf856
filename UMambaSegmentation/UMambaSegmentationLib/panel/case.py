"""What the person has set up: everything that a run needs."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.run_options import RunOptions


@dataclass(frozen=True)
class Case:
    """The choices of all sections at one moment, and what is still missing.

    Attributes:
        missing: What the person should do before a run can begin; empty if nothing.
        needs_setup: Whether it is the engine that is missing.
        card: The model.
        volumes: One for each channel.
        region: A markups ROI, a point list, or None for the whole volume.
        output: A segmentation of the scene, or None for a new one.
        all_frames: Whether each frame of the volume's sequence is wanted.
        options: How to run.
    """

    missing: str
    needs_setup: bool
    card: Card | None
    volumes: tuple[slicer.vtkMRMLVolumeNode | None, ...]
    region: slicer.vtkMRMLNode | None
    output: slicer.vtkMRMLSegmentationNode | None
    all_frames: bool
    options: RunOptions
