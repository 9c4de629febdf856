"""Batches of Mamba-UNet's published training: shuffled slices, pass by pass, and whole volumes to validate.

Which slices a step sees, and how they are changed, follows from the seed and the step's number alone: a
training that goes on sees what it would have seen, however many processes load.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from umamba.training.mamba_unet.augment import bring_to, draw

_ORDER, _CHANGES = 0, 1  # what a generator is for


@dataclass(frozen=True)
class Case:
    """One stored case.

    Attributes:
        source: nnU-Net's dataset.
        name: In it.
    """

    source: Any
    name: str

    def arrays(self) -> tuple[Any, Any]:
        """Images (C, Z, Y, X) float32 and labels (1, Z, Y, X), read where they are indexed."""
        images, labels, *_ = self.source.load_case(self.name)
        return images, labels


def cases_of(source: Any) -> list[Case]:  # noqa: ANN401
    """The cases of nnU-Net's dataset, by name."""
    return [Case(source, str(name)) for name in sorted(source.identifiers)]


class SliceBatches(Dataset[dict[str, torch.Tensor]]):
    """The batch of each step: `data` (B, C, P, P) float32, `target` (B, 1, P, P) int16.

    Every pass takes all slices once, in an order of its own; its last batch may be short.
    """

    def __init__(self, cases: list[Case], batch: int, side: tuple[int, int], seed: int) -> None:
        self._cases, self._batch, self._side, self._seed = cases, batch, side, seed
        self._slices = [
            (number, index) for number, case in enumerate(cases) for index in range(case.arrays()[0].shape[1])
        ]
        self.steps_of_pass = math.ceil(len(self._slices) / batch)

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of a step, counted from 0 over the whole training."""
        number, place = divmod(step, self.steps_of_pass)
        order = self._generator(_ORDER, number).permutation(len(self._slices))
        chosen = order[place * self._batch : (place + 1) * self._batch]
        generator = self._generator(_CHANGES, step)
        images, labels = zip(*(self._slice(int(index), generator) for index in chosen), strict=True)
        return {"data": torch.from_numpy(np.stack(images)), "target": torch.from_numpy(np.stack(labels))}

    def _slice(self, index: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        case, plane = self._slices[index]
        images, labels = self._cases[case].arrays()
        change = draw(generator)
        return bring_to(change(images[:, plane]), self._side), bring_to(change(labels[:, plane]), self._side)

    def _generator(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, purpose, number))

    def from_step(self, first: int, steps: int, processes: int) -> Iterator[dict[str, torch.Tensor]]:
        """The batches of the steps from `first` to before `steps`, in their order."""
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, steps),  # type: ignore[arg-type]
            num_workers=processes,
            generator=torch.Generator().manual_seed(self._seed),
        )
        return iter(loader)


def volumes(cases: list[Case], side: tuple[int, int]) -> Iterator[dict[str, torch.Tensor]]:
    """Every case in turn, for ever.

    Yields:
        `data` (Z, C, P, P) float32 and `target` (Z, 1, P, P) at the network's size, `labels` (Z, Y, X) at
        the case's own.
    """
    while True:
        for case in cases:
            images, labels = (np.asarray(array[:]).swapaxes(0, 1) for array in case.arrays())
            yield {
                "data": torch.from_numpy(bring_to(images, side)),
                "target": torch.from_numpy(bring_to(labels, side)),
                "labels": torch.from_numpy(labels[:, 0].copy()),
            }
