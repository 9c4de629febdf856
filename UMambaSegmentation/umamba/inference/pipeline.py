"""The steps before and after the network that the plans name: nnU-Net's, or Mamba-UNet's for ACDC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from umamba.errors import ModelError
from umamba.events import Monitor
from umamba.imaging.image import Image
from umamba.inference import acdc, preprocessing
from umamba.inference.export import PlaneExporter, Sinks
from umamba.inference.preprocessing import Cropped, Layout, Preprocessed
from umamba.models.card import Instances
from umamba.models.model import Model
from umamba.plans.configuration import ACDC_STEPS


def _certainty(model: Model) -> Instances | None:
    """How the card tells objects apart, if that asks for a certainty."""
    rule = model.card.instances
    return rule if rule is not None and rule.certainty else None


class Exporter(Protocol):
    """Takes finished planes of logits and writes labels."""

    def add(self, planes: np.ndarray) -> None:
        """Take the next planes, (K, n, Y, X) float32, in order."""


def crop(images: Sequence[Image], model: Model) -> Cropped:
    """What of the channels the network sees, and on which grid; no voxel is copied yet.

    Raises:
        InputError: The image leaves nothing for the network.
        ModelError: The plans ask for steps that do not go together.
    """
    if _certainty(model) and (_acdc(model) or model.dataset.labels.has_regions):
        raise ModelError("card.json: instances: a certainty needs nnU-Net's steps and plain labels")
    if not _acdc(model):
        return preprocessing.crop(images, model)
    if model.dataset.labels.has_regions or model.configuration.previous_stage is not None:
        raise ModelError(
            f"plans.json: the preprocessing {ACDC_STEPS!r} is for models of plain labels in one stage"
        )
    return acdc.crop(images, model)


def preprocess_cropped(
    cropped: Cropped,
    model: Model,
    monitor: Monitor,
    previous: np.ndarray | None = None,
    threads: int | None = None,
) -> Preprocessed:
    """The network's input; arguments as for nnU-Net's steps."""
    if _acdc(model):
        return acdc.preprocess_cropped(cropped, monitor)
    return preprocessing.preprocess_cropped(cropped, model, monitor, previous, threads)


def exporter(layout: Layout, model: Model, sinks: Sinks) -> Exporter:
    """What brings logits back to the image's grid."""
    if _acdc(model):
        return acdc.SliceExporter(layout, sinks)
    return PlaneExporter(layout, model.configuration, model.dataset.labels, sinks, _certainty(model))


def _acdc(model: Model) -> bool:
    return model.configuration.steps == ACDC_STEPS
