"""heart-cine-lv: the left ventricle's cavity on short-axis cine MR.

DATA is the Sunnybrook Cardiac Data in nnU-Net's layout: imagesTr/<patient>_<ED or ES>_0000.nii.gz and
labelsTr/<patient>_<ED or ES>.nii.gz.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipe import Recipe, hold_out, volumes

from umamba.training import Schedule
from umamba.training.dataset.raw import Case
from umamba.training.planning.options import PlanOptions

HELD_OUT = 7  # patients, with both phases
SEED = 27


def patient(name: str) -> str:
    """The patient of a case: its name without the phase."""
    return name.rpartition("_")[0]


def held_out(names: Sequence[str]) -> set[str]:
    """Whole patients."""
    patients = hold_out({patient(name) for name in names}, HELD_OUT, SEED)
    return {name for name in names if patient(name) in patients}


def cases(data: Path, work: Path) -> list[Case]:
    """All labelled cases."""
    return volumes(data)


RECIPE = Recipe(
    dataset="Dataset027_CardiacCineLV",
    description={
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "LV_cavity": 1},
        "file_ending": ".nii.gz",
    },
    cases=cases,
    held_out=held_out,
    configuration="2d",
    network="umamba-enc",
    options=PlanOptions(batch_size=8, base_features=16, most_features=128, patch_size=(160, 160)),
    schedule=Schedule(epochs=40, steps=50, validation_steps=4, seed=SEED),
)
