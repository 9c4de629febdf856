"""Mamba-UNet's own steps for ACDC, as its published scripts prepare images and evaluate volumes.

Volume to 0..1 by its least and largest value; every slice to the network's size by the nearest pixel; arg
max; every label slice back in the same way. There is no crop, no spacing, no window that slides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umamba.events import Monitor
from umamba.imaging.image import Image
from umamba.inference.export import Sinks, checked_plane, soft_labels
from umamba.inference.preprocessing import Cropped, Layout, Preprocessed
from umamba.models.model import Model

OUTSIDE = -1


def nearest_sources(source: int, target: int) -> np.ndarray:
    """The pixel that each of `target` pixels takes from `source` ones, (target,) int64; -1 for none: 0 there.

    This is scipy.ndimage.zoom of order 0 with its corners aligned: pixel k reads floor(k z + 1/2), z being
    (source - 1) / (target - 1) in float64. Where rounding lifts k z above source - 1, which happens to the
    last pixel of some pairs of sizes, zoom takes the place to be outside and writes 0; so the published masks
    have it, and so do these.
    """
    step = (source - 1) / (target - 1) if target > 1 else 1.0
    places = np.arange(target) * step
    nearest: np.ndarray = np.floor(places + 0.5).astype(np.int64)
    nearest[places > source - 1] = OUTSIDE
    return nearest


def resize(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, outside: float = 0) -> np.ndarray:
    """A slice (..., Y, X) on other pixels, by `nearest_sources` of its two axes."""
    found: np.ndarray = plane[..., np.maximum(rows, 0)[:, None], np.maximum(columns, 0)]
    found[..., rows == OUTSIDE, :] = outside
    found[..., columns == OUTSIDE] = outside
    return found


def crop(images: Sequence[Image], model: Model) -> Cropped:
    """The whole image, and the network's size for every slice."""
    forward = model.plans.transpose_forward
    channels = tuple(image.data.transpose(forward) for image in images)
    depth, rows, columns = channels[0].shape
    spacing = tuple(images[0].geometry.spacing_zyx[axis] for axis in forward)
    high, wide = model.configuration.patch_size
    network = (spacing[0], spacing[1] * rows / high, spacing[2] * columns / wide)
    return Cropped(
        channels,
        None,
        Layout(
            forward=forward,
            image_shape=(depth, rows, columns),
            box=((0, depth), (0, rows), (0, columns)),
            shape=(depth, high, wide),
            crop_spacing=(spacing[0], spacing[1], spacing[2]),
            spacing=network,
            export_from=network,
            export_to=(spacing[0], spacing[1], spacing[2]),
        ),
    )


def preprocess_cropped(cropped: Cropped, monitor: Monitor) -> Preprocessed:
    """The network's input, (C, Z, P, P) float32 from 0 to 1: `(v - least) / (largest - least)` in float64.

    A channel of one value everywhere becomes 0.
    """
    layout = cropped.layout
    rows, columns = _sources(layout.crop_shape, layout.shape)
    data = np.empty((len(cropped.channels), *layout.shape), dtype=np.float32)
    for index, channel in enumerate(cropped.channels):
        monitor.step("preprocess", index, len(cropped.channels))
        least, largest = float(channel.min()), float(channel.max())
        for plane, out in zip(channel, data[index], strict=True):
            out[...] = resize(to_unit(plane, least, largest), rows, columns)
    monitor.step("preprocess", len(cropped.channels), len(cropped.channels))
    return Preprocessed(data, layout)


def to_unit(values: np.ndarray, least: float, largest: float) -> np.ndarray:
    """`values` as float32 from 0 to 1, divided in float64; 0 everywhere where `least` is `largest`."""
    unit: np.ndarray = ((values.astype(np.float64) - least) / (largest - least or 1.0)).astype(np.float32)
    return unit


class SliceExporter:
    """Takes finished slices of logits and writes their labels on the image's grid.

    Pixels that the way back leaves outside are background.
    """

    def __init__(self, layout: Layout, sinks: Sinks) -> None:
        self._rows, self._columns = _sources(layout.shape, layout.crop_shape)
        self._sinks = sinks
        self._next = 0

    def add(self, planes: np.ndarray) -> None:
        """Take the next finished slices, (K, n, P, P) float32, in order.

        Raises:
            ModelError: A logit is NaN or infinite.
        """
        for index in range(planes.shape[1]):
            self._write(checked_plane(planes[:, index]))
            self._next += 1

    def _write(self, logits: np.ndarray) -> None:
        sinks, out = self._sinks, self._next
        sinks.labels[out] = self._back(logits.argmax(0))
        if sinks.uncertainty is None and sinks.probabilities is None:
            return
        probabilities, entropy = soft_labels(logits)
        if sinks.probabilities is not None:
            sinks.probabilities[0, out] = self._back(probabilities[0], outside=1)
            sinks.probabilities[1:, out] = self._back(probabilities[1:])
        if sinks.uncertainty is not None:
            sinks.uncertainty[out] = self._back(entropy)

    def _back(self, plane: np.ndarray, outside: float = 0) -> np.ndarray:
        return resize(plane, self._rows, self._columns, outside)


def _sources(source: Sequence[int], target: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """`nearest_sources` of rows and columns between two shapes (Z, Y, X)."""
    return nearest_sources(source[1], target[1]), nearest_sources(source[2], target[2])
