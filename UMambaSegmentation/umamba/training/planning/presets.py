"""Published trainings by name: a network with its own rules for everything, in the place of nnU-Net's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from umamba.errors import InputError
from umamba.training.planning.networks import NETWORKS, NetworkChoice, network_choice

# Mamba-UNet (arXiv 2402.05079) as its code trains it: 10,000 steps, validated after every 200.
PAPER_STEPS, PAPER_STEPS_PER_VALIDATION = 10_000, 200
PAPER_SIDE, PAPER_BATCH = 224, 24
# How plans call the preparation of its cases (`mamba_unet.cases`), so that they are stored apart.
PREPROCESSOR = "WholeVolumeTo01"


@dataclass(frozen=True)
class Preset:
    """One published training.

    Attributes:
        name: What a person types.
        choice: Network, plans and whose rules make them.
        trainer: Class of the trainer; the results' folder begins with it.
        settings: What differs from the defaults, by the names of `settings.Settings`.
    """

    name: str
    choice: NetworkChoice
    trainer: str
    settings: Mapping[str, Any]


_PAPER = Preset(
    "mamba-unet-paper",
    NetworkChoice(
        "mamba-unet",
        NETWORKS["mamba-unet"].class_path,
        "MambaUNetPaperPlans",
        "mamba-unet-paper",
        configuration="2d",
    ),
    "UMambaTrainerMambaUNetPaper",
    MappingProxyType(
        {
            "epochs": PAPER_STEPS // PAPER_STEPS_PER_VALIDATION,
            "steps": PAPER_STEPS_PER_VALIDATION,
            "precision": "float32",
        }
    ),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({_PAPER.name: _PAPER})


def preset_of(name: str) -> Preset:
    """The preset of a name.

    Raises:
        InputError: There is none.
    """
    if name not in PRESETS:
        raise InputError(f"the preset {name[:80]!r} is not known; {', '.join(PRESETS)} is")
    return PRESETS[name]


def choice_of(network: str, preset: str | None) -> NetworkChoice:
    """The row of a network, or of a preset with that network.

    Raises:
        InputError: There is none.
    """
    return network_choice(network) if preset is None else preset_of(preset).choice


def defaults(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that go with a network or preset, for those that were not asked for.

    Args:
        asked: By the names of `settings.Settings`.

    Raises:
        InputError: What was asked for contradicts the preset.
    """
    if asked.get("preset") is None:
        network = NETWORKS.get(asked.get("network", ""))
        return {} if network is None else {"configuration": network.configuration}
    preset = preset_of(asked["preset"])
    fixed = {"network": preset.choice.name, "configuration": preset.choice.configuration}
    for name, value in fixed.items():
        if asked.get(name, value) != value:
            raise InputError(
                f"--preset {preset.name} is a training of --{name} {value}, --{name} {asked[name]} found; "
                "leave one of the two away"
            )
    return fixed | dict(preset.settings)
