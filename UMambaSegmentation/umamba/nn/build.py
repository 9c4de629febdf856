"""From plans to a network: the classes by name, and nothing else by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from umamba.errors import ModelError
from umamba.nn.mamba_unet import MambaUNet
from umamba.nn.network import Network
from umamba.nn.operators import Arguments
from umamba.nn.umamba import CURRENT, GENERATIONS, UMambaBot, UMambaEnc
from umamba.nn.unet import PlainConvUNet, ResidualEncoderUNet
from umamba.ops.caches import house_torch_cache
from umamba.plans import (
    NETWORK_CLASSES,
    Architecture,
    Configuration,
    Dataset,
    Plans,
    parse_dataset,
    parse_plans,
)
from umamba.plans.architecture import BOT, ENC, MAMBA_UNET, PLAIN, RESIDUAL
from umamba.plans.mamba_unet import arguments_of, default_sizes

# nnU-Net's largest preset has some 10^8; plans that ask for more than this would fill the memory.
MAX_PARAMETERS = 2 * 10**9


def build_network(
    plans: Plans | Mapping[str, Any],
    configuration: str,
    dataset: Dataset | Mapping[str, Any],
    *,
    network: str | None = None,
    generation: str = CURRENT,
    deep_supervision: bool = False,
) -> Network:
    """Build the network of a configuration, with fresh start values.

    Args:
        plans: A decoded plans.json of either format, or the typed object.
        configuration: Its name, for example "3d_fullres".
        dataset: A decoded dataset.json, or the typed object.
        network: The class; None takes the one that the plans name. (U-Mamba's own plans all name
            PlainConvUNet: there the trainer's name decides.) MambaUNet for plans of another class has the
            published sizes, over three axes those that go with the plans' strides.
        generation: "current" or "legacy", for U-Mamba's classes. Plans that name such a class may say it
            themselves, and then decide.
        deep_supervision: Whether the network gives a list of logits, full resolution first.

    Raises:
        ModelError: Unknown class or configuration, or plans that are wrong. Nothing is imported by name.
    """
    typed_plans = plans if isinstance(plans, Plans) else parse_plans(plans)
    typed_dataset = dataset if isinstance(dataset, Dataset) else parse_dataset(dataset)
    entry = typed_plans.configuration(configuration)
    return build(
        entry,
        input_channels(entry, typed_dataset),
        typed_dataset.labels.heads,
        network=network,
        generation=generation,
        deep_supervision=deep_supervision,
    )


def input_channels(configuration: Configuration, dataset: Dataset) -> int:
    """The image's channels; in a cascade one more for every foreground label of the stage before."""
    previous = len(dataset.labels.values) if configuration.previous_stage is not None else 0
    return len(dataset.channel_names) + previous


def build(
    configuration: Configuration,
    channels: int,
    heads: int,
    *,
    network: str | None = None,
    generation: str | None = CURRENT,
    deep_supervision: bool = False,
) -> Network:
    """As `build_network`, from a typed configuration and the numbers of input channels and outputs.

    Raises:
        ModelError: Unknown class or generation, or a network that cannot be.
    """
    house_torch_cache()
    architecture = configuration.architecture
    name = network or architecture.network_class
    if network is None:
        generation = architecture.generation or generation
    make = _constructor(name, generation or CURRENT, configuration)

    def construct() -> Network:
        return make(channels, heads, deep_supervision=deep_supervision)

    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in construct().parameters())
    if parameters > MAX_PARAMETERS:
        raise ModelError(f"the plans ask for a {name} of {parameters:.1e} parameters: beyond any real model")
    built = construct()
    built.apply(built.initialize)
    return built


def _constructor(name: str, generation: str, configuration: Configuration) -> Callable[..., Network]:
    """What makes the network from its numbers of channels and outputs."""
    architecture = configuration.architecture
    if name == MAMBA_UNET:
        sizes = architecture.mamba_unet or default_sizes(architecture.strides)
        return partial(MambaUNet, **arguments_of(sizes))
    if architecture.mamba_unet is not None and name in NETWORK_CLASSES:
        raise ModelError(f"the plans are those of a {MAMBA_UNET}; a {name} cannot be built from them")
    arguments = _arguments(architecture, configuration.axes)
    if name == PLAIN:
        return partial(PlainConvUNet, **arguments)
    if name == RESIDUAL:
        return partial(ResidualEncoderUNet, **arguments)
    if generation not in GENERATIONS:
        raise ModelError(
            f"the generation {str(generation)[:80]!r} is not known ({', '.join(GENERATIONS)} are)"
        )
    if name == BOT:
        return partial(UMambaBot, generation=generation, **arguments)
    if name == ENC:
        return partial(UMambaEnc, generation=generation, patch_size=configuration.patch_size, **arguments)
    known = ", ".join(NETWORK_CLASSES)
    raise ModelError(f"the network class {str(name)[:80]!r} cannot be built here ({known} can)")


def _arguments(architecture: Architecture, axes: int) -> Arguments:
    return Arguments(
        n_stages=architecture.stages,
        features_per_stage=architecture.features,
        conv_op={2: nn.Conv2d, 3: nn.Conv3d}[axes],
        kernel_sizes=architecture.kernels,
        strides=architecture.strides,
        n_conv_per_stage=architecture.encoder_blocks,
        n_conv_per_stage_decoder=architecture.decoder_blocks,
        conv_bias=architecture.conv_bias,
        norm_op={2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[axes],
        norm_op_kwargs={"eps": architecture.norm_eps, "affine": architecture.norm_affine},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"negative_slope": architecture.negative_slope},
    )
