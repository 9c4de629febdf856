"""Finding nnU-Net's results in a folder: at whatever level the person has pointed.

nnU-Net writes <results>/<Dataset>/<Trainer>__<Plans>__<configuration>/fold_<n or all>/checkpoint_*.pth.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from umamba.errors import ModelError
from umamba.models.paths import FILE, NOTHING, kind_of

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
UNFINISHED = "checkpoint_latest.pth"
PLANS, DATASET = "plans.json", "dataset.json"
POSTPROCESSING = "postprocessing.pkl"
FOLD_FOLDER = re.compile(r"fold_(\d{1,3}|all)")

_MAX_DEPTH = 4
_MAX_FOLDERS = 5_000
_PARTS = 3


@dataclass(frozen=True)
class TrainerFolder:
    """One trained configuration.

    Attributes:
        folder: <Trainer>__<Plans>__<configuration>, or where a lone checkpoint lies.
        folds: Checkpoint of each fold by "0", "1", ..., "all"; "" for a lone checkpoint outside of a fold.
        notes: What a person should know of the choice.
    """

    folder: Path
    folds: Mapping[str, Path]
    notes: tuple[str, ...] = ()

    @property
    def configuration(self) -> str | None:
        """The configuration as the folder's name says it."""
        parts = self.folder.name.split("__")
        return parts[-1] if len(parts) == _PARTS else None

    def sibling(self, configuration: str) -> Path | None:
        """The folder of another configuration of the same trainer and plans."""
        parts = self.folder.name.split("__")
        if len(parts) != _PARTS or "/" in configuration or "\\" in configuration:
            return None
        other = self.folder.with_name("__".join((*parts[:-1], configuration)))
        return other if other.is_dir() else None

    def json_file(self, name: str) -> Path | None:
        """plans.json or dataset.json of this training."""
        path = self.folder / name
        return path if path.is_file() else None


def find_trainer_folders(path: Path, unfinished: bool = False) -> list[TrainerFolder]:
    """All trained configurations at or below `path` (a folder of any level, or one checkpoint).

    Args:
        path: Where to look.
        unfinished: Whether the latest checkpoint of a training that goes on will do where there is no other.

    Raises:
        ModelError: There is none, or the folder is no results folder at all.
    """
    kind = kind_of(path)
    if kind == FILE:
        if path.suffix != ".pth":
            raise ModelError(f"{path.name}: a results folder, a zip of one, or a checkpoint (.pth) is wanted")
        return [_of_fold(path.parent, path)]
    if kind == NOTHING:
        raise ModelError(f"{path.name or path}: there is no such folder")
    final, best = CHECKPOINTS
    names = (final, UNFINISHED, best) if unfinished else CHECKPOINTS
    checkpoint = _checkpoint(path, names)
    if checkpoint is not None:
        return [_of_fold(path, checkpoint)]
    found = [_read_trainer(folder, names) for folder in _walk(path) if _fold_folders(folder)]
    trained = [entry for entry in found if entry.folds]
    if not trained:
        wanted = " or ".join(CHECKPOINTS)
        goes_on = any(
            (fold / UNFINISHED).is_file() for entry in found for fold in _fold_folders(entry.folder)
        )
        if goes_on or (path / UNFINISHED).is_file():
            raise ModelError(
                f"{path.name}: only {UNFINISHED} found, {wanted} wanted: the training has not finished"
            )
        raise ModelError(
            f"{path.name or path}: no trained model found; give a results folder of nnU-Net or U-Mamba "
            f"(one with fold_0/{CHECKPOINTS[0]} below it)"
        )
    return trained


def postprocessing_files(folder: Path) -> bool:
    """Whether nnU-Net left rules for postprocessing in a trainer's folder or in one directly below."""
    return (folder / POSTPROCESSING).is_file() or any(folder.glob(f"*/{POSTPROCESSING}"))


def _of_fold(folder: Path, checkpoint: Path) -> TrainerFolder:
    name = FOLD_FOLDER.fullmatch(folder.name)
    if name is None:
        return TrainerFolder(folder, {"": checkpoint})
    return TrainerFolder(folder.parent, {_fold_name(name.group(1)): checkpoint}, _notes(checkpoint))


def _read_trainer(folder: Path, wanted: Sequence[str]) -> TrainerFolder:
    folds: dict[str, Path] = {}
    notes: list[str] = []
    for fold in _fold_folders(folder):
        checkpoint = _checkpoint(fold, wanted)
        if checkpoint is not None:
            folds[_fold_name(fold.name.removeprefix("fold_"))] = checkpoint
            notes += _notes(checkpoint)
        else:
            notes.append(f"{fold.name}: left out, for it has neither {' nor '.join(CHECKPOINTS)}")
    ordered = sorted(folds, key=lambda name: (name == "all", int(name) if name != "all" else 0))
    return TrainerFolder(folder, {name: folds[name] for name in ordered}, tuple(notes))


def _notes(checkpoint: Path) -> tuple[str, ...]:
    if checkpoint.name == CHECKPOINTS[0]:
        return ()
    return (f"{checkpoint.parent.name}: {checkpoint.name} taken, for there is no {CHECKPOINTS[0]}",)


def _checkpoint(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _fold_folders(folder: Path) -> list[Path]:
    """The folders of a trainer's folds, which may lie elsewhere and be linked."""
    return [entry for entry in _subfolders(folder, links=True) if FOLD_FOLDER.fullmatch(entry.name)]


def _fold_name(text: str) -> str:
    return text if text == "all" else str(int(text))


def _walk(folder: Path) -> Iterator[Path]:
    """The folder and those below it, to the depth of a results folder; links are not followed."""
    waiting = [(folder, 0)]
    for _ in range(_MAX_FOLDERS):
        if not waiting:
            return
        current, depth = waiting.pop(0)
        yield current
        if depth < _MAX_DEPTH and not FOLD_FOLDER.fullmatch(current.name):
            waiting += [(entry, depth + 1) for entry in _subfolders(current)]
    raise ModelError(f"{folder.name or folder}: too many folders; give the results folder itself")


def _subfolders(folder: Path, links: bool = False) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry) for entry in entries if entry.is_dir(follow_symlinks=links))
    except OSError:
        return []
