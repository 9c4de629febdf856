"""Fingerprint, plans and preprocessing by nnU-Net, with one of our networks in the plans.

nnU-Net starts worker processes for both, so a script that calls these needs a `__main__` guard.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from umamba.training.dataset import Case
from umamba.training.folders import TrainingFolders

__all__ = ["Case", "hold_out", "plan", "preprocess", "with_network", "write_dataset", "write_split"]

PLANNED = "nnUNetPlans"  # the name of nnU-Net's own plans, and of the data that they preprocess


def hold_out(names: Sequence[str], count: int, seed: int) -> tuple[list[str], list[str]]:
    """Split case names into (training, held out): `count` are drawn from the sorted names with `seed`."""
    held = set(random.Random(seed).sample(sorted(names), count))
    return [name for name in sorted(names) if name not in held], sorted(held)


def write_dataset(
    folders: TrainingFolders, name: str, cases: Sequence[Case], description: Mapping[str, Any]
) -> None:
    """Name `cases` to nnU-Net as dataset `name` ("Dataset004_Hippocampus"); no image is copied.

    Args:
        folders: The training's folders.
        name: nnU-Net's dataset name.
        cases: What is trained and validated on.
        description: Fields of dataset.json (`channel_names`, `labels`, `file_ending`).
    """
    entries = {
        case.name: {
            "images": [str(path.resolve()) for path in case.images],
            "label": str(case.label.resolve()),
        }
        for case in cases
    }
    folder = folders.raw / name
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "dataset.json", {**description, "numTraining": len(cases), "dataset": entries})


def plan(folders: TrainingFolders, name: str, processes: int = 1) -> dict[str, Any]:
    """nnU-Net's fingerprint and default plans of dataset `name`, as a dict."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    with folders.activate(augmentation_processes=1), redirect_stdout(io.StringIO()):
        (folders.preprocessed / name).mkdir(parents=True, exist_ok=True)
        extractor = DatasetFingerprintExtractor(name, processes)
        extractor.show_progress_bar = False
        extractor.run(overwrite_existing=True)
        ExperimentPlanner(name).plan_experiment()
    plans: dict[str, Any] = json.loads((folders.preprocessed / name / f"{PLANNED}.json").read_text("utf-8"))
    return plans


def with_network(
    plans: Mapping[str, Any],
    configuration: str,
    network: str,
    *,
    plans_name: str,
    base_features: int,
    most_features: int,
    batch_size: int,
) -> dict[str, Any]:
    """Plans that hold one configuration of `plans`, with another network and width.

    Args:
        plans: nnU-Net's plans.
        configuration: The entry to keep, "3d_fullres" for example.
        network: Class path of the network, "umamba.nn.UMambaBot" for example.
        plans_name: Name of the new plans.
        base_features, most_features: Channels of the first stage, doubled stage by stage, and their limit.
        batch_size: Patches of a step.
    """
    entry = json.loads(json.dumps(plans["configurations"][configuration]))
    entry["batch_size"] = batch_size
    architecture = entry["architecture"]
    architecture["network_class_name"] = network
    stages = architecture["arch_kwargs"]["n_stages"]
    architecture["arch_kwargs"]["features_per_stage"] = [
        min(base_features * 2**stage, most_features) for stage in range(stages)
    ]
    if network.endswith("UMambaEnc"):  # its Mamba layers are built for one patch size
        architecture["arch_kwargs"]["patch_size"] = entry["patch_size"]
    return {**plans, "plans_name": plans_name, "configurations": {configuration: entry}}


def preprocess(
    folders: TrainingFolders, name: str, plans: Mapping[str, Any], configuration: str, processes: int = 1
) -> None:
    """Store `plans` beside nnU-Net's and preprocess every case for `configuration`."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    plans_name = plans["plans_name"]
    _write_json(folders.preprocessed / name / f"{plans_name}.json", plans)
    preprocessor = DefaultPreprocessor(verbose=False)
    preprocessor.show_progress_bar = False
    with folders.activate():
        preprocessor.run(name, configuration, plans_name, num_processes=processes)


def write_split(
    folders: TrainingFolders, name: str, training: Sequence[str], validation: Sequence[str]
) -> None:
    """Fix fold 0 of dataset `name`."""
    split = [{"train": list(training), "val": list(validation)}]
    _write_json(folders.preprocessed / name / "splits_final.json", split)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
