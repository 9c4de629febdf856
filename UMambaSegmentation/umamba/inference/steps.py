"""The steps of the pipeline in the open, for tests and the curious. These may hold everything in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from umamba.events import Monitor
from umamba.inference.device import choose_device
from umamba.inference.inputs import load_channels, load_model
from umamba.inference.pipeline import crop, preprocess_cropped
from umamba.inference.predictor import Ensemble, tile_weights, tiling_for
from umamba.inference.preprocessing import Preprocessed
from umamba.inference.request import choose_folds, choose_mirror_axes
from umamba.inference.slab import finished_planes
from umamba.models.model import Model


def preprocess(image: Any, model: str | Path | Model, previous: np.ndarray | None = None) -> Preprocessed:  # noqa: ANN401
    """The network's input for an image: oriented, transposed, cropped, normalised, resampled.

    Args:
        image: As for `umamba.segment`.
        model: Id, folder or model.
        previous: For a cascade's second stage, the label map (Z, Y, X) of the first, in the model's
            orientation.
    """
    chosen = load_model(model)
    oriented = [channel.image for channel in load_channels(image, chosen)]
    return preprocess_cropped(crop(oriented, chosen), chosen, Monitor(), previous)


def logits(
    preprocessed: Preprocessed,
    model: str | Path | Model,
    *,
    folds: str | Sequence[str | int] = "all",
    mirror: bool | None = None,
    step: float = 0.5,
    device: str = "cpu",
) -> np.ndarray:
    """The sliding window's result before resampling, (K, Z, Y, X) float32."""
    chosen = load_model(model)
    place = choose_device(device).torch
    ensemble = Ensemble(chosen, choose_folds(chosen, folds), place)
    axes = choose_mirror_axes(chosen, mirror)
    tiling = tiling_for(preprocessed.layout.shape, chosen.configuration, step)
    planes = finished_planes(
        torch.from_numpy(preprocessed.data),
        tiling,
        tile_weights(tiling, place),
        chosen.dataset.labels.heads,
        lambda tile: ensemble.predict(tile, axes),
        lambda _: None,
    )
    return np.concatenate([part.cpu().numpy().copy() for part in planes], axis=1)
