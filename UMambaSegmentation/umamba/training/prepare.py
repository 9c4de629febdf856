"""From a dataset to what nnU-Net's trainer reads: checked, measured, planned, preprocessed, split."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.events import Monitor
from umamba.imaging.files import write_json
from umamba.training.dataset.check import check_dataset
from umamba.training.dataset.fingerprint import extract_fingerprint
from umamba.training.dataset.raw import DATASET_FILE, RawDataset
from umamba.training.dataset.splits import SPLITS_FILE, Split, check_fold, chooses_folds, make_splits
from umamba.training.folders import TRAINER, TrainingFolders
from umamba.training.kept import REMADE, load_kept
from umamba.training.locks import one_at_a_time
from umamba.training.next_stage import FOLDER as NEXT_STAGE
from umamba.training.planning.networks import CASCADE, LOWRES, NetworkChoice, check_configuration
from umamba.training.planning.options import PlanOptions
from umamba.training.planning.presets import choice_of
from umamba.training.prepare_cases import preprocess_cases
from umamba.training.prepare_inventory import is_known, take_inventory, write_inventory
from umamba.training.words import by

FINGERPRINT_FILE = "dataset_fingerprint.json"


@dataclass(frozen=True)
class Prepared:
    """What to train, by its names in nnU-Net's layout, and what a person should know."""

    name: str
    plans_name: str
    configuration: str
    warnings: tuple[str, ...] = ()


def prepare(
    raw: RawDataset,
    folders: TrainingFolders,
    network: str,
    configuration: str,
    *,
    options: PlanOptions = PlanOptions(),  # noqa: B008  (frozen)
    split: Path | None = None,
    fold: int | str | None = None,
    preset: str | None = None,
    monitor: Monitor | None = None,
    processes: int = 1,
) -> Prepared:
    """Bring a dataset to where nnU-Net's trainer can begin; what is there already is not done again.

    Several networks, configurations and options can share one folder: they share cases and folds. Of two
    calls at the same time one waits for the other.

    Args:
        raw: The dataset; it is checked here, once.
        folders: Where everything goes. No image is copied.
        network: A name of `networks.NETWORKS`.
        configuration: A name of `networks.CONFIGURATIONS`.
        options: Choices that make other plans.
        split: A file with folds; None: those in the dataset's folder, else nnU-Net's.
        fold: The fold that is to be trained, so that one that does not exist is refused at once.
        preset: A name of `presets.PRESETS`, whose rules plan instead of the network's.
        monitor: Is told of the stages "check", "fingerprint" and "preprocess", and may cancel: the next call
            goes on where it was.
        processes: Processes to work with; with 1 all is done in this one.

    Raises:
        InputError: As `check_dataset`; the dataset changed since; the planner makes no such configuration; a
            cascade whose first stage is missing; no such fold; the disk is too small. What was wrong with the
            dataset itself leaves nothing behind.
    """
    monitor = monitor or Monitor()
    choice = choice_of(network, preset)
    check_configuration(configuration)
    home = folders.preprocessed / raw.name
    splits = _splits(home, raw, split)
    if fold is not None:
        check_fold(fold, splits)
    inventory = take_inventory(raw)
    known = is_known(home, inventory)
    warnings = () if known else check_dataset(raw, monitor, processes)
    with one_at_a_time(folders.root, monitor.check):
        if not is_known(home, inventory):
            write_inventory(home, inventory)
        if not (home / SPLITS_FILE).is_file():
            write_json(home / SPLITS_FILE, splits)
        _list_cases(folders, raw)
        fingerprint = _fingerprint(home, raw, monitor, processes)
        plans = _plans(folders, home, choice, options)
        _check_planned(plans, configuration)
        if configuration == CASCADE:
            _check_first_stage(folders, raw, plans["plans_name"])
        data = home / _data_of(plans, configuration)
        preprocess_cases(raw, data, plans, configuration, fingerprint, monitor, processes)
    return Prepared(raw.name, plans["plans_name"], configuration, warnings)


def _list_cases(folders: TrainingFolders, raw: RawDataset) -> None:
    """dataset.json: with the cases' files in raw/, where nnU-Net looks for them, and without elsewhere."""
    entries = {
        case.name: {"images": [str(path) for path in case.images], "label": str(case.label)}
        for case in raw.cases
    }
    folder = folders.raw / raw.name
    folder.mkdir(parents=True, exist_ok=True)
    content = {**raw.description, "numTraining": len(raw.cases)}
    write_json(folder / DATASET_FILE, {**content, "dataset": entries}, overwrite=True)
    write_json(folders.preprocessed / raw.name / DATASET_FILE, content, overwrite=True)


def _splits(home: Path, raw: RawDataset, own: Path | None) -> Split:
    """The folds that are there, for checkpoints may have been trained on them; else new ones.

    Raises:
        InputError: Others are there than a file asks for.
    """
    path = home / SPLITS_FILE
    if not path.is_file():
        return make_splits(raw, own)
    try:
        before: Split = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{home.name}/{path.name}: is damaged ({error}); {REMADE}") from error
    if chooses_folds(raw, own) and before != make_splits(raw, own):
        raise InputError(
            f"{home.name}: was split into other folds before; choose another folder with -o, or leave the "
            "file with the folds away"
        )
    return before


def _fingerprint(home: Path, raw: RawDataset, monitor: Monitor, processes: int) -> dict[str, Any]:
    path = home / FINGERPRINT_FILE
    if not path.is_file():
        write_json(path, extract_fingerprint(raw, monitor, processes))
    return load_kept(path)


def _plans(
    folders: TrainingFolders, home: Path, choice: NetworkChoice, options: PlanOptions
) -> dict[str, Any]:
    """The plans of that name, made where there are none."""
    path = home / f"{choice.plans_name}{options.suffix}.json"
    if not path.is_file():
        from umamba.training.planning.planners import PLANNERS

        with folders.activate(augmentation_processes=1), _quiet(), _quiet_errors():
            planner = PLANNERS[choice.planner](home.name)
            planner.follow(choice, options)
            planner.plan_experiment()
        described = load_kept(folders.raw / home.name / DATASET_FILE)
        described.pop("dataset")  # the planner copied the list
        write_json(home / DATASET_FILE, described, overwrite=True)
    return load_kept(path)


def _quiet() -> redirect_stdout[io.StringIO]:
    return redirect_stdout(io.StringIO())  # nnU-Net prints its plans


def _quiet_errors() -> redirect_stderr[io.StringIO]:
    return redirect_stderr(io.StringIO())  # and the readers that it tried


def _check_planned(plans: Mapping[str, Any], configuration: str) -> None:
    """Refuse a configuration that the planner left out, and say why it did.

    Raises:
        InputError: It is not among the plans.
    """
    known = plans["configurations"]
    if configuration in known:
        return
    if "3d_fullres" not in known:
        raise InputError(
            f"{configuration}: the images are flat, or too small for this network, and nothing was planned "
            "in 3D; take 2d"
        )
    full = known["3d_fullres"]
    raise InputError(
        f"{configuration}: not planned for this dataset, for its images are small: a patch of "
        f"{by(full['patch_size'])} voxels shows enough of the median image of "
        f"{by(map(round, full['median_image_size_in_voxels']))}; take 3d_fullres"
    )


def _check_first_stage(folders: TrainingFolders, raw: RawDataset, plans_name: str) -> None:
    """Refuse a cascade's second stage without the first one's segmentations, which its input needs.

    Raises:
        InputError: One is missing.
    """
    results = folders.of_configuration(raw.name, TRAINER, plans_name, LOWRES)
    folder = results / NEXT_STAGE / CASCADE
    missing = [case.name for case in raw.cases if not (folder / f"{case.name}.b2nd").is_file()]
    if missing:
        raise InputError(
            f"{CASCADE}: {LOWRES} has not segmented {len(missing)} of {len(raw.cases)} cases "
            f"({some(missing)}); train {LOWRES} with the same network and options in every fold first, each "
            "fold segments its share"
        )


def _data_of(plans: Mapping[str, Any], configuration: str) -> str:
    """Name of the folder with a configuration's cases; a cascade's are those that it inherits."""
    entry = plans["configurations"][configuration]
    while "data_identifier" not in entry:
        entry = plans["configurations"][entry["inherits_from"]]
    return str(entry["data_identifier"])
