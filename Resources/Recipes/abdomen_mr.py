"""abdomen-mr: liver, kidneys and spleen on T2-weighted MR.

DATA is the MR part (T2-SPIR) of CHAOS in nnU-Net's layout: imagesTr/<case>_0000.nii.gz,
labelsTr/<case>.nii.gz. Left and right are told apart by where an organ lies, so the training mirrors nothing.
"""

from __future__ import annotations

from pathlib import Path

from recipe import Recipe, hold_out, volumes

from umamba.training import Schedule
from umamba.training.dataset.raw import Case
from umamba.training.planning.options import PlanOptions

HELD_OUT = 3
SEED = 29


def cases(data: Path, work: Path) -> list[Case]:
    """All labelled cases."""
    return volumes(data)


RECIPE = Recipe(
    dataset="Dataset029_AbdomenMR",
    description={
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4},
        "file_ending": ".nii.gz",
    },
    cases=cases,
    held_out=lambda names: hold_out(names, HELD_OUT, SEED),
    configuration="2d",
    network="umamba-enc",
    options=PlanOptions(batch_size=8, base_features=16, most_features=128, patch_size=(192, 192)),
    schedule=Schedule(epochs=40, steps=50, validation_steps=4, seed=SEED, mirror_axes=()),
)
