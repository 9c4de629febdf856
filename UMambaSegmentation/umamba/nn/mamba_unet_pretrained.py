"""Start values for a Mamba-UNet from a checkpoint of VMamba, by the published rule, and with a report.

The rule (Mamba-UNet's training script): what lies in stage i of the checkpoint's encoder is taken twice, for
the encoder's stage i and for the decoder's mirrored stage; what is there under its own name and shape is
copied, the rest keeps its start values. The script says nothing of what it left out; here it is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from umamba.errors import ModelError
from umamba.nn.keys import canonical_key
from umamba.nn.mamba_unet import MambaUNet
from umamba.nn.mamba_unet_keys import EMBEDDING, PREFIX, looks_like

_STAGE = re.compile(r"layers\.(\d+)")
_BLOCK = re.compile(r"layers\.\d+\.blocks\.\d+\.self_attention\.A_logs")
_HEAD = "output"


@dataclass(frozen=True)
class Report:
    """What a network took from a checkpoint. Names are those inside the network.

    Attributes:
        taken: Tensor of the network and the checkpoint's that it was copied from.
        missing: Tensors of the network for which the checkpoint has none.
        misfits: Tensors of the network for which the checkpoint's has another shape, and that shape.
        unused: Tensors of the checkpoint that went nowhere.
        taken_parameters, parameters: Numbers copied, and all numbers of the network.
    """

    taken: Mapping[str, str]
    missing: tuple[str, ...]
    misfits: Mapping[str, tuple[int, ...]]
    unused: tuple[str, ...]
    taken_parameters: int
    parameters: int

    def lines(self) -> list[str]:
        """The report for a person."""
        total = len(self.taken) + len(self.missing) + len(self.misfits)
        found = [
            f"start values: {len(self.taken)} of {total} tensors ({self.taken_parameters:,} of "
            f"{self.parameters:,} parameters) are taken from the checkpoint"
        ]
        for what, names in (
            ("not in the checkpoint", self.missing),
            ("of another shape there", tuple(self.misfits)),
            ("in the checkpoint and not used", self.unused),
        ):
            if names:
                found.append(f"{what}: {len(names)} ({', '.join(_summary(names))})")
        return found


@torch.no_grad()
def load_vmamba(network: MambaUNet, state: Mapping[str, Tensor]) -> Report:
    """Copy a VMamba classifier's weights, or another Mamba-UNet's but for its output layer, into `network`.

    Args:
        network: Changed in place; on any device.
        state: The checkpoint's tensors (of a file with the entry "model" what lies in that), with any one
            prefix before all keys.

    Raises:
        ModelError: Not one tensor fits; the error says what the checkpoint looks like.
    """
    source = _inner_names(state)
    offered = _offered(source, len(network.mamba_unet.layers))
    wanted = {name.removeprefix(PREFIX): tensor for name, tensor in network.state_dict().items()}
    taken, misfits = {}, {}
    for name, tensor in wanted.items():
        if name not in offered:
            continue
        found = source[offered[name]]
        if found.shape == tensor.shape and found.is_floating_point():
            taken[name] = offered[name]
        else:
            misfits[name] = tuple(found.shape)
    if not taken:
        raise ModelError(
            "the checkpoint has no tensor that fits: it looks like "
            f"{looks_like(list(source))}; a VMamba classifier of the first generation is wanted"
        )
    for name, origin in taken.items():
        wanted[name].copy_(source[origin])
    used = set(taken.values())
    return Report(
        taken=taken,
        missing=tuple(name for name in wanted if name not in offered),
        misfits=misfits,
        unused=tuple(name for name in source if name not in used),
        taken_parameters=sum(wanted[name].numel() for name in taken),
        parameters=sum(tensor.numel() for tensor in wanted.values()),
    )


def _inner_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by their names inside the network, without what stands before all of them."""
    named = {canonical_key(key): tensor for key, tensor in state.items()}
    prefix = next((key.removesuffix(EMBEDDING) for key in named if key.endswith(EMBEDDING)), "")
    found = {key.removeprefix(prefix): tensor for key, tensor in named.items()}
    if not any(_BLOCK.fullmatch(name) for name in found):
        raise ModelError(
            f"the checkpoint is of no VMamba that fits: it looks like {looks_like(list(found))}; a VMamba "
            "classifier of the first generation is wanted"
        )
    return found


def _offered(source: Mapping[str, Tensor], stages: int) -> dict[str, str]:
    """Name in the network for each tensor of the checkpoint that could go there."""
    if any(name.startswith("layers_up.") for name in source):  # a whole Mamba-UNet: all but the classes
        return {name: name for name in source if _HEAD not in name}
    offered = {name: name for name in source}
    for name in source:
        match = _STAGE.search(name)
        if match:
            offered[f"layers_up.{stages - 1 - int(match[1])}{name[match.end() :]}"] = name
    return offered


def _summary(names: tuple[str, ...]) -> list[str]:
    """Modules in the place of their tensors, each once."""
    return list(dict.fromkeys(_module(name) for name in names))


def _module(name: str) -> str:
    parts = name.split(".")
    depth = 4 if "blocks" in parts else 3 if parts[0].startswith(("layers", "concat")) else 1
    return ".".join(parts[: min(depth, len(parts) - 1)] or parts)
