"""State-dict keys: one name for every tensor, and what the names tell of the network.

Published checkpoints hold most tensors twice or more: the decoder registers the encoder, and each
convolution with its normalisation appears again in a list `all_modules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umamba.errors import ModelError
from umamba.nn.mamba_unet_keys import axes_of
from umamba.nn.umamba import CURRENT, LEGACY
from umamba.plans.architecture import BOT, ENC, MAMBA_UNET, PLAIN, RESIDUAL

# Put before every key by parallel training and by compilation.
_WRAPPERS = ("module.", "_orig_mod.")
_NESTED_ENCODER = "decoder.encoder."
_MODULE_LIST = (".all_modules.0.", ".conv."), (".all_modules.1.", ".norm.")

_PLAIN_ENCODER = re.compile(r"encoder\.stages\.\d+\.0\.convs\.\d+\.conv\.weight")
_PLAIN_DECODER = re.compile(r"decoder\.stages\.\d+\.convs\.\d+\.conv\.weight")
_ENCODER_LAYER = re.compile(r"encoder\.mamba_layers\.\d+\.mamba\.A_log")
_LEGACY_STEM = "encoder.stem.convs.0.conv.weight"
_CURRENT_STEM = "encoder.stem.0.conv1.weight"
_FIRST_HEAD = "decoder.seg_layers.0.weight"
_AXES_OF_DIMENSIONS = {4: 2, 5: 3}


@dataclass(frozen=True)
class Identified:
    """A network as its keys tell it.

    Attributes:
        network: A name of `build_network`'s list.
        generation: "current" or "legacy" for U-Mamba's networks, else None.
        axes: 2 or 3.
    """

    network: str
    generation: str | None
    axes: int


def canonical_key(key: str) -> str:
    """The one name under which a tensor is kept here, whatever wrapper or duplicate the key is of."""
    while True:
        wrapper = next((wrapper for wrapper in _WRAPPERS if key.startswith(wrapper)), None)
        if wrapper is None:
            break
        key = key.removeprefix(wrapper)
    if key.startswith(_NESTED_ENCODER):
        key = key.removeprefix("decoder.")
    for alias, name in _MODULE_LIST:
        key = key.replace(alias, name)
    return key


def identify(shapes: Mapping[str, Sequence[int]]) -> Identified:
    """Tell network, generation and number of axes from keys and shapes of a state dict, duplicates or not.

    Raises:
        ModelError: The keys are of no network that is known here.
    """
    found = {canonical_key(key): tuple(shape) for key, shape in shapes.items()}
    flat_or_not = axes_of(found)
    if flat_or_not is not None:
        return Identified(MAMBA_UNET, None, flat_or_not)
    axes = _AXES_OF_DIMENSIONS.get(len(found.get(_FIRST_HEAD, ())))
    network, generation = _family(set(found))
    if axes is None or network is None:
        first = next(iter(sorted(found)), "none at all")
        raise ModelError(f"the weights are of no network that is known here (first key: {first[:80]!r})")
    return Identified(network, generation, axes)


def _family(keys: set[str]) -> tuple[str | None, str | None]:
    generation = LEGACY if _LEGACY_STEM in keys else CURRENT if _CURRENT_STEM in keys else None
    if "mamba_layer.mamba.A_log" in keys and generation == CURRENT:
        return BOT, CURRENT
    if {"mamba.A_log", "ln.weight"} <= keys and generation == LEGACY:
        return BOT, LEGACY
    if any(_ENCODER_LAYER.fullmatch(key) for key in keys):
        return (ENC, generation) if generation is not None else (None, None)
    if any(key.endswith("mamba.A_log") for key in keys):
        return None, None
    if not any(_PLAIN_DECODER.fullmatch(key) for key in keys):
        return None, None
    if generation == LEGACY:
        return RESIDUAL, None
    if any(_PLAIN_ENCODER.fullmatch(key) for key in keys) and generation is None:
        return PLAIN, None
    return None, None
