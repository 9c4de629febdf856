"""What a training of a small Mamba-UNet leaves: plans, dataset and a checkpoint, in nnU-Net's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from umamba.nn import MambaUNet

TRAINER = "UMambaTrainer"
DATASET = {
    "channel_names": {"0": "MR"},
    "labels": {"background": 0, "a": 1, "b": 2},
    "file_ending": ".nii.gz",
}


def write_results(
    folder: Path,
    network: MambaUNet,
    sizes: dict[str, Any],
    patch_size: list[int],
    changes: dict[str, Any] | None = None,
) -> Path:
    """A results folder of a network with one channel and two labels; `changes` go into its configuration."""
    axes = len(patch_size)
    configuration = {2: "2d", 3: "3d_fullres"}[axes]
    entry = {
        "patch_size": patch_size,
        "spacing": [1.0] * axes,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {
            "network_class_name": "umamba.nn.MambaUNet",
            "arch_kwargs": sizes,
            "_kw_requires_import": [],
        },
    }
    plans = {
        "dataset_name": "Dataset001_Test",
        "plans_name": "MambaPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration: entry | (changes or {})},
    }
    place = folder / f"{TRAINER}__MambaPlans__{configuration}"
    (place / "fold_0").mkdir(parents=True)
    (place / "plans.json").write_text(json.dumps(plans))
    (place / "dataset.json").write_text(json.dumps(DATASET))
    content = {
        "network_weights": network.state_dict(),
        "init_args": {"plans": plans, "configuration": configuration, "fold": 0, "dataset_json": DATASET},
        "trainer_name": TRAINER,
        "inference_allowed_mirroring_axes": list(range(axes)),
    }
    torch.save(content, place / "fold_0" / "checkpoint_final.pth")
    return place
