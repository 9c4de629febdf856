"""A model that can be run: card, plans, and its weights when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from umamba.errors import ModelError
from umamba.models.advice import GET_AGAIN, advising
from umamba.models.card import Card
from umamba.plans import Configuration, Dataset, Plans

if TYPE_CHECKING:
    import torch

Arrays = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with all that a run needs to know; nothing is on a device yet.

    Attributes:
        card: Its card; for a results folder that was not imported, one made from its files.
        plans, dataset, configuration: nnU-Net's, typed.
        folds: Names of the folds that a run averages: the numbered ones, else ("all",).
        mirror_axes: Network axes that the training allowed to mirror; empty for none.
        folder: Where it lies.
        previous: The first stage of a cascade, or None.
        read_fold: Gives the weights of a fold one by one, checked.
    """

    card: Card
    plans: Plans
    dataset: Dataset
    configuration: Configuration
    folds: tuple[str, ...]
    mirror_axes: tuple[int, ...]
    folder: Path
    previous: Model | None
    read_fold: Callable[[str], Arrays]

    @property
    def id(self) -> str:
        """The card's id."""
        return self.card.id

    def weights(self, fold: str) -> dict[str, torch.Tensor]:
        """The weights of a fold by their keys, each tensor once, float32 or float16 as stored.

        Raises:
            ModelError: There is no such fold, or its file is damaged.
        """
        import torch

        if fold not in self.folds:
            raise ModelError(f"model {self.card.id!r} has no fold {fold!r}; it has {', '.join(self.folds)}")
        return {key: torch.from_numpy(array) for key, array in self.read_fold(fold)}

    def network(
        self, fold: str, device: str | torch.device = "cpu", deep_supervision: bool = False
    ) -> torch.nn.Module:
        """Build the network of a fold in evaluation mode, float32.

        Raises:
            ModelError: The weights are damaged or do not fit.
        """
        import torch

        from umamba import nn

        weights = self.weights(fold)
        with torch.device("meta"):
            network = nn.build(
                self.configuration,
                nn.input_channels(self.configuration, self.dataset),
                self.dataset.labels.heads,
                network=self.card.network.class_,
                generation=self.card.network.generation,
                deep_supervision=deep_supervision,
            )
        with advising(GET_AGAIN):
            nn.load_weights(network, weights)
        return network.to(device).eval()
