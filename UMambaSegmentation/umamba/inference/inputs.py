"""What `segment` and `plan` accept as image and model, brought to one form each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from umamba.imaging.image import Image
from umamba.imaging.orientation import to_orientation
from umamba.imaging.read import read_channels
from umamba.inference.plausibility import check_dimensions
from umamba.models.model import Model

NATIVE = "native"


@dataclass(frozen=True)
class Channel:
    """One channel in the model's orientation.

    Attributes:
        original: As it was read.
        image: In the model's orientation.
        undo: Brings an array (Z, Y, X) from the model's orientation back to the original's.
    """

    original: Image
    image: Image
    undo: Callable[[np.ndarray], np.ndarray]


def load_model(model: str | Path | Model) -> Model:
    """A model by id or folder, or as it is.

    Raises:
        ModelError: No such model, or it is damaged.
    """
    if isinstance(model, Model):
        return model
    from umamba import models

    return models.get(model)


def load_channels(image: Any, model: Model, series: str | None = None) -> list[Channel]:  # noqa: ANN401
    """Read the channels that a model wants and bring them to its orientation.

    Args:
        image: A path, an `Image`, a SimpleITK image, or a list with one of these per channel; texts of the
            form "NAME=path" name their channel.
        model: The model.
        series: UID of a series, for a DICOM folder with several.

    Raises:
        InputError: Anything about the image that makes a correct result impossible.
    """
    sources: Sequence[Any] = image if isinstance(image, list | tuple) else [image]
    originals = read_channels(
        sources,
        model.dataset.channel_names,
        allow_grey_repeat=bool(getattr(model.card, "grey_repeat", False)),
        series=series,
    )
    check_dimensions(originals, model)
    channels = []
    for original in originals:
        if model.card.orientation == NATIVE or original.geometry.axes == 2:
            channels.append(Channel(original, original, _identity))
        else:
            oriented, undo = to_orientation(original, model.card.orientation)
            channels.append(Channel(original, oriented, undo))
    return channels


def _identity(array: np.ndarray) -> np.ndarray:
    return array
