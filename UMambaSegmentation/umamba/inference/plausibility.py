"""Does the input look like what the model was trained on? Warnings only, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umamba.errors import InputError
from umamba.imaging.image import Image
from umamba.models.model import Model

# Air in Hounsfield units; a whole CT holds voxels near it.
AIR_HU = -1000
# A CT whose smallest value is at or above 0 and whose values reach beyond this is offset by 1024 or so.
OFFSET_CT_LEAST_MAXIMUM = 1_500
# Voxels looked at along each axis; enough for a minimum and a percentile.
SAMPLES_PER_AXIS = 64
NATURAL_ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".jpg")


def check_dimensions(images: Sequence[Image], model: Model) -> None:
    """Refuse a flat image for a model of volumes, and a volume for a model of photographs.

    Raises:
        InputError: The image's kind does not suit the model.
    """
    image = images[0]
    flat = image.geometry.axes == 2
    if flat and model.configuration.axes == 3:
        raise InputError(f"model {model.card.id!r} works on volumes; this is a flat (2D) image")
    natural_model = model.dataset.file_ending in NATURAL_ENDINGS
    if natural_model and not flat and image.data.shape[0] > 1:
        raise InputError(
            f"model {model.card.id!r} works on flat (2D) images; this is a volume of "
            f"{image.data.shape[0]} slices"
        )


def plausibility_warnings(images: Sequence[Image], model: Model) -> list[str]:
    """What looks wrong with the channels, judged by modality and intensities."""
    found = []
    for index, image in enumerate(images[: len(model.configuration.normalization)]):
        if model.configuration.normalization[index] == "CTNormalization":
            found += _ct_warnings(image, model.card.channels[index].name)
        elif image.modality == "CT" and (model.card.modality or "").upper().startswith("MR"):
            found.append(f"channel {model.card.channels[index].name}: a CT was given to a model of MR images")
    return found


def _ct_warnings(image: Image, channel: str) -> list[str]:
    if image.modality is not None and image.modality != "CT":
        return [f"channel {channel}: the model expects CT, the image is {image.modality}"]
    data = image.data
    sample = data[tuple(slice(None, None, max(size // SAMPLES_PER_AXIS, 1)) for size in data.shape)]
    low, high = float(np.min(sample)), float(np.max(sample))
    if low < 0 or low == high:
        return []
    if high >= OFFSET_CT_LEAST_MAXIMUM:
        return [
            f"channel {channel}: values from {low:.0f} to {high:.0f} look like CT stored with an offset; "
            "subtract 1024 (or apply the rescale intercept) to get Hounsfield units"
        ]
    return [
        f"channel {channel}: no value below 0 (air is {AIR_HU}); this does not look like CT in Hounsfield "
        "units and may be MR"
    ]
