"""`umamba package`: from a training's results to one file that a colleague installs.

The file is that of `umamba models export`: a model folder (two for a cascade) with card, plans and weights.
What the card says was read from the results, measured, or given by the person; nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from umamba.errors import InputError, ModelError
from umamba.events import Monitor
from umamba.models import store
from umamba.models.advice import AS_WRITTEN, advising
from umamba.models.archive import check_space
from umamba.models.card import Card, check_orientation, read_card
from umamba.models.convert import stored_bytes
from umamba.models.exchange import check_target, pack_models
from umamba.models.half import too_large_for_half
from umamba.models.importer import NATIVE
from umamba.models.locate import CHECKPOINTS, UNFINISHED
from umamba.models.package_card import card_content, checked_fields, write_card, write_stage
from umamba.models.package_folds import with_folds
from umamba.models.results import Results, read_results
from umamba.models.spdx import is_known
from umamba.models.stages import Stage, stages_of
from umamba.models.verification import verify_folder

HALF, FULL = "float16", "float32"
TYPES = {HALF: "F16", FULL: "F32"}
# Dice between the labels of rounded and unrounded weights, of each label over the cases looked at: below this
# the rounding does more than move a few voxels of a surface.
LEAST_AGREEMENT = 0.99
PREVIEW = "preview.png"
_FINISH = "finish it (umamba train --resume), or take it as it is (--allow-unfinished)"


@dataclass(frozen=True)
class Comparison:
    """Labels by the rounded weights held against those by the weights as trained.

    Attributes:
        cases, voxels: What was looked at.
        changed: Voxels whose label differs.
        agreement: Dice between the two, of the label where it is lowest, all cases taken together.
    """

    cases: int
    voxels: int
    changed: int
    agreement: float


class TrainingData(Protocol):
    """What is still there of the images that results were trained on; None or nothing where it is not."""

    def trained_on(self, results: Results) -> int | None:
        """How many cases the folds of these results were trained on."""

    def orientations(self, results: Results) -> Sequence[str]:
        """How some of the training images lie, as three letters each."""

    def compare(self, results: Results, folder: Path) -> Comparison | None:
        """Segment some validation cases with the model folder and with the weights as trained."""

    def draw(self, results: Results, folder: Path, case: str, picture: Path) -> None:
        """Draw a validation case with the model folder's labels."""


@dataclass(frozen=True)
class PackageReport:
    """What was packaged.

    Attributes:
        id: Of the model; of a cascade that of the second stage, `previous_stage` that of the first.
        file: The zip file.
        size_bytes: Its size.
        folds: Those in it.
        precision: "float16" or "float32".
        card: As in the file.
        notes: What a person should know.
    """

    id: str
    file: str
    size_bytes: int
    folds: tuple[str, ...]
    precision: str
    card: Mapping[str, Any]
    notes: tuple[str, ...]
    previous_stage: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def package(
    path: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    fields: Mapping[str, Any] | None = None,
    folds: str | Sequence[str] = "all",
    precision: str = HALF,
    allow_unfinished: bool = False,
    overwrite: bool = False,
    data: TrainingData | None = None,
    preview: str | None = None,
    monitor: Monitor | None = None,
) -> PackageReport:
    """Write the model of a training as one file.

    Args:
        path: Results of `umamba train`, nnU-Net v2 or U-Mamba at any level, or a checkpoint.
        file: The zip file; it appears whole or not at all.
        fields: Fields of a card that the person gives (`package_card.FIELDS`); they win over what is known.
        folds: "all" (those that a run averages), "best" (by its validation), or some by name.
        precision: "float16" or "float32"; weights that do not bear rounding stay float32, with a note.
        allow_unfinished: Take the latest checkpoint of a training that has not finished.
        overwrite: Whether an existing file is replaced.
        data: The images of the training, to look at what rounding does; None: it is not looked at.
        preview: Name of a validation case to draw; the picture shows a patient.
        monitor: Progress and cancel.

    Raises:
        ModelError: No model, several, or one that is unsafe, damaged or does not fit together.
        InputError: The file exists; fields that do not fit; an unfinished training; no room.
        Cancelled: `monitor` said so; nothing was written.
    """
    monitor = monitor or Monitor()
    target = check_target(file, overwrite)
    given = checked_fields(fields or {})
    with advising(AS_WRITTEN):
        results = with_folds(_read(Path(path), allow_unfinished), folds)
    stages = stages_of(results, given.pop("id", None), given.pop("name", None))
    orientation = check_orientation(given.pop("orientation", NATIVE))
    _check_orientation(orientation, results, data)
    models = [
        (stage, card_content(stage, orientation, given, _cases(stage, data), is_main=stage is stages[-1]))
        for stage in stages
    ]
    notes = _notes(stages, given)
    with store.staging() as folder:
        check_space(folder, 2 * sum(stored_bytes(stage.results) for stage in stages))
        made = _make(models, folder, precision, data, monitor)
        if made.why_full:
            notes.append(f"kept in {FULL}, for {made.why_full}")
        for (stage, content), place in zip(models, made.folders, strict=True):
            _finish(stage, content, place, given, made)
        card = _with_picture(models, made, data, preview)
        for place in made.folders:
            verify_folder(place, monitor)
        pack_models(target, made.folders, monitor)
    if not card.accuracy:
        notes.append("the card has no measured accuracy, for there is no validation of these very weights")
    return PackageReport(
        id=card.id,
        file=str(target),
        size_bytes=target.stat().st_size,
        folds=tuple(results.checkpoints),
        precision=made.precision,
        card=card.as_dict(),
        notes=tuple(notes),
        previous_stage=card.network.previous_stage,
    )


@dataclass(frozen=True)
class _Made:
    """Model folders, first stage first, their precision, and what is known of the rounding."""

    folders: tuple[Path, ...]
    precision: str
    comparison: Comparison | None = None
    why_full: str = ""


_Models = Sequence[tuple[Stage, Mapping[str, Any]]]


def _make(
    models: _Models, folder: Path, precision: str, data: TrainingData | None, monitor: Monitor
) -> _Made:
    """Write the folders, in half precision if that is wanted and changes nothing that matters."""
    why = ""
    if precision == HALF:
        faults = [too_large_for_half(stage.results, monitor) for stage, _ in models]
        why = next((f"weights are too large: {fault}" for fault in faults if fault), "")
        if not why:
            folders = _write(models, folder / HALF, HALF, monitor)
            comparison = data.compare(models[-1][0].results, folders[-1]) if data else None
            if comparison is None or comparison.agreement >= LEAST_AGREEMENT:
                return _Made(folders, HALF, comparison)
            why = f"rounding changes labels (Dice {comparison.agreement:.4f} to those before)"
    return _Made(_write(models, folder / FULL, FULL, monitor), FULL, None, why)


def _write(models: _Models, folder: Path, precision: str, monitor: Monitor) -> tuple[Path, ...]:
    folder.mkdir()
    for stage, content in models:
        write_stage(stage, folder / stage.id, content, TYPES[precision], monitor)
    return tuple(folder / stage.id for stage, _ in models)


def _finish(
    stage: Stage, content: Mapping[str, Any], folder: Path, given: Mapping[str, Any], made: _Made
) -> None:
    """Say on what weights the accuracy was measured, where it is not the person's."""
    if made.precision == FULL or not content.get("accuracy") or "accuracy" in given:
        return
    remark = f"; measured before the weights were rounded to {HALF}"
    if made.comparison is not None and stage.id == made.folders[-1].name:
        found = made.comparison
        remark += (
            f", which changes {found.changed} of {found.voxels} voxels in {found.cases} of "
            f"{'these cases' if found.cases > 1 else 'the cases'}"
        )
    entries = [{**entry, "data": f"{entry['data']}{remark}"} for entry in content["accuracy"]]
    write_card(folder, {**content, "accuracy": entries})


def _with_picture(models: _Models, made: _Made, data: TrainingData | None, preview: str | None) -> Card:
    """Draw the case that was asked for; give the card of the model."""
    folder = made.folders[-1]
    card = read_card(folder)
    if preview is None:
        return card
    if data is None:
        raise InputError(f"the case {preview!r} cannot be drawn, for the training's images are not at hand")
    data.draw(models[-1][0].results, folder, preview, folder / PREVIEW)
    return write_card(folder, card.as_dict())


def _read(path: Path, allow_unfinished: bool) -> Results:
    """The results, of a finished training unless another will do.

    Raises:
        ModelError: As `read_results`; the training goes on.
    """
    try:
        results = read_results(path, unfinished=allow_unfinished)
    except ModelError as error:
        if "has not finished" in str(error):
            raise ModelError(f"{error}; {_FINISH}") from None
        raise
    for stage in (results.previous, results):
        for checkpoint in stage.checkpoints.values() if stage and not allow_unfinished else ():
            latest = checkpoint.path.with_name(UNFINISHED)
            if checkpoint.path.name != CHECKPOINTS[0] and latest.is_file():
                raise ModelError(
                    f"{checkpoint.path.parent.name}: {latest.name} found and no {CHECKPOINTS[0]}: the "
                    f"training has not finished; {_FINISH}"
                )
    return results


def _cases(stage: Stage, data: TrainingData | None) -> int | None:
    return None if data is None else data.trained_on(stage.results)


def _check_orientation(orientation: str, results: Results, data: TrainingData | None) -> None:
    """A wrong orientation would turn every image away from what the network learnt.

    Raises:
        InputError: Some of the training images are at hand and lie otherwise.
    """
    found = data.orientations(results) if data is not None and orientation != NATIVE else ()
    other = [letters for letters in found if letters != orientation]
    if other:
        raise InputError(
            f"orientation {orientation} found, but {len(other)} of {len(found)} training images looked at "
            f"lie {', '.join(sorted(set(other)))}; give what they have, or {NATIVE}"
        )


def _notes(stages: Sequence[Stage], given: Mapping[str, Any]) -> list[str]:
    notes = [f"{stage.id}: {note}" for stage in stages for note in stage.results.notes]
    notes += [
        f"fold_{fold}: the weights after epoch {checkpoint.epochs} of a training that has not finished"
        for fold, checkpoint in stages[-1].results.checkpoints.items()
        if checkpoint.path.name == UNFINISHED and checkpoint.epochs is not None
    ]
    licence = given.get("licence")
    if licence and not is_known(licence):
        notes.append(
            f"licence {licence[:80]!r} is none of the SPDX identifiers known here; CC-BY-4.0 is one, for "
            "example (spdx.org/licenses)"
        )
    if not licence:
        notes.append("the card names no licence, so that nobody may use the model yet; give one (--licence)")
    return notes
