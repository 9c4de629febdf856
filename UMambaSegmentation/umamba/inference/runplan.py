"""What a run will take, said before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from umamba.inference.request import GIGABYTE


@dataclass(frozen=True)
class RunPlan:
    """Device, tiles, memory and time of a run, and what was lowered to fit and why.

    Attributes:
        model: Its id.
        device: "cpu", "cuda:0", ...
        device_name: What a person calls it.
        backend: Which selective scan runs ("" for a network without Mamba).
        tiles: Windows of all stages together.
        patch_size: Of the last stage, in voxels, in the network's axis order.
        batch: Windows in one forward pass.
        precision: Number type of network and sums.
        folds: Folds averaged.
        mirror: Whether test-time mirroring is on.
        step: Window distance as a fraction of the patch.
        peak_ram_bytes: Largest resident memory of the process.
        peak_gpu_bytes: Largest memory taken on the GPU, 0 on the CPU.
        seconds: Expected duration from now on.
        one_fold_at_a_time: Whether folds are read again for each tile to save memory.
        notes: What was lowered or passed over, and why.
        parts: Where the memory goes, bytes by name.
    """

    model: str
    device: str
    device_name: str
    backend: str
    tiles: int
    patch_size: tuple[int, ...]
    batch: int
    precision: str
    folds: tuple[str, ...]
    mirror: bool
    step: float
    peak_ram_bytes: int
    peak_gpu_bytes: int
    seconds: float
    one_fold_at_a_time: bool = False
    notes: tuple[str, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)

    def line(self) -> str:
        """One line for a person, such as "CPU, 2 threads, 1.2 GB, about 40 s"."""
        memory = f"{self.peak_ram_bytes / GIGABYTE:.1f} GB"
        if self.peak_gpu_bytes:
            memory = f"{self.peak_gpu_bytes / GIGABYTE:.1f} GB on the GPU, {memory} beside it"
        text = f"{self.device_name}, {memory}, about {human_seconds(self.seconds)}"
        return "; ".join((text, *self.notes))

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(self)
        values["notes"] = list(self.notes)
        values["parts"] = dict(self.parts)
        values["folds"] = list(self.folds)
        values["patch_size"] = list(self.patch_size)
        values["seconds"] = max(round(self.seconds, 1), 0.1)
        return values


def human_seconds(seconds: float) -> str:
    """A duration as a person would say it: "8 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
