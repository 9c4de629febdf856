"""The record that travels with every output. It holds no file name and nothing of the patient."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from umamba.inference.request import Request
from umamba.inference.runplan import RunPlan
from umamba.models.model import Model
from umamba.version import __version__


def make_provenance(
    stages: Sequence[Model],
    plan: RunPlan,
    request: Request,
    warnings: Sequence[str],
    stage_seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Model, hashes, device, precision, plan, options, engine version and date as plain JSON values.

    Args:
        stages: The models that ran; the last one's labels came out.
        plan, request: How, and what was asked.
        warnings: Lines for the person.
        stage_seconds: Time spent in each stage.
    """
    return {
        "engine": "umamba",
        "engine_version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": _identity(stages[-1]),
        "previous_stages": [_identity(stage) for stage in stages[:-1]],
        "device": plan.device,
        "device_name": plan.device_name,
        "backend": plan.backend,
        "precision": plan.precision,
        "folds": list(plan.folds),
        "mirror": plan.mirror,
        "step": plan.step,
        "labels": None if request.labels is None else [str(label) for label in request.labels],
        "region_mm_lps": None if request.roi is None else list(request.roi),
        "around_mm_lps": None if request.around is None else list(request.around),
        "plan": plan.as_dict(),
        "seconds": {stage: round(value, 2) for stage, value in stage_seconds.items()},
        "warnings": list(warnings),
        "software": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "notice": "Research use only. Not a medical device.",
    }


def _identity(model: Model) -> dict[str, Any]:
    """What tells a model from every other."""
    card = model.card
    return {
        "id": card.id,
        "name": card.name,
        "version": card.version,
        "origin": card.origin,
        "licence": card.licence,
        "files": dict(card.files),
    }
