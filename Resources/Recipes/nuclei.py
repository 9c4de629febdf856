"""nuclei: every nucleus of a fluorescence image or of stained tissue.

DATA holds fluorescence/ and stained/, each with images/<case>.png and instances/<case>.tif, in which every
nucleus has a number (2018 Data Science Bowl, BBBC038). As in U-Mamba's work on cells, the network learns two
classes, interior and boundary; all images become three-channel PNGs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from recipe import Recipe, Scores, hold_out

from umamba.evaluation.objects import match
from umamba.training import Schedule
from umamba.training.dataset.raw import Case
from umamba.training.planning.options import PlanOptions

INTERIOR, BOUNDARY = 1, 2
HELD_OUT = {"fluorescence": 40, "stained": 10}
SEED = 28
STAINED = "stained"
STAINED_REPEATS = 3  # there are five times as many fluorescence images, and the stained ones are harder
LEAST_IOU = 0.5


def classes_of(instances: np.ndarray) -> np.ndarray:
    """Interior and boundary of numbered objects, (Y, X) uint8.

    A boundary pixel is an object's that touches another object or the background, corners included.
    """
    height, width = instances.shape
    padded = np.pad(instances, 1, mode="edge")
    edge = np.zeros(instances.shape, dtype=bool)
    for down, right in np.ndindex(3, 3):
        edge |= padded[down : down + height, right : right + width] != instances
    return np.where(instances > 0, np.where(edge, BOUNDARY, INTERIOR), 0).astype(np.uint8)


def kind(name: str) -> str:
    """ "fluorescence" or "stained", with which the cases' names begin."""
    return name.partition("_")[0]


def cases(data: Path, work: Path) -> list[Case]:
    """All images, converted where they are not yet."""
    import tifffile
    from PIL import Image

    images, labels = work / "converted" / "images", work / "converted" / "labels"
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    found = []
    for group in HELD_OUT:
        for source in sorted((data / group / "images").glob("*.png")):
            name = f"{group}_{source.stem}"
            case = Case(name, (images / f"{name}_0000.png",), labels / f"{name}.png")
            if not case.label.exists():
                Image.open(source).convert("RGB").save(case.images[0])
                instances = tifffile.imread(data / group / "instances" / f"{source.stem}.tif")
                Image.fromarray(classes_of(instances)).save(case.label)
            found.append(case)
    return found


def held_out(names: Sequence[str]) -> set[str]:
    """So many of each kind."""
    groups = {group: [name for name in names if kind(name) == group] for group in HELD_OUT}
    return set().union(*(hold_out(groups[group], count, SEED) for group, count in HELD_OUT.items()))


def instances_of(data: Path, case: Case) -> Path:
    """The numbered nuclei of a case."""
    group = kind(case.name)
    return data / group / "instances" / f"{case.name.removeprefix(f'{group}_')}.tif"


def f1(found: np.ndarray, wanted: np.ndarray, case: Case, labels: Mapping[int, str]) -> Scores:
    """F1 of nuclei."""
    return {f"nuclei, {kind(case.name)}": float(match(wanted, found, LEAST_IOU).scores()["F1"] or 0.0)}


RECIPE = Recipe(
    dataset="Dataset028_Nuclei",
    description={
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "interior": INTERIOR, "boundary": BOUNDARY},
        "file_ending": ".png",
    },
    cases=cases,
    held_out=held_out,
    configuration="2d",
    network="umamba-enc",
    options=PlanOptions(batch_size=8, base_features=16, most_features=128, patch_size=(160, 160)),
    schedule=Schedule(epochs=50, steps=50, validation_steps=4, seed=SEED),
    repeats=lambda name: STAINED_REPEATS if kind(name) == STAINED else 1,
    reference=instances_of,
    score=f1,
    metric=f"F1 at IoU {LEAST_IOU}",
    has_mean=False,
)
