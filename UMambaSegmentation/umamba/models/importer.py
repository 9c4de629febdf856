"""`umamba models import`: from a results folder of nnU-Net or U-Mamba to models in the user's store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from umamba.errors import ModelError
from umamba.events import Monitor
from umamba.models import store
from umamba.models.accuracy import RECORD, RESULTS, SUMMARY, measured_accuracy
from umamba.models.advice import AS_WRITTEN, GET_AGAIN, advising
from umamba.models.archive import Names, check_space, unpack
from umamba.models.card import Card, check_orientation
from umamba.models.convert import left_out, stored_bytes, write_model
from umamba.models.edits import CardEdits, edited
from umamba.models.folder import DATASET, PLANS
from umamba.models.locate import CHECKPOINTS, POSTPROCESSING
from umamba.models.mamba_unet_bare import BareOptions
from umamba.models.paths import FILE, kind_of
from umamba.models.results import Results, read_results
from umamba.models.stages import Stage, stages_of

NATIVE = "native"
_LIST_CHARACTERS = 500
_MEASURED = (SUMMARY.parts, RESULTS.parts, RECORD.parts)


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

    @property
    def all_notes(self) -> list[str]:
        """The notes of both stages of a cascade, those of the first behind its id."""
        first = self.previous_stage
        return [*([f"{first.id}: {note}" for note in first.all_notes] if first else ()), *self.notes]


@dataclass(frozen=True)
class Inspection:
    """What an import would give.

    Attributes:
        card: Of the model (of a cascade of its second stage); it names no files yet.
        report: What was found.
    """

    card: Card
    report: ImportReport


def import_(
    path: str | os.PathLike[str],
    id: str | None = None,
    name: str | None = None,
    orientation: str = NATIVE,
) -> str:
    """Import a results folder, as `import_results` does, and return the model's id."""
    return import_results(path, id=id, name=name, orientation=orientation).id


def import_results(
    path: str | os.PathLike[str],
    *,
    id: str | None = None,
    name: str | None = None,
    orientation: str = NATIVE,
    edits: CardEdits | None = None,
    labels: Sequence[str] | None = None,
    image_size: int | None = None,
    dry_run: bool = False,
    monitor: Monitor | None = None,
) -> ImportReport:
    """Import a results folder of any level, a zip of one, or one checkpoint, into the user's store.

    Args:
        path: Dataset folder, <Trainer>__<Plans>__<configuration>, fold folder, checkpoint, a zip, or a bare
            state dict of Mamba-UNet.
        id: The model's id; None takes the dataset's name and configuration in lower case with dashes. The
            first stage of a cascade gets its own default, or `id` with its configuration's name behind.
        name: What a person reads; None takes dataset and configuration.
        orientation: Three letters, as the training images lay, or "native" for nnU-Net's behaviour.
        edits: What a person changes in the card; of a cascade in both cards.
        labels, image_size: For a bare state dict, which says neither: names of the values 1, 2, ..., and the
            side in pixels to which slices are brought (224).
        dry_run: Only say what would be taken.
        monitor: Progress and cancel.

    Raises:
        ModelError: No model, several, or one that is unsafe, damaged or does not fit together; an id that
            is taken. Nothing is left in the store then.
        InputError: The store cannot be written to or has no room; edits that do not fit.
        Cancelled: `monitor` said so; nothing is left in the store.
    """
    check_orientation(orientation)
    monitor = monitor or Monitor()
    given = labels is not None or image_size is not None
    bare = BareOptions(labels, image_size) if given else None
    with _opened(Path(path), monitor, bare) as results:
        stages = stages_of(results, id, name)
        for stage in stages:
            store.check_free(stage.id)
            if edits is not None:
                edited(stage.card(orientation), edits)  # said now, and not after the weights were written
        reports = [_report(stage) for stage in stages]
        if not dry_run:
            stored = _store(stages, orientation, edits, monitor)
            reports = [replace(report, stored=new) for report, new in zip(reports, stored, strict=True)]
    return _of_cascade(reports)


def inspect_results(path: str | os.PathLike[str], *, monitor: Monitor | None = None) -> Inspection:
    """Say what an import would give, and store nothing.

    Args:
        path: As for `import_results`.
        monitor: Progress and cancel.

    Raises:
        ModelError, InputError, Cancelled: As `import_results`.
    """
    with _opened(Path(path), monitor or Monitor()) as results:
        stages = stages_of(results, None, None)
        report = _of_cascade([_report(stage) for stage in stages])
        return Inspection(stages[-1].card(NATIVE), report)


@contextmanager
def _opened(path: Path, monitor: Monitor, bare: BareOptions | None = None) -> Iterator[Results]:
    """What was trained; of a zip its content lies in the store's staging folder meanwhile."""
    with ExitStack() as stack:
        if path.suffix == ".zip" and kind_of(path) == FILE:
            folder = stack.enter_context(store.staging())
            with advising(AS_WRITTEN):
                unpack(path, folder, _choose, monitor)
                results = _read_unpacked(folder, path.name, bare)
        else:
            with advising(AS_WRITTEN):
                results = read_results(path, bare=bare)
        monitor.check()
        yield results


def _of_cascade(reports: list[ImportReport]) -> ImportReport:
    return reports[0] if len(reports) == 1 else replace(reports[1], previous_stage=reports[0])


def _choose(names: Names) -> Names:
    """What an import needs of an archive: no logs, no validation images, no second-best checkpoints."""
    final, best = CHECKPOINTS
    chosen = []
    for name in names:
        wanted = name.name in (PLANS, DATASET, final, POSTPROCESSING)
        wanted |= name.name == best and name.with_name(final) not in names
        wanted |= name.parts[-2:] in _MEASURED
        if wanted and name.parts[0] != "__MACOSX":
            chosen.append(name)
    return chosen


def _read_unpacked(folder: Path, name: str, bare: BareOptions | None) -> Results:
    try:
        return read_results(folder, bare=bare)
    except ModelError as error:
        raise ModelError(str(error).replace(folder.name, name)) from None


def _report(stage: Stage) -> ImportReport:
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


def _store(stages: list[Stage], orientation: str, edits: CardEdits | None, monitor: Monitor) -> list[bool]:
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
                edits=edits,
                monitor=monitor,
            )
        return store.publish_all(folder, [stage.id for stage in stages])
