"""Overlapping regions as one bit each, and the label map that nnU-Net makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umamba.errors import ModelError

MOST_REGIONS = 64


def bits_dtype(regions: int) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned type with a bit for each region.

    Raises:
        ModelError: More than 64 regions.
    """
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        if regions <= np.dtype(dtype).itemsize * 8:
            return np.dtype(dtype)
    raise ModelError(f"the model has {regions} regions; at most {MOST_REGIONS} can be told apart")


def labels_of_regions(
    bits: np.ndarray, order: Sequence[int], kept: frozenset[int] | None = None
) -> np.ndarray:
    """Write each region's value in turn, later ones over earlier (nnU-Net's `regions_class_order`).

    Args:
        bits: Unsigned integers, bit r set inside region r.
        order: The value of each region.
        kept: Values to write, or None for all.

    Returns:
        uint16 of the shape of `bits`.
    """
    labels = np.zeros(bits.shape, dtype=np.uint16)
    for region, value in enumerate(order):
        if kept is None or value in kept:
            labels[region_mask(bits, region)] = value
    return labels


def region_mask(bits: np.ndarray, region: int) -> np.ndarray:
    """Where bit `region` is set."""
    mask: np.ndarray = (bits >> bits.dtype.type(region)) & bits.dtype.type(1) != 0
    return mask
