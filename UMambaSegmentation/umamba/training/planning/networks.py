"""The networks that can be trained, by the names that people type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from umamba.errors import InputError

CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres")
LOWRES, CASCADE = "3d_lowres", "3d_cascade_fullres"


@dataclass(frozen=True)
class NetworkChoice:
    """One row of the table.

    Attributes:
        name: What a person types.
        class_path: The class that the plans name; nnU-Net's trainer imports it, this engine looks it up.
        plans_name: Name of its plans, the same whichever dataset.
        planner: Whose rules plan it: "u-mamba" (nnU-Net's of version 2.1, as the paper used them),
            "nnunet" (those of today), "resenc" (nnU-Net's for residual encoders, size M), "mamba-unet"
            (those of today, on sides that its tokens divide) or "mamba-unet-paper" (fixed, as published).
        takes_patch_size: Whether the class is built for one patch size and wants it as an argument.
        configuration: What is trained where nothing else is asked for.
    """

    name: str
    class_path: str
    plans_name: str
    planner: Literal["u-mamba", "nnunet", "resenc", "mamba-unet", "mamba-unet-paper"]
    takes_patch_size: bool = False
    configuration: str = "3d_fullres"


_PUBLISHED = "dynamic_network_architectures.architectures.unet"
_ROWS = (
    NetworkChoice("umamba-bot", "umamba.nn.UMambaBot", "UMambaBotPlans", "u-mamba"),
    NetworkChoice("umamba-enc", "umamba.nn.UMambaEnc", "UMambaEncPlans", "u-mamba", takes_patch_size=True),
    NetworkChoice("nnunet", f"{_PUBLISHED}.PlainConvUNet", "nnUNetPlans", "nnunet"),
    NetworkChoice("nnunet-resenc", f"{_PUBLISHED}.ResidualEncoderUNet", "nnUNetResEncUNetMPlans", "resenc"),
    NetworkChoice("mamba-unet", "umamba.nn.MambaUNet", "MambaUNetPlans", "mamba-unet", configuration="2d"),
)
NETWORKS: Mapping[str, NetworkChoice] = MappingProxyType({row.name: row for row in _ROWS})


def network_choice(name: str) -> NetworkChoice:
    """The row of a name.

    Raises:
        InputError: There is none.
    """
    if name not in NETWORKS:
        raise InputError(f"the network {name[:80]!r} is not known; {', '.join(NETWORKS)} are")
    return NETWORKS[name]


def check_configuration(name: str) -> None:
    """Refuse what is none of nnU-Net's configurations.

    Raises:
        InputError: It is not.
    """
    if name not in CONFIGURATIONS:
        raise InputError(f"the configuration {name[:80]!r} is not known; {', '.join(CONFIGURATIONS)} are")
