"""Weights of another model as the start of a training.

The convention of nnU-Net's fine-tuning: whatever has the same name and shape is taken, except the heads,
which belong to the other model's labels. A Mamba-UNet begins by the rule of its own code, for which a
checkpoint of VMamba will do. Read through the safe reader; nothing in the file is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError
from umamba.evaluation.pairs import counted
from umamba.models.results import BARE_SUFFIX
from umamba.plans.architecture import MAMBA_UNET

if TYPE_CHECKING:
    import torch

    from umamba.models.model import Model
    from umamba.plans import Configuration
    from umamba.training.trainer import UMambaTrainer

_HEADS = ".seg_layers."
_NAMED_KEYS = 2
_EMBEDDING = "patch_embed.proj.weight"


def check_given(model: str, network: str) -> None:
    """Refuse what is no model, before the dataset is looked at.

    Args:
        model: Id, folder or file.
        network: Name of the network that shall begin with it.

    Raises:
        InputError: There is no such model, and no checkpoint of VMamba where that would do.
    """
    from umamba import models
    from umamba.training.planning.networks import network_choice

    if not network_choice(network).class_path.endswith(MAMBA_UNET) or _bare(model) is None:
        models.get(model)


def lasting_name(model: str) -> str:
    """The model, named so that it is found from any folder: by id if it is installed, else by path."""
    from umamba.models import store

    if Path(model).name == model and store.contains(model):
        return model
    return str(Path(model).absolute())


def check_pretrained(model: str, plans: Mapping[str, Any], configuration: str) -> None:
    """Refuse a model that cannot be a start for this training, before anything is built.

    Raises:
        InputError: There is no such model, or it is of another network, number of axes or width.
    """
    if not _is_mamba_unet(plans, configuration):
        _opened(model, plans, configuration)
        return
    from umamba.nn import build
    from umamba.nn.mamba_unet_pretrained import load_vmamba
    from umamba.plans import parse_plans

    state = _state(model, plans, configuration)
    network: Any = build(parse_plans(plans).configuration(configuration), 1, 2)
    load_vmamba(network, state)  # raises where nothing fits


def take_weights(trainer: UMambaTrainer, model: str) -> str:
    """Copy the weights that fit from a model into the trainer's fresh network.

    Args:
        trainer: After `initialize`.
        model: Id, model folder, nnU-Net results folder or checkpoint; for a Mamba-UNet also a bare state
            dict, of VMamba for example.

    Returns:
        What was taken and what was not, as a line for a person.

    Raises:
        InputError: As `check_pretrained`.
    """
    import torch

    from umamba.nn.keys import canonical_key

    plans, configuration = trainer.plans_manager.plans, trainer.configuration_name
    if _is_mamba_unet(plans, configuration):
        from umamba.nn.mamba_unet_pretrained import load_vmamba

        return "; ".join(load_vmamba(_module(trainer), _state(model, plans, configuration)).lines())
    opened = _opened(model, plans, configuration)
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
    return (
        f"took {counted(len(taken), 'tensor')} of {opened.card.id}, but not the {heads} of its heads{unlike}"
    )


def _module(trainer: UMambaTrainer) -> Any:  # noqa: ANN401
    """The network, out of what averages its gradients over several processes."""
    return trainer.network.module if trainer.is_ddp else trainer.network


def _is_mamba_unet(plans: Mapping[str, Any], configuration: str) -> bool:
    from umamba.plans import parse_plans

    architecture = parse_plans(plans).configuration(configuration).architecture
    return architecture.network_class == MAMBA_UNET


def _bare(model: str) -> dict[str, torch.Tensor] | None:
    """The tensors of a file that holds a state dict; None for anything else, a whole model for example.

    Raises:
        ModelError: The file is unsafe or damaged, or its tensors cannot be used.
    """
    from umamba.models.checkpoint import read_state_dict
    from umamba.models.mamba_unet_bare import load_state_dict

    path = Path(model)
    if path.suffix != BARE_SUFFIX or not path.is_file() or read_state_dict(path) is None:
        return None
    return load_state_dict(path)


def _state(model: str, plans: Mapping[str, Any], configuration: str) -> Mapping[str, torch.Tensor]:
    """The weights that a Mamba-UNet begins with.

    Raises:
        InputError: They are of no model, of another network or of another width.
    """
    from umamba.plans import parse_plans

    bare = _bare(model)
    if bare is None:
        opened = _opened(model, plans, configuration)
        return opened.weights(opened.folds[0])
    wanted = parse_plans(plans).configuration(configuration).architecture.features[0]
    widths = [len(tensor) for key, tensor in bare.items() if key.endswith(_EMBEDDING)]
    if not widths:
        raise InputError(
            f"--pretrained {Path(model).name}: has no tensor {_EMBEDDING}, which a VMamba and a {MAMBA_UNET} "
            "have; give a checkpoint of one of them"
        )
    if widths[0] != wanted:
        raise InputError(
            f"--pretrained {Path(model).name}: its first stage has {widths[0]} channels, this training's "
            f"{wanted}; take --features {widths[0]}"
        )
    return bare


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
