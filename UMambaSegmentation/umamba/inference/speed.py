"""How fast this computer is, measured in a fraction of a second and only when a plan needs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import torch
from torch import nn

from umamba.inference.trace import TileCost
from umamba.nn import lean

# Seconds for one voxel of the image and one class in the export, and for one voxel in preprocessing, on
# one core of a common processor; small beside the network, so a constant will do.
EXPORT_SECONDS = 1.5e-9
PREPROCESS_SECONDS = 6e-8
# Seconds for one state of the selective scan (token x channel x state), per kind of device.
SCAN_SECONDS = {"cpu": 0.9e-9, "cuda": 1.0e-11}
REPEATS = 3
SLOPE = 0.01


@dataclass(frozen=True)
class Speed:
    """Rates of a device.

    Attributes:
        flops: Multiplications and additions a second, in convolutions of a common shape.
        traffic: Bytes a second of tensors made by normalisation and activation.
        scan_seconds: For one state element.
    """

    flops: float
    traffic: float
    scan_seconds: float

    def tile_seconds(self, cost: TileCost) -> float:
        """Expected time of one forward pass."""
        return (
            cost.flops / self.flops
            + cost.traffic_bytes / self.traffic
            + cost.scan_elements * self.scan_seconds
        )

    def preprocess_seconds(self, voxels: int) -> float:
        """Expected time to crop, normalise and resample so many voxels."""
        return voxels * PREPROCESS_SECONDS

    def export_seconds(self, voxels: int, classes: int) -> float:
        """Expected time to bring logits back to so many voxels of the image."""
        return voxels * classes * EXPORT_SECONDS


@lru_cache(maxsize=8)
def measure_speed(device: torch.device) -> Speed:
    """Time one convolution and one normalisation, as the networks run them (under half a second)."""
    with torch.inference_mode():
        conv = nn.Conv3d(32, 32, 3, padding=1, device=device).eval()
        norm = nn.InstanceNorm3d(32, affine=True, device=device).eval()
        x = torch.zeros((1, 32, 16, 64, 64), device=device)
        if lean.has_fast_path(x):
            x = lean.channels_last(x)
        seconds = _time(lambda: lean.convolve(conv, x), device)
        flops = 2 * conv.weight.numel() * x[0, 0].numel()
        plain = _time(lambda: lean.normalize(norm, x, SLOPE), device)
    bytes_made = x.numel() * 4
    scan = SCAN_SECONDS.get(device.type, SCAN_SECONDS["cpu"])
    return Speed(flops / seconds, bytes_made / plain, scan)


def _time(action: Callable[[], torch.Tensor], device: torch.device) -> float:
    action()
    times = []
    for _ in range(REPEATS):
        _wait(device)
        start = time.perf_counter()
        action()
        _wait(device)
        times.append(time.perf_counter() - start)
    return max(median(times), 1e-7)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
