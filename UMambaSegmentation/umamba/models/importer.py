"""`umamba models import`: from a results folder of nnU-Net or U-Mamba to models in the user's store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from umamba.errors import ModelError
from umamba.models import store
from umamba.models.accuracy import SUMMARY, measured_accuracy
from umamba.models.advice import AS_WRITTEN, GET_AGAIN, advising
from umamba.models.archive import Names, check_space, unpack
from umamba.models.card import check_id, check_orientation
from umamba.models.convert import left_out, stored_bytes, write_model
from umamba.models.describe import default_id, slug
from umamba.models.folder import DATASET, PLANS
from umamba.models.locate import CHECKPOINTS, POSTPROCESSING
from umamba.models.paths import FILE, kind_of
from umamba.models.results import Results, read_results

_LIST_CHARACTERS = 500


@dataclass(frozen=True)
class ImportReport:
    """What was taken, or would be.

    Attributes:
        id: Of the model; of a cascade that of the second stage.
        network, generation, configuration, origin, trainer: What it is.
        folds: Those stored.
        checkpoints: The file taken for each fold.
        size_bytes: Of the weights as stored.
        notes: What a person should know.
        previous_stage: The same of the first stage of a cascade, or None.
        stored: False for a dry run, and where the very same model lay in the store already.
    """

    id: str
    network: str
    generation: str | None
    configuration: str
    origin: str
    trainer: str
    folds: tuple[str, ...]
    checkpoints: Mapping[str, str]
    size_bytes: int
    notes: tuple[str, ...]
    previous_stage: ImportReport | None = None
    stored: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Stage:
    """One model to be made, and how it is to be called."""

    results: Results
    id: str
    name: str | None
    previous: str | None


def import_(
    path: str | os.PathLike[str],
    id: str | None = None,
    name: str | None = None,
    orientation: str = "native",
) -> str:
    """Import a results folder, as `import_results` does, and return the model's id."""
    return import_results(path, id=id, name=name, orientation=orientation).id


def import_results(
    path: str | os.PathLike[str],
    *,
    id: str | None = None,
    name: str | None = None,
    orientation: str = "native",
    dry_run: bool = False,
) -> ImportReport:
    """Import a results folder of any level, a zip of one, or one checkpoint, into the user's store.

    Args:
        path: Dataset folder, <Trainer>__<Plans>__<configuration>, fold folder, checkpoint, or a zip.
        id: The model's id; None takes the dataset's name and configuration in lower case with dashes. The
            first stage of a cascade gets its own default, or `id` with its configuration's name behind.
        name: What a person reads; None takes dataset and configuration.
        orientation: Three letters, as the training images lay, or "native" for nnU-Net's behaviour.
        dry_run: Only say what would be taken.

    Raises:
        ModelError: No model, several, or one that is unsafe, damaged or does not fit together; an id that
            is taken. Nothing is left in the store then.
        InputError: The store cannot be written to or has no room.
    """
    check_orientation(orientation)
    source = Path(path)
    with ExitStack() as stack:
        if source.suffix == ".zip" and kind_of(source) == FILE:
            folder = stack.enter_context(store.staging())
            with advising(AS_WRITTEN):
                unpack(source, folder, _choose)
                results = _read_unpacked(folder, source.name)
        else:
            with advising(AS_WRITTEN):
                results = read_results(source)
        stages = _stages(results, id, name)
        for stage in stages:
            store.check_free(stage.id)
        reports = [_report(stage) for stage in stages]
        if not dry_run:
            stored = _store(stages, orientation)
            reports = [replace(report, stored=new) for report, new in zip(reports, stored, strict=True)]
    return reports[0] if len(reports) == 1 else replace(reports[1], previous_stage=reports[0])


def _choose(names: Names) -> Names:
    """What an import needs of an archive: no logs, no validation images, no second-best checkpoints."""
    final, best = CHECKPOINTS
    chosen = []
    for name in names:
        wanted = name.name in (PLANS, DATASET, final, POSTPROCESSING)
        wanted |= name.name == best and name.with_name(final) not in names
        wanted |= name.parts[-2:] == SUMMARY.parts
        if wanted and name.parts[0] != "__MACOSX":
            chosen.append(name)
    return chosen


def _read_unpacked(folder: Path, name: str) -> Results:
    try:
        return read_results(folder)
    except ModelError as error:
        raise ModelError(str(error).replace(folder.name, name)) from None


def _stages(results: Results, model_id: str | None, name: str | None) -> list[_Stage]:
    """The models to make: one, or the two of a cascade, first stage first."""
    dataset_name = results.plans.dataset_name
    main = default_id(dataset_name, results.configuration.name) if model_id is None else check_id(model_id)
    if results.previous is None:
        return [_Stage(results, main, name, None)]
    configuration = results.previous.configuration.name
    first = default_id(dataset_name, configuration)
    if model_id is not None:
        first = check_id(f"{model_id}-{slug(configuration)}")
    return [_Stage(results.previous, first, None, None), _Stage(results, main, name, first)]


def _report(stage: _Stage) -> ImportReport:
    results = stage.results
    notes = list(results.notes)
    dropped = left_out(results)
    if dropped:
        notes.append(f"left out, for a run does not need it: {', '.join(dropped)[:_LIST_CHARACTERS]}")
    return ImportReport(
        id=stage.id,
        network=results.network,
        generation=results.generation,
        configuration=results.configuration.name,
        origin=results.origin,
        trainer=results.trainer,
        folds=tuple(results.checkpoints),
        checkpoints={fold: entry.path.name for fold, entry in results.checkpoints.items()},
        size_bytes=stored_bytes(results),
        notes=tuple(notes),
    )


def _store(stages: list[_Stage], orientation: str) -> list[bool]:
    """Write every stage beside the store's models, then move them in together."""
    with store.staging() as folder, advising(GET_AGAIN):
        check_space(folder, sum(stored_bytes(stage.results) for stage in stages))
        for stage in stages:
            write_model(
                stage.results,
                folder / stage.id,
                model_id=stage.id,
                name=stage.name,
                orientation=orientation,
                previous_stage=stage.previous,
                accuracy=measured_accuracy(stage.results),
            )
        return store.publish_all(folder, [stage.id for stage in stages])
