"""What `segment` and `plan` accept as image and model, brought to one form each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from umamba.imaging.checks import checked_voxels
from umamba.imaging.image import Image
from umamba.imaging.orientation import Undo, to_orientation
from umamba.imaging.read import read_channels
from umamba.inference.plausibility import check_dimensions
from umamba.models.model import Model

NATIVE = "native"
# Images that a caller holds are never changed; those read from files are the run's own.
IN_MEMORY = "memory"
NARROW = np.dtype(np.int16)


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
    undo: Undo


def load_model(model: str | Path | Model) -> Model:
    """A model by id or folder, or as it is.

    Raises:
        ModelError: No such model, or it is damaged.
    """
    if isinstance(model, Model):
        return model
    from umamba import models

    return models.get(model)


def load_channels(
    image: Any,  # noqa: ANN401
    model: Model,
    series: str | None = None,
    voxels: bool = True,
) -> list[Channel]:
    """Read the channels that a model wants and bring them to its orientation.

    Args:
        image: A path, an `Image`, a SimpleITK image, or a list with one of these per channel; texts of the
            form "NAME=path" name their channel.
        model: The model.
        series: UID of a series, for a DICOM folder with several.
        voxels: False leaves what is wrong with voxels to `clean`.

    Raises:
        InputError: Anything about the image that makes a correct result impossible.
    """
    sources: Sequence[Any] = image if isinstance(image, list | tuple) else [image]
    originals = read_channels(
        sources,
        channel_names(model),
        allow_grey_repeat=bool(getattr(model.card, "grey_repeat", False)),
        series=series,
        voxels=voxels,
    )
    if all(isinstance(source, str | Path) for source in sources):  # an array in the caller's hands stays it
        originals = [narrowed(original) for original in originals]
    names = [_names(source) for source in sources]
    originals = [
        _without_names(original, names[min(index, len(names) - 1)], channel_names(model)[index])
        for index, original in enumerate(originals)
    ]
    check_dimensions(originals, model)
    channels = []
    for original in originals:
        if model.card.orientation == NATIVE or original.geometry.axes == 2:
            channels.append(Channel(original, original, Undo()))
        else:
            oriented, undo = to_orientation(original, model.card.orientation)
            channels.append(Channel(original, oriented, undo))
    return channels


def channel_names(model: Model) -> list[str]:
    """What the channels are called: the person's names, where the card has other ones than the training."""
    return [channel.name for channel in model.card.channels]


def clean(images: Sequence[Image], model: Model) -> list[Image]:
    """The channels with voxels fit for statistics, and with the warnings about them.

    Args:
        images: The channels, or the part of them that the run looks at: nothing else is read.
        model: The model, which names the channels.

    Raises:
        InputError: Not one voxel holds a finite number.
    """
    return [
        checked_voxels(image, f"channel {name}", own=image.source != IN_MEMORY)
        for image, name in zip(images, channel_names(model), strict=True)
    ]


def narrowed(image: Image) -> Image:
    """The same values in 16 bits where wider integers do not need more: many a CT is stored as int32."""
    data = image.data
    if data.dtype.kind not in "iu" or data.dtype.itemsize <= NARROW.itemsize:
        return image
    limits = np.iinfo(NARROW)
    if data.min() < limits.min or data.max() > limits.max:
        return image
    return image.with_data(data.astype(NARROW))


def _names(source: object) -> list[str]:
    """What a source's file or folder is called, as texts that a warning may begin with."""
    if not isinstance(source, str | Path):
        return []
    path = Path(str(source))
    return [path.name, Path(str(source).partition("=")[2]).name]


def _without_names(image: Image, names: Sequence[str], channel: str) -> Image:
    """Name the channel in warnings in the file's place: they travel with results, file names may not."""
    known = sorted({name for name in (*names, *image.files) if name}, key=len, reverse=True)
    lines = []
    for line in image.warnings:
        for name in known:
            line = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", f"channel {channel}", line)
        lines.append(line)
    return replace(image, warnings=tuple(lines))
