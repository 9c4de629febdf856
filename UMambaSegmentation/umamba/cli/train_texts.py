"""What `umamba train` says before and after the work."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from umamba.evaluation.pairs import counted

if TYPE_CHECKING:
    from umamba.evaluation.result import Evaluation
    from umamba.training.dataset.raw import RawDataset
    from umamba.training.run import Job
    from umamba.training.settings import Settings


def introduction(settings: Settings, job: Job, raw: RawDataset) -> Iterator[str]:
    """What is trained, on what, where: for a person."""
    from umamba.plans import parse_plans

    planned = parse_plans(job.plans()).configuration(job.configuration)
    channels = ", ".join(raw.description["channel_names"].values())
    labels = ", ".join(name for name in raw.description["labels"] if name != "background")
    patch = " x ".join(map(str, planned.patch_size))
    features = planned.architecture.features
    yield f"{raw.name}: {counted(len(raw.cases), 'case')}; channels {channels}; labels {labels}"
    yield (
        f"{settings}: patch {patch}, batch {planned.batch_size}, "
        f"{len(features)} stages of {features[0]} to {max(features)} channels"
    )


def result(job: Job, evaluation: Evaluation) -> dict[str, Any]:
    """The event of the end."""
    return {
        "results": str(job.results),
        "fold": job.fold,
        "cases": len(evaluation.cases),
        "dice": _dice(evaluation),
    }


def _dice(evaluation: Evaluation) -> dict[str, float | None]:
    """Mean Dice of each label over the validation cases."""
    if not evaluation.cases:
        return {}
    rows = evaluation.mean[evaluation.convention.rows]
    return {name: figures.get("Dice") for name, figures in rows.items()}


def summary(job: Job, evaluation: Evaluation, seconds: float) -> Iterator[str]:
    """The validation's table, where everything lies, and what to type next."""
    from umamba.inference.runplan import human_seconds
    from umamba.training.log import CURVES, figure

    dice = _dice(evaluation)
    width = max((len(name) for name in dice), default=0)
    for name, value in dice.items():
        yield f"  {name:<{width}}  Dice {figure(value)}"
    if dice:
        yield f"  means of {counted(len(evaluation.cases), 'validation case')}"
    took = human_seconds(seconds)
    curves = f"curves in fold_{job.fold}/{CURVES}"
    yield f"prepared, trained and validated in {took}; results in {job.results}, {curves}"
    archive = f"{job.name.partition('_')[2].lower()}.zip"
    yield f"next: umamba package {shlex.quote(str(job.results))} {shlex.quote(archive)}"
