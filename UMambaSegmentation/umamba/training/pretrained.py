"""Weights of another model as the start of a training.

The convention of nnU-Net's fine-tuning: whatever has the same name and shape is taken, except the heads,
which belong to the other model's labels. Read through the safe reader; nothing in the file is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError

if TYPE_CHECKING:
    import torch

    from umamba.models.model import Model
    from umamba.plans import Configuration
    from umamba.training.trainer import UMambaTrainer

_HEADS = ".seg_layers."
_NAMED_KEYS = 2


def check_pretrained(model: str, plans: Mapping[str, Any], configuration: str) -> None:
    """Refuse a model that cannot be a start for this training, before anything is built.

    Raises:
        InputError: There is no such model, or it is of another network, number of axes or width.
    """
    _opened(model, plans, configuration)


def take_weights(trainer: UMambaTrainer, model: str) -> str:
    """Copy the weights that fit from a model into the trainer's fresh network.

    Args:
        trainer: After `initialize`.
        model: Id, model folder, nnU-Net results folder or checkpoint.

    Returns:
        What was taken and what was not, as a line for a person.

    Raises:
        InputError: As `check_pretrained`.
    """
    import torch

    from umamba.nn.keys import canonical_key

    opened = _opened(model, trainer.plans_manager.plans, trainer.configuration_name)
    weights = opened.weights(opened.folds[0])
    taken, left = set(), set()
    with torch.no_grad():
        for key, tensor in _module(trainer).state_dict().items():
            name = canonical_key(key)
            if _HEADS in name or name not in weights or weights[name].shape != tensor.shape:
                left.add(name)
            else:
                tensor.copy_(weights[name])  # a state dict's tensors are the network's own
                taken.add(name)
    others = sorted(name for name in left if _HEADS not in name)
    unlike = f" and {len(others)} of another shape ({_some(others)})" if others else ""
    heads = len(left) - len(others)
    return f"took {len(taken)} tensors of {opened.card.id}, but not its {heads} of the heads{unlike}"


def _module(trainer: UMambaTrainer) -> torch.nn.Module:
    network: torch.nn.Module = trainer.network
    return network.module if trainer.is_ddp else network  # type: ignore[return-value]


def _opened(model: str, plans: Mapping[str, Any], configuration: str) -> Model:
    from umamba import models
    from umamba.plans import parse_plans

    opened = models.get(model)
    wanted = parse_plans(plans).configuration(configuration)
    for what, found, needed in _aspects(opened, wanted):
        if found != needed:
            raise InputError(
                f"--pretrained {opened.card.id}: its {what} is {found}, this training's {needed}; "
                "give a model that was trained with the same network"
            )
    return opened


def _aspects(model: Model, wanted: Configuration) -> list[tuple[str, object, object]]:
    """What must be the same: (name, the model's, the training's)."""
    theirs, ours = model.configuration, wanted
    generation = model.card.network.generation
    return [
        ("network", model.card.network.class_, ours.architecture.network_class),
        ("dimension", f"{theirs.axes}D", f"{ours.axes}D"),
        ("generation", generation, ours.architecture.generation or (generation and "current")),
        ("width by stage", _by_stage(theirs.architecture.features), _by_stage(ours.architecture.features)),
    ]


def _by_stage(features: tuple[int, ...]) -> str:
    return ", ".join(map(str, features))


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED_KEYS]) + (", ..." if len(names) > _NAMED_KEYS else "")
