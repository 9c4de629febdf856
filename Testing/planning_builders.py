"""Plans from fingerprints, without images."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from dataset_builders import write_picture
from umamba.training import TrainingFolders
from umamba.training.planning.options import PlanOptions
from umamba.training.planning.presets import choice_of

NAME = "Dataset501_Planned"


def description_of(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """dataset.json of as many channels and labels."""
    labels = {"background": 0, **{f"label_{value}": value for value in range(1, fingerprint["labels"])}}
    channels = {str(channel): f"channel {channel}" for channel in range(fingerprint["channels"])}
    return {"channel_names": channels, "labels": labels, "file_ending": ".png"}


def planned(
    root: Path,
    fingerprint: dict[str, Any],
    network: str,
    options: PlanOptions,
    preset: str | None = None,
) -> dict[str, Any]:
    """What the planner of `network` makes of cases that are all alike."""
    from umamba.training.planning.planners import PLANNERS

    folders = TrainingFolders(root)
    picture = root / "any.png"
    write_picture(picture, np.zeros((8, 8), np.uint8))
    with folders.activate(augmentation_processes=1), redirect_stdout(io.StringIO()):
        for folder in (folders.raw / NAME, folders.preprocessed / NAME):
            folder.mkdir(exist_ok=True)
        entry = {"images": [str(picture)], "label": str(picture)}
        described = {"numTraining": fingerprint["numTraining"], "dataset": {"any": entry}}
        (folders.raw / NAME / "dataset.json").write_text(json.dumps(description_of(fingerprint) | described))
        measured = {
            "spacings": [fingerprint["spacing_after_transpose"]],
            "shapes_after_crop": [fingerprint["median_shape_after_resampling"]],
            "foreground_intensity_properties_per_channel": {},
            "median_relative_size_after_cropping": 1.0,
        }
        (folders.preprocessed / NAME / "dataset_fingerprint.json").write_text(json.dumps(measured))
        choice = choice_of(network, preset)
        planner = PLANNERS[choice.planner](NAME)
        planner.follow(choice, options)
        planner.plan_experiment()
    text = (folders.preprocessed / NAME / f"{planner.plans_identifier}.json").read_text(encoding="utf-8")
    plans: dict[str, Any] = json.loads(text)
    return plans
