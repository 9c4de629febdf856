"""What a results folder tells of its training beyond the network: length, machine, date, size of the images.

Each fact is read from a file that the training wrote, and is left out where there is none.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from umamba.models.checkpoint import Checkpoint
from umamba.models.locate import CHECKPOINTS, UNFINISHED
from umamba.models.results import Results

# In a fold's folder, by our own training: {"steps_per_epoch", "machine"}.
RECORD = "training.json"
_DEBUG = "debug.json"  # the same by nnU-Net and U-Mamba's fork, with names that stay behind
_FINGERPRINT = "dataset_fingerprint.json"
_MAX_BYTES = 50_000_000
_MAX_TEXT = 200
# Readers whose spacing is in mm; that of pictures is made up.
_READERS_IN_MM = ("SimpleITKIO", "NibabelIO")
_AXES = 3


def training_facts(results: Results) -> dict[str, Any]:
    """Steps, date, machine and recipe, as a card's `training` has them.

    Steps and epochs are those of each fold. Steps in which the folds differ are left out; so are epochs,
    unless the training has not finished: then they tell where it was.
    """
    checkpoints = results.checkpoints.values()
    found: dict[str, Any] = {}
    epochs = {checkpoint.epochs for checkpoint in checkpoints}
    unlike = _unlike_final(results)
    known = sorted(number for number in epochs if number is not None)
    if len(known) == len(epochs) and (len(known) == 1 or unlike):
        each = " or ".join(map(str, known))
        found["recipe"] = f"{results.trainer}, {each} epoch{'' if known == [1] else 's'}{unlike}"
    steps = {_steps(checkpoint) for checkpoint in checkpoints}
    if len(steps) == 1 and None not in steps:
        found["steps"] = steps.pop()
    machines = {_machine(checkpoint) for checkpoint in checkpoints}
    if None not in machines:
        found["machine"] = "; ".join(sorted(str(machine) for machine in machines))
    ended = [checkpoint.ended for checkpoint in checkpoints if checkpoint.ended is not None]
    if ended:
        found["date"] = datetime.fromtimestamp(max(ended), UTC).date().isoformat()
    return found


def field_of_view(results: Results) -> tuple[float, float, float] | None:
    """Median extent of the training images in mm along i, j, k, after nnU-Net's crop to what is not 0.

    From dataset_fingerprint.json, whose axes are k, j, i.
    """
    reader = results.plans_raw.get("image_reader_writer")
    found = _read(results.folder / _FINGERPRINT)
    shapes, spacings = found.get("shapes_after_crop"), found.get("spacings")
    if reader not in _READERS_IN_MM or not isinstance(shapes, list) or not isinstance(spacings, list):
        return None
    extents = [
        [size * step for size, step in zip(shape, spacing, strict=True)]
        for shape, spacing in zip(shapes, spacings, strict=False)
        if _are_lengths(shape) and _are_lengths(spacing)
    ]
    if not extents or len(extents) != len(shapes):
        return None
    k, j, i = (round(statistics.median(lengths), 1) for lengths in zip(*extents, strict=True))
    return (i, j, k) if min(i, j, k) > 0 else None


def _unlike_final(results: Results) -> str:
    """What a person should know of checkpoints other than nnU-Net's final one."""
    names = {checkpoint.path.name for checkpoint in results.checkpoints.values()}
    if UNFINISHED in names:
        return ", not finished"
    return ", the best checkpoint of the training" if CHECKPOINTS[1] in names else ""


def _steps(checkpoint: Checkpoint) -> int | None:
    folder = checkpoint.path.parent
    known = _read(folder / RECORD).get("steps_per_epoch") or _read(folder / _DEBUG).get(
        "num_iterations_per_epoch"
    )
    if isinstance(known, bool) or not str(known).isdecimal() or checkpoint.epochs is None:
        return None
    return int(str(known)) * checkpoint.epochs or None


def _machine(checkpoint: Checkpoint) -> str | None:
    """The processor's or GPU's model; never the computer's name."""
    folder = checkpoint.path.parent
    machine = _read(folder / RECORD).get("machine") or _read(folder / _DEBUG).get("gpu_name")
    if not isinstance(machine, str) or machine == str(None) or not machine.isprintable():
        return None
    return machine[:_MAX_TEXT].strip() or None


def _are_lengths(values: object) -> bool:
    return (
        isinstance(values, list)
        and len(values) == _AXES
        and all(isinstance(value, int | float) and 0 < value < float("inf") for value in values)
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
