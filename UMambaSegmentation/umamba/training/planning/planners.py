"""Whose rules plan a network, by the names of `networks.NetworkChoice.planner`."""

from __future__ import annotations

from umamba.training.planning.mamba_unet import MambaUNetPlanner, PaperPlanner
from umamba.training.planning.nnunet import PlainPlanner, Planning, ResidualPlanner, UMambaPlanner

PLANNERS: dict[str, type[Planning]] = {
    "u-mamba": UMambaPlanner,
    "nnunet": PlainPlanner,
    "resenc": ResidualPlanner,
    "mamba-unet": MambaUNetPlanner,
    "mamba-unet-paper": PaperPlanner,
}
