"""hippocampus-mr: the anterior and the posterior part of one hippocampus on T1-weighted MR.

DATA is the training part of the Medical Segmentation Decathlon's Task04_Hippocampus in nnU-Net's layout:
imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz. All crops show the same side: mirroring in the training
covers the other.
"""

from __future__ import annotations

from pathlib import Path

from recipe import Recipe, hold_out, volumes

from umamba.training import Schedule
from umamba.training.dataset.raw import Case
from umamba.training.planning.options import PlanOptions

HELD_OUT = 40
SEED = 8
LEFT_RIGHT = (2,)  # the arrays are (Z, Y, X): a mirrored right hippocampus is a left one


def cases(data: Path, work: Path) -> list[Case]:
    """All labelled cases."""
    return volumes(data)


RECIPE = Recipe(
    dataset="Dataset004_Hippocampus",
    description={
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        "file_ending": ".nii.gz",
    },
    cases=cases,
    held_out=lambda names: hold_out(names, HELD_OUT, SEED),
    configuration="3d_fullres",
    network="umamba-bot",
    options=PlanOptions(batch_size=4, base_features=16, most_features=128),
    schedule=Schedule(epochs=60, steps=50, validation_steps=4, seed=SEED, mirror_axes=LEFT_RIGHT),
)
