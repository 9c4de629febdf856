"""nnU-Net's intensity normalisation of one channel, in place and in little memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from umamba.errors import InputError, ModelError
from umamba.plans import IntensityProperties
from umamba.plans.configuration import NORMALIZATIONS

# nnU-Net's lower bound of every divisor, for float32.
_LEAST_DIVISOR = 1e-8
_RGB_MAXIMUM = 255.0


def normalize(
    channel: np.ndarray,
    scheme: str,
    mask: np.ndarray | None = None,
    properties: IntensityProperties | None = None,
) -> np.ndarray:
    """Normalise `channel` in place by one of nnU-Net's schemes and return it.

    Statistics are summed in float64, so a constant image becomes exactly 0; the arithmetic on voxels is
    float32, as nnU-Net's. An empty image or mask is left as it is.

    Args:
        channel: (Z, Y, X) float32, overwritten.
        scheme: One of `umamba.plans.configuration.NORMALIZATIONS`.
        mask: (Z, Y, X) bool; z-score statistics and change only where True. None: everywhere. The other
            schemes take no notice of it.
        properties: Foreground intensities of the training set, for CT.

    Raises:
        InputError: A colour image with values outside 0 to 255.
        ModelError: An unknown scheme, or CT normalisation without intensity properties.
    """
    if channel.dtype != np.float32:
        raise TypeError(f"normalize works on float32 in place, not on {channel.dtype}")
    if scheme not in NORMALIZATIONS:
        raise ModelError(f"plans.json: the normalization {scheme!r} is not known here")
    if channel.size == 0:
        return channel
    match scheme:
        case "ZScoreNormalization":
            _z_score(channel, mask)
        case "CTNormalization":
            _ct(channel, properties)
        case "RescaleTo01Normalization":
            _rescale_to_01(channel)
        case "RGBTo01Normalization":
            _rgb_to_01(channel)
    return channel


def _z_score(channel: np.ndarray, mask: np.ndarray | None) -> None:
    count, total = 0, 0.0
    for values in _planes(channel, mask):
        count += values.size
        total += float(values.sum(dtype=np.float64))
    if count == 0:
        return
    mean = total / count
    squares = 0.0
    for values in _planes(channel, mask):
        distance = np.subtract(values, mean, dtype=np.float64)
        squares += float(np.vdot(distance, distance))
    deviation = max(np.float32(np.sqrt(squares / count)), np.float32(_LEAST_DIVISOR))
    where: np.ndarray | bool = True if mask is None else mask
    np.subtract(channel, np.float32(mean), out=channel, where=where)
    np.divide(channel, deviation, out=channel, where=where)


def _planes(channel: np.ndarray, mask: np.ndarray | None) -> Iterator[np.ndarray]:
    """The voxels that count, one slice at a time, so that temporaries stay small."""
    for index, plane in enumerate(channel):
        yield plane if mask is None else plane[mask[index]]


def _ct(channel: np.ndarray, properties: IntensityProperties | None) -> None:
    if properties is None:
        raise ModelError("plans.json: CT normalisation without intensity properties of this channel")
    np.clip(channel, properties.percentile_00_5, properties.percentile_99_5, out=channel)
    channel -= np.float32(properties.mean)
    channel /= np.float32(max(properties.std, _LEAST_DIVISOR))


def _rescale_to_01(channel: np.ndarray) -> None:
    channel -= channel.min()
    channel /= max(channel.max(), np.float32(_LEAST_DIVISOR))


def _rgb_to_01(channel: np.ndarray) -> None:
    low, high = float(channel.min()), float(channel.max())
    if not (low >= 0 and high <= _RGB_MAXIMUM):
        raise InputError(
            f"this model wants a colour image with values from 0 to 255, found {low:g} to {high:g}; "
            "convert the image to 8 bits a channel"
        )
    channel /= np.float32(_RGB_MAXIMUM)
