"""What a training measured on its own validation cases, as far as its results folder still tells."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umamba.models.card import Accuracy
from umamba.models.checkpoint import Checkpoint
from umamba.models.describe import card_labels
from umamba.models.locate import CHECKPOINTS
from umamba.models.results import Results
from umamba.models.safetensors_file import sha256_of
from umamba.plans import Dataset

# In a fold's folder: nnU-Net's own figures; ours, as `umamba evaluate` writes them; and the files that ours
# are of, by their SHA-256.
SUMMARY = Path("validation") / "summary.json"
RESULTS = Path("validation") / "results.json"
RECORD = Path("validation") / "weights.json"
DICE = "Dice"
MEAN_OF_ALL = "mean of all labels"
_MAX_SUMMARY_BYTES = 50_000_000
# Dice of each case by the label's key; None where a case has none.
Columns = dict[str, list[float]]


def measured_accuracy(results: Results) -> tuple[Accuracy, ...]:
    """Mean and standard deviation of the Dice of each label over the validation cases of the numbered folds.

    nnU-Net writes it to fold_<n>/validation/summary.json with its final checkpoint. fold_all is left out,
    for its validation cases are training cases. A case without the label on both sides has no Dice and does
    not count.

    Our own validation (results.json) is preferred, where it is of these very weights; it also has the mean
    of each case's labels.

    Returns:
        One entry for each label, or none if a fold's figures are missing or cannot be read.
    """
    folds = {fold: entry for fold, entry in results.checkpoints.items() if fold != "all"}
    if not folds:
        return ()
    try:
        columns = _own_columns(results, folds) or _summary_columns(results.dataset, folds)
    except ValueError:
        return ()
    return entries(columns, f"validation cases of {'folds' if len(folds) > 1 else 'fold'} {', '.join(folds)}")


def entries(columns: Mapping[str, Sequence[float]], data: str, metric: str = DICE) -> tuple[Accuracy, ...]:
    """Mean and standard deviation (n - 1) of each label's values, for a card; nothing if a label has none."""
    if not all(columns.values()):
        return ()
    return tuple(
        Accuracy(
            label=label,
            metric=metric,
            mean=round(statistics.fmean(values), 4),
            sd=round(statistics.stdev(values), 4) if len(values) > 1 else None,
            cases=len(values),
            data=data,
        )
        for label, values in columns.items()
    )


def _summary_columns(dataset: Dataset, folds: Mapping[str, Checkpoint]) -> Columns:
    """nnU-Net's figures of all folds, which are of its final checkpoints."""
    if any(entry.path.name != CHECKPOINTS[0] for entry in folds.values()):
        return {}
    summaries = [_read(entry.path.parent / SUMMARY) for entry in folds.values()]
    if any(summary is None for summary in summaries):
        return {}
    keys = _summary_keys(dataset)
    return {
        label.key: [value for summary in summaries for value in _dice_values(summary, keys[label.value])]
        for label in card_labels(dataset)
    }


def _own_columns(results: Results, folds: Mapping[str, Checkpoint]) -> Columns:
    """Our figures of all folds, and each case's mean where there are several labels."""
    names = _names(results.dataset)
    columns: Columns = {key: [] for key in names.values()}
    means: list[float] = []
    for fold, checkpoint in folds.items():
        found = _read(checkpoint.path.parent / RESULTS) if _is_of(fold, checkpoint) else None
        cases = found.get("cases") if found else None
        if not isinstance(cases, list) or not cases:
            return {}
        for case in cases:
            for name, key in names.items():
                columns[key] += _share(case, "labels", name, DICE)
            means += _share(case, DICE)
    if len(columns) > 1:
        columns[MEAN_OF_ALL] = means
    return columns if all(columns.values()) else {}


def _is_of(fold: str, checkpoint: Checkpoint) -> bool:
    """Whether our validation in the fold's folder is of this checkpoint."""
    record = _read(checkpoint.path.parent / RECORD)
    weights = record.get("weights") if record else None
    if not isinstance(weights, dict):
        return False
    return weights.get(f"fold_{fold}/{checkpoint.path.name}") == sha256_of(checkpoint.path)


def _names(dataset: Dataset) -> dict[str, str]:
    """The key of each label or region in a card by its name in dataset.json."""
    keys = {label.value: label.key for label in card_labels(dataset)}
    return {name: keys[value] for name, (value, _) in _foreground(dataset).items()}


def _summary_keys(dataset: Dataset) -> dict[int, str]:
    """The label's or region's name in summary.json by its value in the label map."""
    has_regions = dataset.labels.has_regions
    return {
        value: str(members) if has_regions else str(value) for value, members in _foreground(dataset).values()
    }


def _foreground(dataset: Dataset) -> dict[str, tuple[int, int | tuple[int, ...]]]:
    """Of each label or region by its name the value in the label map, and what dataset.json gives for it."""
    rules = dataset.labels
    found = {
        name: values
        for name, values in rules.names.items()
        if name not in ("background", "ignore") and values not in (0, (0,))
    }
    if rules.has_regions:
        pairs = zip(found.items(), rules.regions_class_order, strict=True)
        return {name: (value, members) for (name, members), value in pairs}
    return {
        name: (values if isinstance(values, int) else values[0], values) for name, values in found.items()
    }


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        if path.stat().st_size > _MAX_SUMMARY_BYTES:
            return None
        found = json.loads(path.read_bytes(), parse_constant=lambda name: None)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _dice_values(summary: Mapping[str, Any] | None, key: str) -> list[float]:
    cases = summary.get("metric_per_case") if summary else None
    return [
        value
        for case in (cases if isinstance(cases, list) else [])
        for value in _share(case, "metrics", key, DICE)
    ]


def _share(value: object, *steps: str) -> list[float]:
    """The number at the end of these steps into nested dicts, or nothing.

    Raises:
        ValueError: It is no share of 1, so that nothing of the file can be believed.
    """
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return []
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is no Dice")
    return [float(value)]
