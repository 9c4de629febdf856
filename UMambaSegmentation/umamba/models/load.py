"""One call from a model's name to its network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from umamba.models.folder import get

if TYPE_CHECKING:
    import torch


def load_network(
    model: str | os.PathLike[str],
    fold: str | int | None = None,
    device: str | torch.device = "cpu",
    deep_supervision: bool = False,
) -> torch.nn.Module:
    """Build a model's network with the weights of one fold, in evaluation mode.

    Args:
        model: Id, model folder or results folder.
        fold: 0, "0", "all", ...; None takes the first.
        device: Where the network goes.
        deep_supervision: Whether it gives a list of logits, full resolution first.

    Raises:
        ModelError: No such model or fold, or a damaged one.
    """
    opened = get(model)
    name = opened.folds[0] if fold is None else str(fold)
    return opened.network(name, device=device, deep_supervision=deep_supervision)
