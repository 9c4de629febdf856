"""Predicts memory and time of a run from shapes alone, and lowers the plan until it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import psutil
import torch

from umamba import nn
from umamba.errors import InputError
from umamba.inference.device import Device
from umamba.inference.predictor import tiling_for
from umamba.inference.preprocessing import Layout
from umamba.inference.request import GIGABYTE, Request
from umamba.inference.runplan import RunPlan
from umamba.inference.speed import measure_speed
from umamba.inference.trace import TileCost, trace_tile
from umamba.models.model import Model

FLOAT = 4

# What the process grows by beside arrays: compiled kernels, library buffers, the allocator's slack.
RUNTIME_BYTES = 220_000_000
# A resampling keeps the source, the result and intermediate axes: so many times the larger of both.
RESAMPLING_FACTOR = 1.3


@dataclass(frozen=True)
class Stage:
    """One network of a run: the model, and the grid it sees."""

    model: Model
    layout: Layout


def make_plan(
    stages: Sequence[Stage],
    request: Request,
    device: Device,
    folds: Sequence[Sequence[str]],
    mirror_axes: Sequence[Sequence[int]],
    output_bytes: int,
    loaded: bool = False,
    backend: str = "",
) -> RunPlan:
    """The plan of a run whose image is already in memory.

    Args:
        stages: One entry, or two for a cascade.
        request: The options.
        device: Where it will run.
        folds, mirror_axes: Per stage.
        output_bytes: Arrays on the image's grid that the run makes (labels and what else was asked for).
        loaded: Whether the weights are in memory already.
        backend: Name of the selective scan's backend.

    Raises:
        InputError: `request.max_memory_bytes`, or all memory of this computer, is below what the least
            plan needs.
    """
    notes = [device.note] if device.note and request.device == "auto" else []
    computer = psutil.virtual_memory().total + psutil.swap_memory().total
    limit = min(request.max_memory_bytes or computer, computer)
    plan = None
    for one_at_a_time in (False, True):
        if one_at_a_time and max(len(entry) for entry in folds) == 1:
            break
        plan = _predict(
            stages, request, device, folds, mirror_axes, output_bytes, loaded, backend, one_at_a_time
        )
        if plan.peak_ram_bytes <= limit:
            if one_at_a_time:
                bound = "this computer's memory" if limit == computer else "--max-memory"
                notes.append(f"one fold in memory at a time, to stay within {bound}")
            return replace(plan, notes=tuple(notes))
    assert plan is not None
    if limit == computer:
        raise InputError(
            f"this run needs at least {_gigabytes(plan.peak_ram_bytes)} GB of memory, this computer has "
            f"{_gigabytes(computer)} GB; cut a region of interest, or check the image's spacing"
        )
    raise InputError(
        f"max_memory: {_gigabytes(limit)} GB is too little; this run needs at least "
        f"{_gigabytes(plan.peak_ram_bytes)} GB (a region of interest would lower that)"
    )


def _predict(
    stages: Sequence[Stage],
    request: Request,
    device: Device,
    folds: Sequence[Sequence[str]],
    mirror_axes: Sequence[Sequence[int]],
    output_bytes: int,
    loaded: bool,
    backend: str,
    one_at_a_time: bool,
) -> RunPlan:
    speed = measure_speed(device.torch)
    resident = psutil.Process().memory_info().rss + RUNTIME_BYTES + output_bytes
    ram: dict[str, int] = {}
    gpu = tiles = 0
    seconds = 0.0
    for stage, stage_folds, axes in zip(stages, folds, mirror_axes, strict=True):
        configuration = stage.model.configuration
        tiling = tiling_for(stage.layout.shape, configuration, request.step)
        cost = tile_cost(stage.model)
        kept = 1 if one_at_a_time else len(stage_folds)
        weights = 0 if loaded else weight_bytes(stage.model) * kept
        slab = _slab_bytes(stage, tiling.patch[0])
        sizes = _array_bytes(stage)
        on_device = weights + cost.peak_bytes + slab
        if device.torch.type == "cuda":
            gpu = max(gpu, on_device)
            work = sizes["network input"] + _plane_bytes(stage) + weight_bytes(stage.model)
        else:
            work = on_device + sizes["network input"] + _plane_bytes(stage)
        parts = {"preprocessing": sizes["preprocessing"], "prediction": work}
        if max(parts.values()) > max(ram.values(), default=0):
            ram = {**parts, "network": cost.peak_bytes, "weights": weights, "sums": slab}
        passes = len(stage_folds) * 2 ** len(axes)
        tiles += tiling.tiles
        seconds += speed.preprocess_seconds(sizes["crop voxels"]) + speed.export_seconds(
            sizes["crop voxels"], stage.model.dataset.labels.heads
        )
        seconds += tiling.tiles * passes * speed.tile_seconds(cost)
    peak = resident + max(ram["preprocessing"], ram["prediction"])
    last = stages[-1].model.configuration
    return RunPlan(
        model=stages[-1].model.card.id,
        device=str(device.torch),
        device_name=device.name,
        backend=backend,
        tiles=tiles,
        patch_size=last.patch_size,
        batch=1,
        precision="float32",
        folds=tuple(folds[-1]),
        mirror=bool(mirror_axes[-1]),
        step=request.step,
        peak_ram_bytes=int(peak),
        peak_gpu_bytes=int(gpu),
        seconds=seconds,
        one_fold_at_a_time=one_at_a_time,
        parts={
            "already resident": int(resident - RUNTIME_BYTES - output_bytes),
            "output": output_bytes,
            **ram,
        },
    )


def tile_cost(model: Model) -> TileCost:
    """Cost of one tile of a model's network, traced once for each model folder."""
    cost: TileCost = _traced(_Traceable(model))
    return cost


def weight_bytes(model: Model) -> int:
    """Size of one fold's weights in float32."""
    network = _meta_network(_Traceable(model))
    return sum(parameter.numel() for parameter in network.parameters()) * FLOAT


class _Traceable:
    """Makes a model hashable by its folder and configuration, for the caches below."""

    def __init__(self, model: Model) -> None:
        self.model = model
        # The hashes too: another model may have taken the folder's name.
        files = tuple(sorted(model.card.files.values()))
        self.key = (str(model.folder), model.configuration.name, model.card.network.class_, files)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Traceable) and self.key == other.key


@lru_cache(maxsize=16)
def _meta_network(traceable: _Traceable) -> torch.nn.Module:
    model = traceable.model
    with torch.device("meta"):
        return nn.build(
            model.configuration,
            input_channels(model),
            model.dataset.labels.heads,
            network=model.card.network.class_,
            generation=model.card.network.generation or "current",
            deep_supervision=False,
        ).eval()


@lru_cache(maxsize=16)
def _traced(traceable: _Traceable) -> TileCost:
    model = traceable.model
    return trace_tile(_meta_network(traceable), input_channels(model), model.configuration.patch_size)


def input_channels(model: Model) -> int:
    """Channels of the network's input, those of a cascade's previous stage included."""
    extra = len(model.dataset.labels.values) if model.configuration.previous_stage else 0
    return len(model.dataset.channel_names) + extra


def _slab_bytes(stage: Stage, depth: int) -> int:
    """Sums of logits and of weights, as deep as one window."""
    _, rows, columns = stage.layout.shape
    patch = stage.model.configuration.patch_size[-2:]
    plane = max(rows, patch[0]) * max(columns, patch[1])
    return (stage.model.dataset.labels.heads + 1) * depth * plane * FLOAT


def _plane_bytes(stage: Stage) -> int:
    """Finished planes on their way to the image's grid."""
    _, rows, columns = stage.layout.shape
    return 4 * stage.model.dataset.labels.heads * rows * columns * FLOAT


def _array_bytes(stage: Stage) -> dict[str, int]:
    layout, model = stage.layout, stage.model
    crop = int(np.prod(layout.crop_shape, dtype=np.int64))
    net = int(np.prod(layout.shape, dtype=np.int64))
    channels = input_channels(model)
    resampling = 0 if layout.shape == layout.crop_shape else int(RESAMPLING_FACTOR * max(crop, net))
    return {
        "crop voxels": crop,
        "network input": channels * net * FLOAT,
        "preprocessing": (channels * net + crop + resampling) * FLOAT + 2 * crop,
    }


def _gigabytes(count: int) -> str:
    return f"{count / GIGABYTE:.2f}"
