"""What plans.json of a model says of the images that it was trained on, read as plain JSON.

Only for notes to a person: what is missing or odd is None, never an error. The engine reads the file
strictly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from UMambaSegmentationLib.cards import Card

PLANS_FILE = "plans.json"
MAX_PLANS_BYTES = 32_000_000

_MOST_ANCESTORS = 10

Lengths = tuple[float, float, float]


@dataclass(frozen=True)
class Plans:
    """The training images of a model.

    Attributes:
        normalization: nnU-Net's name of the scheme for each channel; empty if unknown.
        spacing: Their usual voxel size, mm along i, j, k of the model's orientation.
        covered: What they usually cover, mm, along the same axes.
    """

    normalization: tuple[str, ...] = ()
    spacing: Lengths | None = None
    covered: Lengths | None = None


def read_plans(card: Card) -> Plans:
    """The plans of a bundled or installed model; of one that is only available, nothing is known."""
    path = card.folder / PLANS_FILE
    if card.source == "available":
        return Plans()
    try:
        raw = _load(path)
        configuration = _configuration(raw, str(card.network.get("configuration")))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return Plans()
    spacing = _lengths(raw.get("original_median_spacing_after_transp")) or _lengths(
        configuration.get("spacing")
    )
    shape = _lengths(raw.get("original_median_shape_after_transp")) or _lengths(
        configuration.get("median_image_size_in_voxels")
    )
    order = raw.get("transpose_forward")
    schemes = configuration.get("normalization_schemes")
    known = tuple(str(entry) for entry in schemes) if isinstance(schemes, list) else ()
    flat = shape is not None and min(shape) <= 1  # photographs: their third axis has no length
    if spacing is None or flat or not isinstance(order, list) or sorted(order) != [0, 1, 2]:
        return Plans(known)
    covered = (
        None if shape is None else _untransposed([s * n for s, n in zip(spacing, shape, strict=True)], order)
    )
    return Plans(known, _untransposed(spacing, order), covered)


def _load(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_PLANS_BYTES:
        raise ValueError("too large")
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError("an object wanted")
    return found


def _configuration(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits."""
    found: dict[str, Any] = {}
    for _generation in range(_MOST_ANCESTORS):
        entry = raw["configurations"][name]
        found = {**entry, **found}
        name = entry.get("inherits_from")
        if name is None:
            return found
    raise ValueError("configurations inherit from each other")


def _lengths(raw: object) -> tuple[float, ...] | None:
    """Three positive numbers, or None."""
    if not isinstance(raw, list) or len(raw) != 3:
        return None
    if not all(isinstance(value, int | float) and math.isfinite(value) and value > 0 for value in raw):
        return None
    return tuple(float(value) for value in raw)


def _untransposed(values: tuple[float, ...] | list[float], order: list[int]) -> Lengths:
    """From the network's order of axes to i, j, k: network axis n is array axis order[n] of (Z, Y, X)."""
    found = [0.0, 0.0, 0.0]
    for value, axis in zip(values, order, strict=True):
        found[2 - axis] = value
    return found[0], found[1], found[2]
