"""Writing a trained configuration as a model folder.

What a run does not need stays behind: optimizer, logs, fingerprints, and every key of plans and dataset that
is not nnU-Net's own, such as lists of training images, which could name a patient.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from umamba.events import Monitor
from umamba.models.archive import writing
from umamba.models.card import CARD_FILE, Accuracy, Card, card_bytes
from umamba.models.checkpoint import STORED_TYPES, Checkpoint, read_arrays
from umamba.models.describe import describe
from umamba.models.edits import CardEdits, edited
from umamba.models.folder import DATASET, PLANS, fold_file
from umamba.models.results import Results
from umamba.models.safetensors_file import NUMPY_TYPES, Shapes, size_bytes, write_arrays

_PLANS_KEYS = (
    "dataset_name",
    "plans_name",
    "original_median_spacing_after_transp",
    "original_median_shape_after_transp",
    "image_reader_writer",
    "transpose_forward",
    "transpose_backward",
    "configurations",
    "experiment_planner_used",
    "label_manager",
    "foreground_intensity_properties_per_channel",
    "foreground_intensity_properties_by_modality",
)
_DATASET_KEYS = (
    "name",
    "description",
    "reference",
    "licence",
    "license",
    "release",
    "channel_names",
    "modality",
    "labels",
    "regions_class_order",
    "numTraining",
    "file_ending",
    "overwrite_image_reader_writer",
)


def write_model(
    results: Results,
    folder: Path,
    *,
    model_id: str,
    name: str | None,
    orientation: str,
    previous_stage: str | None,
    accuracy: tuple[Accuracy, ...],
    edits: CardEdits | None = None,
    dtype: str | None = None,
    monitor: Monitor | None = None,
) -> Card:
    """Write plans, dataset, weights and card into a new folder, every file flushed to the disk.

    Args:
        results: What was trained.
        folder: The new folder.
        model_id, name, orientation, previous_stage, accuracy: As for `describe`.
        edits: What a person changes in the card.
        dtype: "F16" or "F32", to which the weights are rounded; None keeps what they are.
        monitor: Progress and cancel.

    Raises:
        ModelError: A checkpoint is damaged.
        InputError: The folder cannot be written, or the edits do not fit.
        Cancelled: `monitor` said so.
    """
    monitor = monitor or Monitor()
    card = describe(
        results,
        model_id=model_id,
        name=name,
        orientation=orientation,
        files={},
        previous_stage=previous_stage,
        accuracy=accuracy,
    )
    if edits is not None:
        card = edited(card, edits)
    with writing(model_id):
        folder.mkdir()
        files = {
            PLANS: _write_json(folder / PLANS, _kept(results.plans_raw, _PLANS_KEYS)),
            DATASET: _write_json(folder / DATASET, _kept(results.dataset_raw, _DATASET_KEYS)),
        }
        for fold, checkpoint in results.checkpoints.items():
            path = folder / fold_file(fold)
            arrays = _watched(checkpoint, monitor)
            files[path.name] = write_arrays(path, stored_shapes(checkpoint, dtype), arrays)
        card = replace(card, files=files)
        _write(folder / CARD_FILE, card_bytes(card))
    return card


def _watched(checkpoint: Checkpoint, monitor: Monitor) -> Iterator[tuple[str, np.ndarray]]:
    """The weights one by one; each is a step."""
    total = len(checkpoint.tensors)
    for done, entry in enumerate(read_arrays(checkpoint)):
        monitor.step("write", done, total)
        yield entry


def stored_bytes(results: Results) -> int:
    """Bytes that the weights of all folds will take."""
    return sum(size_bytes(stored_shapes(checkpoint)) for checkpoint in results.checkpoints.values())


def left_out(results: Results) -> list[str]:
    """The keys of plans and dataset that are not stored."""
    dropped = [f"{PLANS}: {key}" for key in results.plans_raw if key not in _PLANS_KEYS]
    return dropped + [f"{DATASET}: {key}" for key in results.dataset_raw if key not in _DATASET_KEYS]


def stored_shapes(checkpoint: Checkpoint, dtype: str | None = None) -> Shapes:
    """Type and shape of each tensor as it is stored: `dtype`, else float16 if all are, else float32."""
    types = {dtype or STORED_TYPES[tensor.dtype] for tensor in checkpoint.tensors.values()}
    dtype = types.pop() if len(types) == 1 else "F32"
    assert dtype in NUMPY_TYPES
    return {key: (dtype, tensor.shape) for key, tensor in checkpoint.tensors.items()}


def _kept(raw: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key in keys}


def _write_json(path: Path, content: Mapping[str, Any]) -> str:
    return _write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def _write(path: Path, content: bytes) -> str:
    """Write a new file, flushed; give its SHA-256."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()
