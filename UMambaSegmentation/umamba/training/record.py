"""What a training notes of itself for the card of its model: steps of an epoch, and the machine's model."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from umamba.errors import InputError
from umamba.imaging.files import write_json
from umamba.models.facts import RECORD
from umamba.training.kept import load_kept

if TYPE_CHECKING:
    import torch

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_MODEL = "model name"


def write_record(folder: Path, steps_per_epoch: int, device: torch.device) -> None:
    """Write training.json for `umamba package`; a training that goes on elsewhere names both machines.

    Args:
        folder: fold_<n>.
        steps_per_epoch: Optimiser steps of an epoch.
        device: What it runs on; of several processes, each has one of the same kind.
    """
    from torch import distributed

    alike = distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
    path = folder / RECORD
    before = _machines(path) if path.is_file() else []
    name = f"{alike} x {machine(device)}" if alike > 1 else machine(device)
    machines = "; ".join(dict.fromkeys((*before, name)))
    write_json(path, {"steps_per_epoch": steps_per_epoch, "machine": machines}, overwrite=True)


def _machines(path: Path) -> list[str]:
    """Those that a training ran on before; none where the record is damaged."""
    try:
        return str(load_kept(path)["machine"]).split("; ")
    except (InputError, KeyError):
        return []


def machine(device: torch.device) -> str:
    """The model of the GPU or processor, never the computer's name."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    return f"CPU: {_processor()}"


def _processor() -> str:
    try:
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            title, _, name = line.partition(":")
            if title.strip() == _CPU_MODEL and name.strip():
                return name.strip()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()
