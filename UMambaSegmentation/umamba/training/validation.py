"""The validation of a fold: its cases segmented as a user would, by `umamba.segment`, and measured.

What is written lies where nnU-Net has its own validation, in fold_<n>/validation: a label map for each case,
results.json and results.csv as `umamba evaluate` writes them, and which weights they are of. A first stage
of a cascade also leaves the label maps that the second is trained with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError
from umamba.events import Monitor
from umamba.models.accuracy import RECORD, RESULTS
from umamba.training.dataset.of_training import raw_cases, validation_names
from umamba.training.dataset.raw import Case
from umamba.training.folders import TrainingFolders
from umamba.training.next_stage import find_map, next_stages, write_map
from umamba.version import __version__

if TYPE_CHECKING:
    from umamba.evaluation.result import Evaluation
    from umamba.inference.session import LoadedModel
    from umamba.models.model import Model

STAGE = "validate"
TABLE = "results.csv"


@dataclass(frozen=True)
class _Fold:
    """One validation.

    Attributes:
        model: With the weights of this fold alone, in both stages of a cascade.
        folder: fold_<n>.
        cases: What is segmented and measured.
        next_stages: Of each second stage's configuration the folder for its label maps.
    """

    model: Model
    folder: Path
    cases: tuple[Case, ...]
    next_stages: dict[str, Path]

    def prediction(self, case: Case) -> Path:
        """Where the label map of a case lies, in the format of its reference where that can be written."""
        from umamba.imaging.files import suffix_of
        from umamba.imaging.write import LABEL_SUFFIXES

        suffix = suffix_of(case.label)
        return (
            self.folder / RESULTS.parent / f"{case.name}{suffix if suffix in LABEL_SUFFIXES else '.nii.gz'}"
        )

    def left(self, case: Case) -> list[Path | None]:
        """Every file that a case leaves, None for one that is not there (yet)."""
        prediction = self.prediction(case)
        maps = [find_map(folder, case.name) for folder in self.next_stages.values()]
        return [prediction if prediction.is_file() else None, *maps]


def validate(
    results_folder: Path,
    folders: TrainingFolders,
    fold: int | str,
    *,
    device: str = "auto",
    threads: int | None = None,
    cases: Sequence[str] | None = None,
    monitor: Monitor | None = None,
) -> Evaluation:
    """Segment and measure the validation cases of one fold; a validation that was stopped goes on.

    A case that is there already is not segmented again, unless it is of other weights.

    Args:
        results_folder: <Trainer>__<Plans>__<configuration> with fold_<fold> in it.
        folders: The folders of the training, with the list of the images and the splits.
        fold: Number of the fold, or "all", which has no validation cases of its own.
        device, threads: As for `umamba.segment`.
        cases: Names of other cases to take in place of the fold's.
        monitor: Progress and cancel; what was finished by then stays.

    Returns:
        The figures by the default convention, of no case for "all" without `cases`.

    Raises:
        InputError: The fold is not trained, a case or the splits are missing, a folder cannot be written.
        Cancelled: `monitor` said so.
    """
    monitor = monitor or Monitor()
    chosen = _fold(results_folder, folders, fold, cases)
    if chosen.cases:
        _begin(chosen)
    evaluation = _measure(chosen, folders, device, threads, monitor)
    if chosen.cases:
        for name in (RESULTS.name, TABLE):
            evaluation.write(chosen.folder / RESULTS.parent / name, overwrite=True)
    return evaluation


def _fold(
    results_folder: Path, folders: TrainingFolders, fold: int | str, names: Sequence[str] | None
) -> _Fold:
    """The model and the cases.

    Raises:
        InputError: As `validate`.
    """
    from umamba import models

    folder = results_folder / f"fold_{fold}"
    model = models.get(folder)
    if model.previous is not None:  # another fold's first stage may have been trained on these very cases
        if str(fold) not in model.previous.folds:
            raise InputError(
                f"fold {fold}: the cascade's first stage, {model.previous.configuration.name}, is not "
                "trained in this fold; train it first"
            )
        model = replace(model, previous=replace(model.previous, folds=(str(fold),)))
    dataset = model.plans.dataset_name
    if names is None:
        names = validation_names(folders, dataset, fold)
    known = raw_cases(folders, dataset) if names else {}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(
            f"raw/{dataset}: {len(missing)} of the {len(names)} cases of fold {fold} are not in the list of "
            f"the training's images, {missing[0]} for one; prepare the dataset anew"
        )
    return _Fold(model, folder, tuple(known[name] for name in names), next_stages(results_folder, model))


def _begin(chosen: _Fold) -> None:
    """Make the folder; clear it of what other weights, or another version, have left there."""
    record = chosen.folder / RECORD
    wanted = {"umamba": __version__, "weights": dict(_weights(chosen.model))}
    try:
        record.parent.mkdir(exist_ok=True)
        for folder in chosen.next_stages.values():
            folder.mkdir(parents=True, exist_ok=True)
        if _read(record) == wanted:
            return
        stale = [path for case in chosen.cases for path in chosen.left(case) if path is not None]
        for path in (record.parent / RESULTS.name, record.parent / TABLE, *stale):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{chosen.folder.name}/{record.parent.name}: cannot be written ({error.strerror}); make room "
            "there or allow writing"
        ) from error
    from umamba.imaging.files import write_json

    write_json(record, wanted, overwrite=True)


def _weights(model: Model) -> Iterator[tuple[str, str]]:
    """File and SHA-256 of the weights and plans of every stage."""
    if model.previous is not None:
        yield from ((f"previous/{name}", digest) for name, digest in model.previous.card.files.items())
    yield from model.card.files.items()


def _read(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _measure(
    chosen: _Fold, folders: TrainingFolders, device: str, threads: int | None, monitor: Monitor
) -> Evaluation:
    """Segment what is not there yet, and score every case."""
    from umamba.evaluation.api import choose, score_case
    from umamba.evaluation.conventions import DEFAULT
    from umamba.evaluation.gather import gather
    from umamba.evaluation.labels import find_naming
    from umamba.evaluation.pairs import Pair
    from umamba.evaluation.scores import Settings
    from umamba.inference.session import LoadedModel

    pairs = [Pair(case.name, case.label, chosen.prediction(case)) for case in chosen.cases]
    raw = folders.raw / chosen.model.plans.dataset_name
    settings = Settings(naming=find_naming(None, raw, chosen.folder, pairs))
    convention = choose(DEFAULT)
    loaded = LoadedModel(chosen.model)
    found = []
    for done, (case, pair) in enumerate(zip(chosen.cases, pairs, strict=True)):
        monitor.step(STAGE, done, len(pairs))
        if None in chosen.left(case):
            _segment(chosen, folders, loaded, case, device, threads, monitor)
        found.append(score_case(pair, convention, settings))
    monitor.step(STAGE, len(pairs), len(pairs))
    return gather(pairs, found, convention, settings, settings.naming.warnings)


def _segment(
    chosen: _Fold,
    folders: TrainingFolders,
    loaded: LoadedModel,
    case: Case,
    device: str,
    threads: int | None,
    monitor: Monitor,
) -> None:
    """Write the label maps of one case, each whole or not at all."""
    from umamba.inference import segment

    images = list(case.images)
    # The run's own steps are not shown, but each is a chance to stop.
    result = segment(images, loaded, device=device, threads=threads, progress=lambda _: monitor.check())
    for stage, folder in chosen.next_stages.items():
        write_map(images, chosen.model, folders, stage, folder / case.name, device)
        monitor.check()
    result.write(chosen.prediction(case), overwrite=True)
