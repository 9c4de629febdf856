"""nnU-Net's preprocessing: transpose, crop to nonzero, normalise, resample, stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from umamba.errors import InputError
from umamba.events import Monitor
from umamba.imaging.image import Image
from umamba.imaging.resampling import new_shape, resample_image, resample_labels
from umamba.inference.crop import nonzero_box
from umamba.inference.normalize import normalize
from umamba.models.model import Model
from umamba.plans import Configuration, LabelRules

# The code that trained a model decides about two conventions.
FORK_ORIGIN = "u-mamba"


@dataclass(frozen=True)
class Layout:
    """How the voxels of an image relate to the network's input. Axes are in the network's order.

    Attributes:
        forward: Image axis (Z, Y, X) of each network axis.
        image_shape: Shape of the image, transposed.
        box: Half-open box of the nonzero crop, per axis.
        shape: Shape of the network's input, before padding.
        crop_spacing: mm of the cropped image.
        spacing: mm of the network's input.
        export_from, export_to: Spacings (mm) by which the way back decides on a separate axis; they
            differ from the two above only for the fork's models (facts of its export).
    """

    forward: tuple[int, int, int]
    image_shape: tuple[int, int, int]
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    shape: tuple[int, int, int]
    crop_spacing: tuple[float, float, float]
    spacing: tuple[float, float, float]
    export_from: tuple[float, float, float]
    export_to: tuple[float, float, float]

    @property
    def crop_shape(self) -> tuple[int, int, int]:
        """Shape of the cropped image."""
        z, y, x = (stop - start for start, stop in self.box)
        return z, y, x

    @property
    def crop_slices(self) -> tuple[slice, slice, slice]:
        """The crop as an index expression into the transposed image."""
        z, y, x = (slice(start, stop) for start, stop in self.box)
        return z, y, x


@dataclass(frozen=True)
class Preprocessed:
    """The network's input.

    Attributes:
        data: (C, Z, Y, X) float32, cropped and transposed; in a cascade one channel per foreground label
            follows the image's channels.
        layout: The way back to the image.
    """

    data: np.ndarray
    layout: Layout


@dataclass(frozen=True)
class Cropped:
    """A transposed view of the channels, with the nonzero crop found but no voxel copied yet."""

    channels: tuple[np.ndarray, ...]
    mask: np.ndarray | None
    layout: Layout


def crop(images: Sequence[Image], model: Model) -> Cropped:
    """Transpose the channels and find the nonzero box; fix the shape of the network's input."""
    forward = model.plans.transpose_forward
    configuration = model.configuration
    channels = tuple(image.data.transpose(forward) for image in images)
    mask, box = nonzero_box(channels)
    spacing_image = images[0].geometry.spacing_zyx
    spacing = _pick(spacing_image, forward)
    target = _target_spacing(configuration, spacing[0])
    crop_shape = [stop - start for start, stop in box]
    shape = new_shape(crop_shape, spacing, target)
    if min(shape) < 1:
        raise InputError(
            f"the image has {crop_shape} voxels of {_text(spacing)} mm, which leaves none at the model's "
            f"{_text(target)} mm; check the image's spacing"
        )
    # The fork hands its export the untransposed spacing; its labels depend on it.
    as_fork = model.card.origin == FORK_ORIGIN
    export_to = spacing_image if as_fork else spacing
    return Cropped(
        channels,
        mask,
        Layout(
            forward=forward,
            image_shape=channels[0].shape,
            box=box,
            shape=shape,
            crop_spacing=spacing,
            spacing=target,
            export_from=_target_spacing(configuration, export_to[0]),
            export_to=export_to,
        ),
    )


def preprocess_cropped(
    cropped: Cropped,
    model: Model,
    monitor: Monitor,
    previous: np.ndarray | None = None,
    threads: int | None = None,
) -> Preprocessed:
    """Normalise and resample each channel, one after the other, into the network's input.

    Args:
        cropped: From `crop`.
        model: The model.
        monitor: Progress and cancel.
        previous: Label map of the previous stage, (Z, Y, X) in the image's order, for a cascade.
        threads: Threads of the resampling.
    """
    configuration, layout = model.configuration, cropped.layout
    labels = model.dataset.labels
    extra = len(labels.values) if configuration.previous_stage else 0
    channels = len(cropped.channels)
    data = np.empty((channels + extra, *layout.shape), dtype=np.float32)
    for index, channel in enumerate(cropped.channels):
        monitor.step("preprocess", index, channels)
        part = np.array(channel[layout.crop_slices], dtype=np.float32, order="C")
        mask = cropped.mask if configuration.use_mask[index] else None
        part = normalize(part, configuration.normalization[index], mask, model.plans.intensities.get(index))
        data[index] = resample_image(
            part, layout.shape, configuration.data, layout.crop_spacing, layout.spacing, threads=threads
        )
    if extra:
        if previous is None:
            raise InputError("this model needs the label map of its previous stage")
        data[channels:] = _previous_stage_channels(previous, cropped, model, labels)
    monitor.step("preprocess", channels, channels)
    return Preprocessed(data, layout)


def _previous_stage_channels(
    previous: np.ndarray, cropped: Cropped, model: Model, labels: LabelRules
) -> np.ndarray:
    """One channel (float32, 0 or 1) per foreground label of the previous stage, on the network's grid."""
    layout = cropped.layout
    part = np.array(previous.transpose(layout.forward)[layout.crop_slices], dtype=np.int32, order="C")
    if cropped.mask is not None:
        part[(part == 0) & ~cropped.mask] = -1
    # batchgenerators changed the rule between the fork's time and nnunetv2 2.8.
    convention = "threshold" if model.card.origin == FORK_ORIGIN else "argmax"
    resampled = resample_labels(
        part,
        layout.shape,
        model.configuration.labels,
        layout.crop_spacing,
        layout.spacing,
        convention=convention,
    )
    return np.stack([resampled == value for value in labels.values]).astype(np.float32)


def _target_spacing(configuration: Configuration, first: float) -> tuple[float, float, float]:
    spacing = configuration.spacing
    if len(spacing) == 2:
        return first, spacing[0], spacing[1]
    return spacing[0], spacing[1], spacing[2]


def _pick(values: tuple[float, float, float], order: tuple[int, int, int]) -> tuple[float, float, float]:
    return values[order[0]], values[order[1]], values[order[2]]


def _text(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
