"""One run from image to result: prepare (read, orient, cut, plan), then compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from umamba.errors import InputError, ModelError
from umamba.events import Monitor
from umamba.inference.device import Device, choose_device
from umamba.inference.export import Sinks
from umamba.inference.grid import (
    UINT8_LARGEST,
    empty_probabilities,
    full_probabilities,
    keep_labels,
    output_bytes,
    region_of_interest,
    to_full_grid,
)
from umamba.inference.inputs import Channel, clean, load_channels, load_model
from umamba.inference.instances import number_instances
from umamba.inference.pipeline import crop, exporter, preprocess_cropped
from umamba.inference.planner import Stage, make_plan
from umamba.inference.plausibility import plausibility_warnings
from umamba.inference.predictor import tile_weights, tiling_for
from umamba.inference.preprocessing import Cropped, Layout
from umamba.inference.provenance import make_provenance
from umamba.inference.region import IndexBox
from umamba.inference.regions import bits_dtype, labels_of_regions
from umamba.inference.request import Request, choose_folds, choose_labels, choose_mirror_axes
from umamba.inference.result import Result
from umamba.inference.runplan import RunPlan
from umamba.inference.session import LoadedModel
from umamba.inference.slab import finished_planes
from umamba.models.model import Model


@dataclass(frozen=True)
class StageRun:
    """One network of the run with what was chosen for it."""

    loaded: LoadedModel
    cropped: Cropped
    folds: tuple[str, ...]
    mirror_axes: tuple[int, ...]

    @property
    def model(self) -> Model:
        """The stage's model."""
        return self.loaded.model

    @property
    def layout(self) -> Layout:
        """The stage's way from image to network."""
        return self.cropped.layout


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before the first tile.

    Attributes:
        stages: One, or two for a cascade (the low-resolution one first).
        channels: The channels in the model's orientation, whole.
        box: The region of interest, or None.
        kept: Label values to keep, or None for all.
        device, plan, request: Where, how, and what was asked.
        warnings: Lines for the person.
    """

    stages: tuple[StageRun, ...]
    channels: tuple[Channel, ...]
    box: IndexBox | None
    kept: frozenset[int] | None
    device: Device
    plan: RunPlan
    request: Request
    warnings: tuple[str, ...]

    @property
    def model(self) -> Model:
        """The model whose labels come out."""
        return self.stages[-1].model


def prepare(
    image: Any,  # noqa: ANN401
    model: str | Path | Model | LoadedModel,
    request: Request,
    monitor: Monitor,
    series: str | None = None,
) -> Prepared:
    """Check the request, read the image, bring it to the model's orientation, cut, and plan.

    Raises:
        InputError: The image, the model or an option is wrong.
    """
    loaded = model if isinstance(model, LoadedModel) else LoadedModel(load_model(model))
    chain = _chain(loaded)
    device = choose_device(request.device)
    folds = _folds(chain, request)
    axes = [choose_mirror_axes(entry.model, request.mirror) for entry in chain]
    kept = choose_labels(loaded.model, request.labels)
    monitor.step("read", 0, 1)
    with cpu_threads(request.threads):
        channels = tuple(load_channels(image, loaded.model, series, voxels=False))
        images = [channel.image for channel in channels]
        box = region_of_interest(images[0].geometry, loaded.model, request)
        cut = clean([box.cut(entry) for entry in images] if box is not None else images, loaded.model)
        monitor.step("read", 1, 1)
        stages = tuple(
            StageRun(entry, crop(cut, entry.model), chosen, mirror)
            for entry, chosen, mirror in zip(chain, folds, axes, strict=True)
        )
        plan = make_plan(
            [Stage(stage.model, stage.layout) for stage in stages],
            request,
            device,
            folds,
            axes,
            output_bytes(channels[0].original.geometry, cut[0].geometry, loaded.model, request),
            loaded=all(
                entry.is_loaded(chosen, device.torch) for entry, chosen in zip(chain, folds, strict=True)
            ),
            backend=_backend(loaded.model, device.torch),
        )
    bits_dtype(len(loaded.model.dataset.labels.regions))
    warnings = [line for entry in cut for line in entry.warnings]
    warnings += plausibility_warnings(cut, loaded.model)
    if request.mirror and not axes[-1]:
        warnings.append("mirror: the model was trained without mirroring; nothing is mirrored")
    return Prepared(stages, channels, box, kept, device, plan, request, tuple(dict.fromkeys(warnings)))


def run(prepared: Prepared, monitor: Monitor) -> Result:
    """Compute a prepared run; when memory runs out, lower the plan and go on, and say so.

    Raises:
        Cancelled: The caller asked to stop.
        ModelError: The network gave NaN or infinity.
        InputError: Not even the lowest plan fits into memory.
    """
    notes: list[str] = []
    with cpu_threads(prepared.request.threads):
        for attempt in _attempts(prepared):
            try:
                return _compute(attempt, monitor, notes)
            except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                notes.append(
                    f"out of memory with the plan for {attempt.plan.device_name}; a lower one was taken"
                )
                if attempt.device.torch.type == "cuda":
                    torch.cuda.empty_cache()
    raise InputError(
        "not enough memory for this run even with the lowest plan; cut a region of interest, or use a "
        "computer with more memory"
    )


@contextmanager
def cpu_threads(threads: int | None) -> Iterator[None]:
    """Limit PyTorch's threads (which the engine's own kernels follow) inside the block."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _compute(prepared: Prepared, monitor: Monitor, notes: Sequence[str]) -> Result:
    """The run's steps in order: each stage's labels, then back to the image's grid."""
    previous: np.ndarray | None = None
    extras: dict[str, np.ndarray] = {}
    for stage in prepared.stages:
        last = stage is prepared.stages[-1]
        previous, extras = _segment_stage(stage, prepared, monitor, previous, extras=last)
    assert previous is not None
    labels = previous
    classes = None
    instances = prepared.model.card.instances
    if instances is not None:
        classes = labels
        labels = number_instances(labels, instances)
    elif prepared.kept is not None and "regions" in extras:
        order = prepared.model.dataset.labels.regions_class_order
        for plane, bits in zip(labels, extras["regions"], strict=True):
            plane[...] = labels_of_regions(bits, order, prepared.kept)
    elif prepared.kept is not None:
        labels = keep_labels(labels, prepared.kept)
    warnings = (*prepared.warnings, *notes)
    channel, box = prepared.channels[0], prepared.box
    rules = prepared.model.dataset.labels
    return Result(
        labels=to_full_grid(labels, channel, box),
        image=channel.original,
        model=prepared.model.card,
        plan=prepared.plan,
        provenance=make_provenance(
            [stage.model for stage in prepared.stages],
            prepared.plan,
            prepared.request,
            warnings,
            monitor.stage_seconds,
        ),
        classes=None if classes is None else to_full_grid(classes, channel, box),
        uncertainty=to_full_grid(extras["uncertainty"], channel, box) if "uncertainty" in extras else None,
        probabilities=full_probabilities(extras["probabilities"], channel, box, rules.has_regions)
        if "probabilities" in extras
        else None,
        warnings=warnings,
        stage_seconds=dict(monitor.stage_seconds),
        regions=to_full_grid(extras["regions"], channel, box) if "regions" in extras else None,
        region_values=rules.regions_class_order,
        kept=prepared.kept,
    )


def _segment_stage(
    stage: StageRun, prepared: Prepared, monitor: Monitor, previous: np.ndarray | None, extras: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels (Z, Y, X) of one stage on the grid of the cut image, and what else was asked for."""
    model, layout, request = stage.model, stage.layout, prepared.request
    device = prepared.device.torch
    rules = model.dataset.labels
    ensemble = stage.loaded.ensemble(stage.folds, device, prepared.plan.one_fold_at_a_time)
    ensemble.load()
    data = preprocess_cropped(stage.cropped, model, monitor, previous, request.threads).data
    tiling = tiling_for(layout.shape, model.configuration, request.step)
    dtype = np.uint8 if rules.largest <= UINT8_LARGEST else np.uint16
    # Arrays in the image's axis order; the exporter writes through transposed views of their crops.
    image_shape = tuple(layout.image_shape[axis] for axis in model.plans.transpose_backward)
    labels = np.zeros(image_shape, dtype=dtype)
    wanted: dict[str, np.ndarray] = {}
    if extras and request.uncertainty:
        wanted["uncertainty"] = np.zeros(image_shape, dtype=np.float32)
    if extras and request.probabilities:
        wanted["probabilities"] = empty_probabilities(rules.heads, image_shape, rules.has_regions)
    if extras and rules.has_regions:
        wanted["regions"] = np.zeros(image_shape, dtype=bits_dtype(len(rules.regions)))

    def view(array: np.ndarray) -> np.ndarray:
        return array.transpose(layout.forward)[layout.crop_slices]

    sinks = Sinks(
        labels=view(labels),
        uncertainty=view(wanted["uncertainty"]) if "uncertainty" in wanted else None,
        probabilities=wanted["probabilities"].transpose(0, *(axis + 1 for axis in layout.forward))[
            (slice(None), *layout.crop_slices)
        ]
        if "probabilities" in wanted
        else None,
        regions=view(wanted["regions"]) if "regions" in wanted else None,
    )
    output = exporter(layout, model, sinks)
    monitor.step("predict", 0, tiling.tiles)
    planes = finished_planes(
        torch.from_numpy(data),
        tiling,
        tile_weights(tiling, device),
        rules.heads,
        lambda tile: ensemble.predict(tile, stage.mirror_axes),
        lambda done: monitor.step("predict", done, tiling.tiles),
    )
    for part in planes:
        output.add(part.cpu().numpy())
    return labels, wanted


def _chain(loaded: LoadedModel) -> list[LoadedModel]:
    """The models of a cascade in the order in which they run."""
    chain = [loaded]
    while chain[0].previous is not None:
        chain.insert(0, chain[0].previous)
        if chain[0].model.card.orientation != chain[1].model.card.orientation:
            raise ModelError(
                "the two stages of this cascade have different orientations; import them together"
            )
    if chain[0].model.configuration.previous_stage is not None:
        raise ModelError(
            f"model {chain[0].model.card.id!r} is the second stage of a cascade and its first stage is "
            "missing; import both from their dataset folder"
        )
    return chain


def _folds(chain: Sequence[LoadedModel], request: Request) -> list[tuple[str, ...]]:
    """Folds per stage: the asked ones for the last; earlier stages use the same where they have them."""
    chosen = [choose_folds(chain[-1].model, request.folds)]
    for loaded in chain[-2::-1]:
        shared = tuple(fold for fold in chosen[0] if fold in loaded.model.folds)
        chosen.insert(0, shared if request.folds != "all" and shared else loaded.model.folds)
    return chosen


def _backend(model: Model, device: torch.device) -> str:
    if not model.card.network.class_.startswith(("UMamba", "Mamba")):
        return ""
    from umamba import ops

    return ops.chosen(device, streamed=True)["selective_scan"]


def _attempts(prepared: Prepared) -> Iterator[Prepared]:
    """The plan as made, then lower ones: one fold in memory at a time, then the CPU."""
    yield prepared
    if not prepared.plan.one_fold_at_a_time and max(len(stage.folds) for stage in prepared.stages) > 1:
        yield replace(prepared, plan=replace(prepared.plan, one_fold_at_a_time=True))
    if prepared.device.torch.type != "cpu":
        cpu = choose_device("cpu")
        plan = replace(prepared.plan, device="cpu", device_name=cpu.name, peak_gpu_bytes=0)
        yield replace(prepared, device=cpu, plan=plan)


def _is_out_of_memory(error: BaseException) -> bool:
    """PyTorch reports a failed allocation on the CPU as a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text
