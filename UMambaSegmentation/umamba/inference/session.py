"""A model whose networks stay in memory between runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from umamba.inference.predictor import Ensemble
from umamba.models.model import Model


class LoadedModel:
    """A model that keeps its networks loaded, for programs that run it again and again (the worker).

    Pass it to `umamba.segment` in the model's place.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.previous = LoadedModel(model.previous) if model.previous is not None else None
        self._ensembles: dict[tuple[tuple[str, ...], str], Ensemble] = {}

    def is_loaded(self, folds: Sequence[str], device: torch.device) -> bool:
        """Whether these folds are in memory on this device."""
        return (tuple(folds), str(device)) in self._ensembles

    def ensemble(self, folds: Sequence[str], device: torch.device, one_at_a_time: bool = False) -> Ensemble:
        """The folds on a device; one set is kept, another device or set of folds replaces it."""
        key = (tuple(folds), str(device))
        if one_at_a_time:
            self._ensembles.clear()
            return Ensemble(self.model, folds, device, one_at_a_time=True)
        if key not in self._ensembles:
            self._ensembles.clear()
            self._ensembles[key] = Ensemble(self.model, folds, device)
        return self._ensembles[key]
