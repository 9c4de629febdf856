"""Which folds of a training go into a package."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import replace

from umamba.errors import InputError
from umamba.models.accuracy import MEAN_OF_ALL, measured_accuracy
from umamba.models.folder import winning_folds
from umamba.models.results import Results

EVERY, BEST = "all", "best"


def with_folds(results: Results, folds: str | Sequence[str]) -> Results:
    """The results with the folds that are wanted, and a cascade's first stage with the same.

    Args:
        results: What was trained.
        folds: "all" (those that a run averages), "best" (by its validation), or some by name.

    Raises:
        InputError: A fold that is not there; "best" without a validation of every fold.
    """
    there = tuple(results.checkpoints)
    if folds == EVERY:
        return _only(results, winning_folds(there))
    if folds == BEST:
        return _only(results, (_best(results),))
    wanted = folds.split(",") if isinstance(folds, str) else list(folds)
    for fold in wanted:
        if fold not in there:
            raise InputError(f"folds: {fold!r} found, one of those trained wanted ({', '.join(there)})")
    return _only(results, wanted)


def _only(results: Results, folds: Collection[str]) -> Results:
    previous = results.previous
    if previous is not None:
        shared = tuple(fold for fold in previous.checkpoints if fold in folds)
        previous = _only(previous, shared or winning_folds(tuple(previous.checkpoints)))
    chosen = {fold: entry for fold, entry in results.checkpoints.items() if fold in folds}
    return replace(results, checkpoints=chosen, previous=previous)


def _best(results: Results) -> str:
    """The numbered fold with the highest mean Dice on its own validation cases."""
    means = {}
    for fold in winning_folds(tuple(results.checkpoints)):
        alone = replace(results, checkpoints={fold: results.checkpoints[fold]})
        measured = {entry.label: entry.mean for entry in measured_accuracy(alone)}
        if not measured:
            raise InputError(
                f"folds: the best cannot be told, for fold {fold} has no validation of these very weights; "
                "name the folds instead (--folds 0,1)"
            )
        means[fold] = measured.get(MEAN_OF_ALL, statistics.fmean(measured.values()))
    return max(means, key=lambda fold: means[fold])
