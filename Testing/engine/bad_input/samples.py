"""Models of a few kilobytes and images of a few thousand voxels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from peers.nnunet_peer import make_dataset, make_plans, write_results_folder

PATCH = (8, 16, 16)
# Larger than the patch on every axis, by no whole number of strides.
SHAPE = (10, 19, 22)
CLASSES = 4
CHECKPOINT = Path("fold_0") / "checkpoint_final.pth"
# An arg-max over noise would be one label nearly everywhere; smooth structures give every label its share.
SMOOTH_VOX = 1.5
# Whole numbers from 1 to 120 fit every number type, from int8 on, and leave nothing to crop.
LEAST, MOST = 1, 120

Change = Callable[[dict[str, Any]], object]


def make_image(shape: Sequence[int] = SHAPE, seed: int = 0) -> np.ndarray:
    """(Z, Y, X) float32, smooth, whole numbers from 1 to 120."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), SMOOTH_VOX, mode="wrap")
    low, high = noise.min(), noise.max()
    scaled = (noise - low) / max(high - low, np.finfo(float).tiny)
    return np.round(LEAST + scaled * (MOST - LEAST)).astype(np.float32)


def make_model(
    folder: Path,
    *,
    scheme: str = "ZScoreNormalization",
    channels: Sequence[str] = ("T1",),
    classes: int = CLASSES,
    patch: Sequence[int] = PATCH,
    spacing: Sequence[float] | None = None,
    features: Sequence[int] = (4, 8),
    seed: int = 0,
) -> Path:
    """A results folder of nnunetv2 with a PlainConvUNet of random weights, 2D or 3D by its patch.

    The last layer is shifted so that each class wins somewhere on `make_image`.
    """
    axes = len(patch)
    plans = make_plans(
        patch,
        spacing or (1.0,) * axes,
        features,
        ((1,) * axes, *[(2,) * axes] * (len(features) - 1)),
        [scheme] * len(channels),
    )
    root = write_results_folder(folder, plans, make_dataset(channels, classes), seed)
    change_weights(root, _balanced)
    return root


def _balanced(weights: dict[str, Any]) -> None:
    """Make the last layer's logits of one size: unit weights' length, no bias."""
    for key, tensor in weights.items():
        if ".seg_layers." in key and key.endswith("weight"):
            flat = tensor.flatten(1)
            centred = flat - flat.mean(dim=1, keepdim=True)
            tensor.copy_((centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-6)).reshape(tensor.shape))
        if ".seg_layers." in key and key.endswith("bias"):
            tensor.zero_()


def change_json(model: Path, name: str, change: Change) -> None:
    """Change plans.json or dataset.json of a results folder."""
    path = model / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_weights(model: Path, change: Change) -> None:
    """Change the weights (key to tensor, in place) of a results folder's only fold."""
    path = model / CHECKPOINT
    checkpoint = torch.load(path, weights_only=False)
    change(checkpoint["network_weights"])
    torch.save(checkpoint, path)


def only_configuration(plans: dict[str, Any]) -> dict[str, Any]:
    """The one configuration of such plans."""
    (configuration,) = plans["configurations"].values()
    return configuration
