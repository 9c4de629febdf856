"""What a training was asked to be, kept beside its checkpoints, so that it can go on as the same one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.pairs import counted
from umamba.imaging.files import write_json
from umamba.training.folders import TRAINER, TrainingFolders
from umamba.training.log import read_progress
from umamba.training.planning.presets import defaults
from umamba.training.schedule import EPOCHS, STEPS

SETTINGS = "settings.json"
_FINISHED = "checkpoint_final.pth"


@dataclass(frozen=True)
class Settings:
    """The choices that make one training another than the next, by the names of their options.

    Attributes:
        network, configuration: As `umamba.training.prepare` takes them.
        fold: "0", "1", ... or "all".
        epochs, steps, seed, precision: Of the schedule.
        batch_size, features: What was chosen instead of the planner's choice; `features` as "16" or "16-128".
        labels, channels: Names for a plain folder, "liver=1,spleen=2" and "CT".
        pretrained: The model that the first weights came from: its id or folder.
        preset: A published training, by its name in `presets.PRESETS`.
    """

    network: str = "umamba-bot"
    configuration: str = "3d_fullres"
    fold: str = "0"
    epochs: int = EPOCHS
    steps: int = STEPS
    seed: int = 0
    precision: str = "auto"
    batch_size: int | None = None
    features: str | None = None
    labels: str | None = None
    channels: str | None = None
    pretrained: str | None = None
    preset: str | None = None

    def __str__(self) -> str:
        return f"{self.preset or self.network} {self.configuration} fold {self.fold}"

    def differences(self, asked: Mapping[str, Any]) -> list[str]:
        """What was asked for and is otherwise here, as texts."""
        own = asdict(self)
        return [
            f"--{name.replace('_', '-')} {value} (it has {'none' if own[name] is None else own[name]})"
            for name, value in asked.items()
            if value != own[name]
        ]

    def same_place(self, other: Settings) -> bool:
        """Whether both would train in the same folder."""
        return all(getattr(self, name) == getattr(other, name) for name in PLACE)


# The options that decide in which folder a training lies.
PLACE = ("network", "preset", "configuration", "fold", "batch_size", "features")
# Those that may change while it goes on.
CHANGEABLE = ("precision",)


@dataclass(frozen=True)
class Begun:
    """A training that was begun.

    Attributes:
        settings: What it was asked to be.
        folder: Of the fold, with its checkpoints.
    """

    settings: Settings
    folder: Path

    @property
    def dataset(self) -> str:
        """nnU-Net's name of what it is trained on."""
        return self.folder.parents[1].name

    @property
    def finished(self) -> bool:
        """Whether its last epoch is done."""
        return (self.folder / _FINISHED).is_file()

    def __str__(self) -> str:
        epochs = self.settings.epochs
        done = epochs if self.finished else len(read_progress(self.folder))
        return f"{self.settings} of {self.dataset} ({done} of {counted(epochs, 'epoch')} done)"


def write_settings(folder: Path, settings: Settings) -> None:
    """Keep the settings in a fold's folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS, asdict(settings), overwrite=True)


def begun_trainings(folders: TrainingFolders) -> list[Begun]:
    """Every training that was begun in these folders by `umamba train`.

    Raises:
        InputError: What one of them keeps is damaged.
    """
    return sorted(_read(folders), key=str)


def _read(folders: TrainingFolders) -> Iterator[Begun]:
    known = {field.name for field in fields(Settings)}
    for path in folders.results.glob(f"*/*/fold_*/{SETTINGS}"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            settings = Settings(**{key: value for key, value in content.items() if key in known})
        except (OSError, ValueError, AttributeError) as error:
            if not path.parents[1].name.startswith(TRAINER):
                continue  # not of `umamba train`
            fold = path.parent.name
            raise InputError(
                f"{fold}/{SETTINGS}: is damaged ({error}), and what was trained there is not known; delete "
                f"{fold} to begin it anew, or choose another folder"
            ) from error
        yield Begun(settings, path.parent)


def new_training(folders: TrainingFolders, dataset: str, asked: Mapping[str, Any]) -> Settings:
    """The settings of a new training.

    Args:
        folders: Where it will lie.
        dataset: nnU-Net's name of what it is trained on.
        asked: The options that were given, by the names of `Settings`.

    Raises:
        InputError: It was begun before, or a preset is of another network.
    """
    settings = Settings(**defaults(asked) | dict(asked))
    for begun in begun_trainings(folders):
        if begun.dataset == dataset and begun.settings.same_place(settings):
            raise InputError(
                f"{folders.root}: has a training of {begun} already; add --resume to go on with it, or begin "
                "anew in another folder"
            )
    return settings


def begun_training(folders: TrainingFolders, dataset: str, asked: Mapping[str, Any]) -> Begun:
    """The training of a dataset to go on with: the one of these options, or the only unfinished one.

    Raises:
        InputError: There is none, there are several, or it has other settings than those asked for, but for
            the precision, which may change.
    """
    anything = begun_trainings(folders)
    if not anything:
        raise InputError(f"{folders.root}: --resume, but no training was begun there; leave --resume away")
    everything = [begun for begun in anything if begun.dataset == dataset]
    if not everything:
        raise InputError(
            f"{folders.root}: --resume, but no training of {dataset} was begun there, only "
            f"{'; '.join(map(str, anything))}; give the dataset of that training, or leave --resume away"
        )
    chosen = {name: value for name, value in asked.items() if name in PLACE}
    found = [begun for begun in everything if not begun.settings.differences(chosen)]
    if len(found) > 1:
        found = [begun for begun in found if not begun.finished] or found
    if len(found) > 1:
        which = "choose one by --network, --preset, --configuration, --fold, --batch-size or --features"
        raise InputError(f"{folders.root}: has several trainings, {which}: {'; '.join(map(str, found))}")
    if not found:
        there = "; ".join(map(str, everything))
        if len(everything) == 1:
            there += f", not with {', '.join(everything[0].settings.differences(chosen))}"
        raise InputError(f"{folders.root}: no training of these options was begun there, only {there}")
    changed = {name: value for name, value in asked.items() if name in CHANGEABLE}
    begun = replace(found[0], settings=replace(found[0].settings, **changed))
    differences = begun.settings.differences(asked)
    if differences:
        raise InputError(
            f"the training of {found[0]} was begun with other settings than {', '.join(differences)}; leave "
            "these options away, or begin anew in another folder"
        )
    return begun
