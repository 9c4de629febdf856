"""What a caller asks of a run, checked before anything is read or computed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from umamba.errors import InputError

if TYPE_CHECKING:
    from umamba.models.model import Model

GIGABYTE = 1_000_000_000
# More threads than this a core only get in each other's way.
THREADS_PER_CORE = 8


@dataclass(frozen=True)
class Request:
    """The options of a run.

    Attributes:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        labels: Keys, names or values to keep, or None for all.
        roi: Six numbers, mm, LPS, or None.
        around: A point, mm, LPS, or None.
        folds: "all" or the folds to average.
        mirror: Test-time mirroring; None takes the card's default.
        step: Distance of windows as a fraction of the patch, above 0 and at most 1.
        max_memory_bytes: Limit for the resident memory of the process, or None.
        threads: CPU threads, or None for PyTorch's default.
        uncertainty, probabilities: Whether to give these as well.
    """

    device: str = "auto"
    labels: tuple[str | int, ...] | None = None
    roi: tuple[float, ...] | None = None
    around: tuple[float, ...] | None = None
    folds: str | tuple[str, ...] = "all"
    mirror: bool | None = None
    step: float = 0.5
    max_memory_bytes: int | None = None
    threads: int | None = None
    uncertainty: bool = False
    probabilities: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise InputError(f"step: {self.step} found, a number above 0 and at most 1 wanted")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads: {self.threads} found, at least 1 wanted")
        most = THREADS_PER_CORE * (os.cpu_count() or 1)
        if self.threads is not None and self.threads > most:
            raise InputError(f"threads: {self.threads} found, at most {most} make sense on this computer")
        if self.max_memory_bytes is not None and self.max_memory_bytes <= 0:
            raise InputError("max_memory: a number of gigabytes above 0 is wanted")
        if self.roi is not None and self.around is not None:
            raise InputError("roi and around exclude each other; give one")

    def with_extras(self, uncertainty: bool, probabilities: bool) -> Request:
        """The same request, with further outputs asked for."""
        return replace(self, uncertainty=uncertainty, probabilities=probabilities)


def choose_folds(model: Model, folds: str | Sequence[str | int]) -> tuple[str, ...]:
    """The folds to run.

    Raises:
        InputError: A fold that the model does not have.
    """
    if folds == "all" or (not isinstance(folds, str) and tuple(folds) == ("all",)):
        return model.folds
    asked = folds.split(",") if isinstance(folds, str) else [str(fold) for fold in folds]
    asked = [fold.strip().removeprefix("fold_") for fold in asked]
    for fold in asked:
        if fold not in model.folds:
            raise InputError(
                f"folds: model {model.card.id!r} has no fold {fold!r}; it has {', '.join(model.folds)}"
            )
    if not asked:
        raise InputError("folds: at least one is wanted")
    return tuple(dict.fromkeys(asked))


def choose_labels(model: Model, labels: Sequence[str | int] | None) -> frozenset[int] | None:
    """The values to keep, or None for all.

    Raises:
        InputError: A key or value that the model does not have.
    """
    if labels is None:
        return None
    if model.card.instances is not None:
        raise InputError(
            f"labels: model {model.card.id!r} numbers instances; it has no labels to choose from"
        )
    known: dict[str, int] = {}
    for label in model.card.labels:
        known.setdefault(str(label.value), label.value)
        known.setdefault(label.name.lower(), label.value)
    known.update({label.key.lower(): label.value for label in model.card.labels})
    kept = set()
    for asked in labels:
        value = known.get(str(asked).strip().lower())
        if value is None:
            keys = ", ".join(label.key for label in model.card.labels)
            raise InputError(f"labels: {asked!r} is not a label of {model.card.id!r}; it has {keys}")
        kept.add(value)
    if not kept:
        raise InputError("labels: at least one is wanted")
    return frozenset(kept)


def choose_mirror_axes(model: Model, mirror: bool | None) -> tuple[int, ...]:
    """The axes to mirror: all that the training allowed, or none."""
    wanted = model.card.mirror if mirror is None else mirror
    if not wanted:
        return ()
    return tuple(axis for axis in model.mirror_axes if axis < model.configuration.axes)
