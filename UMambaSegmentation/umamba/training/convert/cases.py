"""What a converter finds in a published dataset, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from umamba.errors import InputError
from umamba.evaluation.pairs import some

TRAIN, VALIDATION, TEST = "train", "val", "test"
PARTS = (TRAIN, VALIDATION, TEST)


class CaseFiles(Protocol):
    """Where one case comes from, and how it becomes a pair of NIfTI files."""

    @property
    def labelled(self) -> bool:
        """Whether there is a label map."""

    def write(self, image: Path, label: Path, values: frozenset[int]) -> None:
        """Write the image, and the label map where there is one.

        Args:
            image, label: New files, .nii.gz.
            values: Those that the label map may hold.

        Raises:
            InputError: The source cannot be used, or a file cannot be written.
        """


@dataclass(frozen=True)
class PublishedCase:
    """One case of a published dataset.

    Attributes:
        name: As published.
        patient: Cases of one patient never go into two parts.
        part: One of `PARTS`.
        files: Where it comes from.
    """

    name: str
    patient: str
    part: str
    files: CaseFiles


@dataclass(frozen=True)
class PublishedDataset:
    """All cases of a published dataset.

    Attributes:
        name: nnU-Net's name, unless the user gives another.
        description: One sentence for dataset.json.
        channel: The channel's name, which chooses nnU-Net's normalisation.
        labels: Name to value, with the background.
        cases: At most one of each name.
        notes: What the user must know of the result, one line each.
    """

    name: str
    description: str
    channel: str
    labels: Mapping[str, int]
    cases: Sequence[PublishedCase]
    notes: tuple[str, ...] = ()

    def of(self, *parts: str) -> list[PublishedCase]:
        """The cases of some parts, by name."""
        return sorted((case for case in self.cases if case.part in parts), key=lambda case: case.name)

    def check_parts(self) -> None:
        """Refuse a patient in two parts, and a dataset without anything to train on.

        Raises:
            InputError: As said.
        """
        parts: dict[str, set[str]] = {}
        for case in self.cases:
            parts.setdefault(case.patient, set()).add(case.part)
        if shared := sorted(patient for patient, found in parts.items() if len(found) > 1):
            named = " and ".join(part for part in PARTS if part in parts[shared[0]])
            raise InputError(
                f"{some(shared)}: images of one patient are in two parts ({named}); correct the lists, or a "
                "model is measured on patients that it has seen"
            )
        if not self.of(TRAIN):
            raise InputError(
                "there is no case to train on; put the training images where the layout has them"
            )
