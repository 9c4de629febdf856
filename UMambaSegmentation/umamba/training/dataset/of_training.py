"""The cases of a training and of its folds, as its working folder lists them."""

from __future__ import annotations

import json

from umamba.errors import InputError
from umamba.training.dataset.raw import DATASET_FILE, Case, open_dataset
from umamba.training.dataset.splits import ALL, SPLITS_FILE
from umamba.training.folders import TrainingFolders


def raw_cases(folders: TrainingFolders, dataset: str) -> dict[str, Case]:
    """Image and label files of every case, by its name.

    Args:
        folders: The training's folders.
        dataset: nnU-Net's dataset name.

    Raises:
        InputError: The list of the cases, or a file that it names, is missing.
    """
    folder = folders.raw / dataset
    if not (folder / DATASET_FILE).is_file():
        raise InputError(
            f"raw/{dataset}/{DATASET_FILE} is missing, and with it the list of the training's images; give "
            "the folder in which the training was made"
        )
    return {case.name: case for case in open_dataset(folder).cases}


def validation_names(folders: TrainingFolders, dataset: str, fold: int | str) -> tuple[str, ...]:
    """The cases that the training of a fold did not see; none for "all".

    Raises:
        InputError: There are no splits, or they have no such fold.
    """
    return () if str(fold) == ALL else _split(folders, dataset, fold, "val")


def training_names(folders: TrainingFolders, dataset: str, fold: int | str) -> tuple[str, ...]:
    """The cases that a fold was trained on.

    Raises:
        InputError: As `raw_cases` and `validation_names`.
    """
    return tuple(raw_cases(folders, dataset)) if str(fold) == ALL else _split(folders, dataset, fold, "train")


def _split(folders: TrainingFolders, dataset: str, fold: int | str, part: str) -> tuple[str, ...]:
    try:
        splits = json.loads((folders.preprocessed / dataset / SPLITS_FILE).read_bytes())
    except (OSError, ValueError):
        raise InputError(
            f"preprocessed/{dataset}/{SPLITS_FILE} is missing or damaged, and with it what each fold was "
            "trained on; give the folder in which the training was made"
        ) from None
    if not 0 <= int(fold) < len(splits):
        raise InputError(f"there is no fold {fold}; the dataset is split into folds 0 to {len(splits) - 1}")
    return tuple(splits[int(fold)][part])
