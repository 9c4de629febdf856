"""What one bundled model is made of; each model's module beside this one has a `RECIPE`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umamba.training.dataset.raw import Case
from umamba.training.planning.options import PlanOptions
from umamba.training.schedule import Schedule

Scores = dict[str, float]


def hold_out(names: Iterable[str], count: int, seed: int) -> set[str]:
    """`count` of the sorted names, drawn with `seed`."""
    return set(random.Random(seed).sample(sorted(names), count))


def volumes(data: Path) -> list[Case]:
    """The labelled cases of a folder in nnU-Net's layout with one channel."""
    ending = ".nii.gz"
    return [
        Case(name, (data / "imagesTr" / f"{name}_0000{ending}",), data / "labelsTr" / f"{name}{ending}")
        for name in sorted(path.name.removesuffix(ending) for path in (data / "labelsTr").glob(f"*{ending}"))
    ]


def dice(found: np.ndarray, wanted: np.ndarray, case: Case, labels: Mapping[int, str]) -> Scores:
    """Dice of each label; a label that neither has counts as found."""
    scores = {}
    for value, key in labels.items():
        both = int(((found == value) & (wanted == value)).sum())
        sizes = int((found == value).sum() + (wanted == value).sum())
        scores[key] = 2 * both / sizes if sizes else 1.0
    return scores


@dataclass(frozen=True)
class Recipe:
    """Data, network and length of a training, and how its result is measured.

    Attributes:
        dataset: nnU-Net's name.
        description: dataset.json: channels, labels, file ending.
        cases: DATA and WORK (for what has to be converted) to all labelled cases.
        held_out: Names of cases to those that the training never sees.
        configuration, network: As for `umamba train`.
        options: What is chosen otherwise than nnU-Net plans.
        schedule: Length, seed and augmentation.
        repeats: How many times as often as others a case is drawn.
        reference: What a case is measured against; None: its label map.
        score: Figures of one case, by what they are of: (found, wanted, case, label keys by value).
        metric: What the figures are.
        has_mean: Whether the mean over a case's figures says something.
    """

    dataset: str
    description: Mapping[str, object]
    cases: Callable[[Path, Path], list[Case]]
    held_out: Callable[[Sequence[str]], set[str]]
    configuration: str
    network: str
    options: PlanOptions
    schedule: Schedule
    repeats: Callable[[str], int] = lambda name: 1
    reference: Callable[[Path, Case], Path] = lambda data, case: case.label
    score: Callable[[np.ndarray, np.ndarray, Case, Mapping[int, str]], Scores] = dice
    metric: str = "Dice"
    has_mean: bool = True

    def split(self, cases: Sequence[Case]) -> tuple[list[str], list[str]]:
        """Names to train on, each as often as it is drawn, and names held out."""
        names = [case.name for case in cases]
        held = self.held_out(names)
        training = [name for name in names if name not in held for _ in range(self.repeats(name))]
        return training, sorted(held)
