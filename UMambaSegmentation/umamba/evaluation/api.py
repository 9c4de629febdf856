"""`umamba.evaluate`: from two places with label maps to figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from umamba.errors import InputError
from umamba.evaluation.case import load
from umamba.evaluation.conventions import DEFAULT, LABELS, OBJECTS, PUBLISHED, Convention
from umamba.evaluation.gather import gather
from umamba.evaluation.labels import Naming, find_naming
from umamba.evaluation.pairs import Pair, find_pairs
from umamba.evaluation.result import Evaluation
from umamba.evaluation.scores import DEFAULT_TOLERANCE_MM, CaseScores, Settings, Tolerances
from umamba.evaluation.workers import run_all
from umamba.events import Monitor, Progress

STAGE = "evaluate"
DEFAULT_IOU = 0.5


def evaluate(
    reference: str | Path,
    prediction: str | Path,
    *,
    convention: str = DEFAULT,
    model: str | None = None,
    tolerance_mm: float | Mapping[str, float] | None = None,
    instances: bool = False,
    iou: float | Sequence[float] | None = None,
    border: int | None = None,
    allow_missing: bool = False,
    jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Evaluation:
    """Compare segmentations with references (docs/evaluation.md says how each figure is defined).

    Args:
        reference, prediction: Two label maps, or two folders of them with the same names.
        convention: "default", or a published one: "umamba-abdomen", "umamba-endoscopy", "umamba-cells",
            "mamba-unet".
        model: Id or folder of a model whose labels are scored; None asks dataset.json and segment names, and
            scores by value without them.
        tolerance_mm: For NSD, in mm (pixels for PNG and TIFF): one, or one for each label by name or value
            and under "" for the others (default 2).
        instances: The maps number objects: F1 instead of the measures of labels.
        iou: Least IoU of an object that was found, one or several (default 0.5).
        border: Objects that touch the outer so many pixels do not count (default 0; umamba-cells 2).
        allow_missing: Leave out references without a prediction instead of refusing them.
        jobs: Processes. Above 1 the caller's main module must be safe to import, as for `multiprocessing`.
        progress, cancel: As for `umamba.segment`.

    Raises:
        InputError: Options that do not go together; no pairs; a file that is no label map; grids that differ.
        Cancelled: `cancel` said so.
    """
    chosen = choose(convention, instances)
    tolerances = _tolerances(chosen, tolerance_mm)
    if not chosen.of_objects and not (iou is None and border is None):
        raise InputError("least IoU and border are for objects; add instances, or leave them out")
    reference, prediction = Path(reference), Path(prediction)
    pairs, warnings = find_pairs(
        reference, prediction, allow_missing=allow_missing, ending=chosen.reference_ending
    )
    by_value = chosen.of_objects or chosen.labels is not None
    if by_value and model is not None:
        raise InputError(f"a model's labels have no part in the convention {_shown(chosen)}; leave it out")
    naming = Naming(None) if by_value else find_naming(model, reference, prediction, pairs)
    tolerances.check(naming.labels)
    if border is not None and border < 0:
        raise InputError(f"border of {border} pixels: 0 or more are wanted")
    settings = Settings(
        naming=naming,
        tolerances=tolerances,
        thresholds=_thresholds(iou),
        border=chosen.border if border is None else border,
    )
    found = _score_all(pairs, chosen, settings, jobs, Monitor(progress, cancel))
    return gather(pairs, found, chosen, settings, [*warnings, *naming.warnings])


def choose(name: str, instances: bool = False) -> Convention:
    """The convention of this name.

    Raises:
        InputError: There is none, or it does not take instance maps.
    """
    if name == DEFAULT:
        return OBJECTS if instances else LABELS
    if name not in PUBLISHED:
        raise InputError(f"unknown convention {name!r}; choose {', '.join((DEFAULT, *PUBLISHED))}")
    if instances and not PUBLISHED[name].of_objects:
        raise InputError(f"the convention {name} measures labels, not instances; leave one of the two out")
    return PUBLISHED[name]


def score_case(pair: Pair, convention: Convention, settings: Settings) -> tuple[CaseScores, str]:
    """Figures of one case, and the unit of its distances.

    Raises:
        InputError: Naming the case.
    """
    maps = load(pair, settings.naming.labels)
    try:
        scores = convention.score(maps, settings)
    except InputError as error:
        raise InputError(f"case {pair.name}: {error}") from error
    scores = replace(scores, warnings=(*maps.warnings, *scores.warnings))
    return scores, convention.unit or maps.unit


def _score_all(
    pairs: Sequence[Pair], convention: Convention, settings: Settings, jobs: int, monitor: Monitor
) -> list[tuple[CaseScores, str]]:
    if jobs < 1:
        raise InputError(f"{jobs} processes were asked for; at least 1 is wanted")
    tasks = [(pair, convention, settings) for pair in pairs]
    done = 0
    monitor.step(STAGE, done, len(tasks))
    found: dict[int, tuple[CaseScores, str]] = {}
    for number, outcome in run_all(score_case, tasks, min(jobs, len(tasks)), monitor.check):
        found[number] = outcome
        done += 1
        monitor.step(STAGE, done, len(tasks))
    return [found[number] for number in range(len(tasks))]


def _tolerances(convention: Convention, given: float | Mapping[str, float] | None) -> Tolerances:
    """One tolerance, or by label with "" for the others.

    Raises:
        InputError: The convention has its own.
    """
    if given is None:
        return Tolerances()
    if not convention.takes_tolerances:
        raise InputError(f"a tolerance has no part in the convention {_shown(convention)}; leave it out")
    if isinstance(given, Mapping):
        by_label = {str(name): float(mm) for name, mm in given.items()}
        return Tolerances(by_label.pop("", DEFAULT_TOLERANCE_MM), by_label)
    return Tolerances(float(given))


def _thresholds(iou: float | Sequence[float] | None) -> tuple[float, ...]:
    given = (DEFAULT_IOU,) if iou is None else (iou,) if isinstance(iou, int | float) else tuple(iou)
    for least in given:
        if not 0 < least <= 1:
            raise InputError(f"least IoU {least:g}: a number above 0 and at most 1 is wanted")
    if not given:
        raise InputError("no least IoU is given; 0.5 is usual")
    return tuple(dict.fromkeys(given))


def _shown(convention: Convention) -> str:
    return f"{convention.name} of objects" if convention.of_objects else convention.name
