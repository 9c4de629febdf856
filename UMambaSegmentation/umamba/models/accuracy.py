"""What a training measured on its own validation cases, as far as its results folder still tells."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umamba.models.card import Accuracy
from umamba.models.describe import card_labels
from umamba.models.locate import CHECKPOINTS
from umamba.models.results import Results
from umamba.plans import Dataset

SUMMARY = Path("validation") / "summary.json"
_METRIC = "Dice"
_MAX_SUMMARY_BYTES = 50_000_000


def measured_accuracy(results: Results) -> tuple[Accuracy, ...]:
    """Mean and standard deviation of the Dice of each label over the validation cases of the numbered folds.

    nnU-Net writes it to fold_<n>/validation/summary.json with its final checkpoint. fold_all is left out,
    for its validation cases are training cases. A case without the label on both sides has no Dice and does
    not count.

    Returns:
        One entry for each label, or none if a fold's summary is missing or cannot be read.
    """
    folds = {fold: entry.path for fold, entry in results.checkpoints.items() if fold != "all"}
    if not folds or any(path.name != CHECKPOINTS[0] for path in folds.values()):
        return ()
    summaries = [_read_summary(path.parent / SUMMARY) for path in folds.values()]
    data = f"validation cases of {'folds' if len(folds) > 1 else 'fold'} {', '.join(folds)}"
    keys = _summary_keys(results.dataset)
    found = []
    for label in card_labels(results.dataset):
        values = [value for summary in summaries for value in _dice_values(summary, keys[label.value])]
        if not values or any(summary is None for summary in summaries):
            return ()
        found.append(
            Accuracy(
                label=label.key,
                metric=_METRIC,
                mean=round(statistics.fmean(values), 4),
                sd=round(statistics.stdev(values), 4) if len(values) > 1 else None,
                cases=len(values),
                data=data,
            )
        )
    return tuple(found)


def _summary_keys(dataset: Dataset) -> dict[int, str]:
    """The label's or region's name in summary.json by its value in the label map."""
    rules = dataset.labels
    if not rules.has_regions:
        return {value: str(value) for value in rules.values}
    regions = [
        values
        for name, values in rules.names.items()
        if name not in ("background", "ignore") and values not in (0, (0,))
    ]
    return {value: str(region) for value, region in zip(rules.regions_class_order, regions, strict=True)}


def _read_summary(path: Path) -> Mapping[str, Any] | None:
    try:
        if path.stat().st_size > _MAX_SUMMARY_BYTES:
            return None
        found = json.loads(path.read_bytes(), parse_constant=lambda name: None)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _dice_values(summary: Mapping[str, Any] | None, key: str) -> list[float]:
    cases = summary.get("metric_per_case") if summary else None
    values = []
    for case in cases if isinstance(cases, list) else []:
        value: object = case
        for step in ("metrics", key, _METRIC):
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            if not 0 <= value <= 1:
                return []
            values.append(float(value))
    return values
