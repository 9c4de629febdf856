"""What a training tells of each epoch: a line, a file of figures, a picture.

training.log is for people: a line for each epoch and for whatever else happened. progress.json has the same
figures for programs, and is written anew after each epoch, so that it never lacks one or has one twice.
No name of a case and no path stands in either.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.pairs import counted
from umamba.imaging.files import write_json
from umamba.training.kept import load_kept

LOG, PROGRESS, CURVES = "training.log", "progress.json", "progress.png"
_WRITTEN_ANEW = "delete it, --resume writes it anew"
SKIPPED = "skipped_steps"  # our list beside those of nnU-Net's log


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch. A figure that is not defined is None.

    Attributes:
        epoch: From 1.
        epochs: Of the whole training.
        training_loss, validation_loss: Means over the epoch's batches.
        dice: By label, of the validation's patches pooled ("pseudo Dice": patches, not whole cases).
        mean_dice: Over the labels.
        smooth_dice: Its exponential moving average, 0.9 of the old and 0.1 of the new.
        learning_rate: Of the epoch's steps.
        seconds: That the epoch took.
        skipped_steps: Steps whose loss or gradient was not finite, and which changed nothing.
    """

    epoch: int
    epochs: int
    training_loss: float | None
    validation_loss: float | None
    dice: Mapping[str, float | None]
    mean_dice: float | None
    smooth_dice: float | None
    learning_rate: float
    seconds: float
    skipped_steps: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def line(self) -> str:
        """The epoch as a person reads it."""
        labels = ", ".join(f"{name} {figure(value)}" for name, value in self.dice.items())
        skipped = f"  {counted(self.skipped_steps, 'step')} skipped" if self.skipped_steps else ""
        return (
            f"epoch {self.epoch} of {self.epochs}: training loss {figure(self.training_loss)}, "
            f"validation loss {figure(self.validation_loss)}, validation Dice {figure(self.mean_dice)} "
            f"({labels}), learning rate {self.learning_rate:.2g}, {self.seconds:.1f} s{skipped}"
        )


def records_of(
    lists: Mapping[str, Sequence[Any]], labels: Sequence[str], count: int, epochs: int
) -> list[EpochRecord]:
    """The first `count` epochs of nnU-Net's log, a list for each figure with an entry for each epoch.

    Args:
        lists: The log.
        labels: Names, in the order of its Dice figures.
        count: Finished epochs.
        epochs: Of the whole training.
    """
    return [
        EpochRecord(
            epoch=index + 1,
            epochs=epochs,
            training_loss=defined(lists["train_losses"][index]),
            validation_loss=defined(lists["val_losses"][index]),
            dice=dict(zip(labels, map(defined, lists["dice_per_class_or_region"][index]), strict=True)),
            mean_dice=defined(lists["mean_fg_dice"][index]),
            smooth_dice=defined(lists["ema_fg_dice"][index]),
            learning_rate=float(lists["lrs"][index]),
            seconds=lists["epoch_end_timestamps"][index] - lists["epoch_start_timestamps"][index],
            skipped_steps=lists[SKIPPED][index],
        )
        for index in range(count)
    ]


EpochCallback = Callable[[EpochRecord], None]
BeginCallback = Callable[[str], None]


def figure(value: float | None) -> str:
    """Four digits behind the point; "-" for what is not defined."""
    return "-" if value is None else f"{value:.4f}"


def defined(value: float) -> float | None:
    """A plain number, or None for one that is not finite."""
    number = float(value)
    return number if math.isfinite(number) else None


def append_line(folder: Path, text: str) -> None:
    """Add a line with the time to training.log."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def write_progress(folder: Path, records: Sequence[EpochRecord]) -> None:
    """Write progress.json: {"epochs": [...]}, one entry for each finished epoch."""
    content = {"epochs": [record.as_dict() for record in records]}
    write_json(folder / PROGRESS, content, overwrite=True)


def read_progress(folder: Path) -> list[EpochRecord]:
    """The finished epochs of a training's folder; none where it has no progress.json.

    Raises:
        InputError: It is damaged.
    """
    path = folder / PROGRESS
    if not path.is_file():
        return []
    try:
        return [EpochRecord(**entry) for entry in load_kept(path, _WRITTEN_ANEW)["epochs"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder.name}/{PROGRESS}: is no record of epochs; {_WRITTEN_ANEW}") from error
