"""Which cases of a dataset are trained on and which validated on, in each fold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.imaging.files import reason
from umamba.plans.jsonfile import load_json
from umamba.training.dataset.raw import RawDataset

FOLDS = 5
ALL = "all"
SPLITS_FILE = "splits_final.json"
# Looked for in the dataset's folder, in this order.
_OF_DATASET = (SPLITS_FILE, "splits.json")
_GROUPS_FILE = "groups.json"

Split = list[dict[str, list[str]]]


def chooses_folds(raw: RawDataset, own: Path | None = None) -> bool:
    """Whether a file says how to split, instead of chance."""
    return own is not None or any((raw.folder / name).is_file() for name in (*_OF_DATASET, _GROUPS_FILE))


def make_splits(raw: RawDataset, own: Path | None = None) -> Split:
    """The folds: those of `own`, else of the dataset's splits_final.json or splits.json, else nnU-Net's.

    nnU-Net's are five, drawn with its seed; fewer where there are fewer than five cases. With a groups.json
    ({case: group}) in the dataset's folder the cases of a group stay together: groups are drawn then.

    Raises:
        InputError: A file that cannot be used.
    """
    names = [case.name for case in raw.cases]
    candidates = [own] if own is not None else [raw.folder / name for name in _OF_DATASET]
    for path in candidates:
        if own is not None or path.is_file():
            return _read_splits(path, names)
    groups = _groups(raw.folder / _GROUPS_FILE, names)
    return [
        {part: sorted(name for name in names if groups[name] in chosen) for part, chosen in fold.items()}
        for fold in _folds(sorted(set(groups.values())))
    ]


def _folds(groups: Sequence[str]) -> list[dict[str, set[str]]]:
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    if len(groups) < 2:
        raise InputError(f"{_GROUPS_FILE}: all cases are of one group; folds need two or more")
    folds = generate_crossval_split(list(groups), n_splits=min(FOLDS, len(groups)))
    return [{part: {str(name) for name in chosen} for part, chosen in fold.items()} for fold in folds]


def _groups(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Group of each case; without the file each is a group of its own."""
    if not path.is_file():
        return {name: name for name in names}
    found = load_json(path)
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"{path.name}: has no group for {some(missing)}; give every case its group")
    return {name: str(found[name]) for name in names}


def _read_splits(path: Path, names: Sequence[str]) -> Split:
    """A list of {"train": [...], "val": [...]}, as nnU-Net writes it."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {reason(error)}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name}: is not JSON ({error}); correct it") from error
    if not isinstance(found, list) or not found:
        raise InputError(f'{path.name}: a list of {{"train": [cases], "val": [cases]}} is wanted; correct it')
    return [_fold(entry, names, f"{path.name}: fold {number}") for number, entry in enumerate(found)]


def _fold(entry: object, names: Sequence[str], where: str) -> dict[str, list[str]]:
    if not isinstance(entry, Mapping) or not all(
        isinstance(entry.get(part), list) and entry[part] and all(isinstance(n, str) for n in entry[part])
        for part in ("train", "val")
    ):
        raise InputError(f'{where}: {{"train": [cases], "val": [cases]}} with at least one each is wanted')
    train, held = list(entry["train"]), list(entry["val"])
    unknown = [name for name in (*train, *held) if name not in set(names)]
    if unknown:
        raise InputError(f"{where}: the dataset has no case {some(unknown)}; correct it")
    both = sorted(set(train) & set(held))
    if both:
        raise InputError(f"{where}: {some(both)} are trained on and validated on; put each in one list")
    return {"train": train, "val": held}


def check_fold(fold: int | str, splits: Sequence[Mapping[str, Sequence[str]]]) -> None:
    """Refuse a fold that does not exist, where nnU-Net would draw a random one.

    Raises:
        InputError: Neither "all" nor the number of a fold.
    """
    if fold == ALL or (isinstance(fold, int) and 0 <= fold < len(splits)):
        return
    last = len(splits) - 1
    raise InputError(f"there is no fold {fold}; the dataset is split into folds 0 to {last}, or take {ALL!r}")
