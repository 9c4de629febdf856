"""What a run gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from umamba.imaging.image import Geometry, Image
from umamba.inference.regions import region_mask

if TYPE_CHECKING:
    from umamba.inference.runplan import RunPlan
    from umamba.models.card import Card, CardLabel

MM3_PER_ML = 1000.0
SEGMENTATION_SUFFIX = ".seg.nrrd"


@dataclass(frozen=True)
class Volume:
    """How much of the image one label takes: `voxels`, and `ml` by the image's voxel size."""

    label: int
    key: str
    name: str
    voxels: int
    ml: float


@dataclass(frozen=True)
class Result:
    """Labels on the input's grid, and how they came about.

    Attributes:
        labels: (Z, Y, X) uint8 or uint16 on the first channel's grid; instance numbers 1..n for a model
            with instances.
        image: The first channel as it was read.
        model: The model's card.
        classes: (Z, Y, X) class map of a model with instances, else None.
        uncertainty: (Z, Y, X) float32, entropy of the softmax over ln(classes), where asked for.
        probabilities: (C, Z, Y, X) float32 as nnU-Net saves them, where asked for.
        plan: What the run was expected to take.
        provenance: Model, hashes, device, precision, plan, engine version, date; plain JSON values.
        warnings: What was odd but could be dealt with, one line each.
        stage_seconds: Time spent in each stage.
        regions: (Z, Y, X) unsigned integers for a model with regions, bit r set inside region r (they may
            overlap, which the label map cannot show); else None.
        region_values: The value of each region, in the order of the bits.
        kept: The label values that were asked for, or None for all.
    """

    labels: np.ndarray
    image: Image
    model: Card
    plan: RunPlan
    provenance: Mapping[str, Any]
    classes: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    regions: np.ndarray | None = None
    region_values: tuple[int, ...] = ()
    kept: frozenset[int] | None = None

    @property
    def geometry(self) -> Geometry:
        """The input's grid, to the last bit."""
        return self.image.geometry

    def volumes(self) -> list[Volume]:
        """Voxels and ml of every label that was asked for (of the class map for a model with instances).

        Regions that overlap are counted whole, each.
        """
        voxel_ml = float(np.abs(np.linalg.det(self.geometry.matrix))) / MM3_PER_ML
        if self.regions is None:
            counts = count_labels(self.labels if self.classes is None else self.classes)
            voxels = [int(counts[label.value]) for label in self.segments]
        else:
            voxels = [int(np.count_nonzero(self.region(label.value))) for label in self.segments]
        return [
            Volume(label.value, label.key, label.name, count, count * voxel_ml)
            for label, count in zip(self.segments, voxels, strict=True)
        ]

    @property
    def segments(self) -> tuple[CardLabel, ...]:
        """The model's labels that were asked for."""
        return tuple(label for label in self.model.labels if self.kept is None or label.value in self.kept)

    def region(self, value: int) -> np.ndarray:
        """(Z, Y, X) bool: where the region of this value is, for a model with regions.

        Raises:
            ValueError: The model has no such region.
        """
        if self.regions is None:
            raise ValueError("the model has no regions")
        return region_mask(self.regions, self.region_values.index(value))

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the labels; the suffix says how (.nii.gz .nii .nrrd .mha .seg.nrrd .png .tif).

        A segmentation (.seg.nrrd) of a model with regions holds each region whole, overlapping ones in
        layers; every other format holds the label map.

        Raises:
            InputError: Unknown suffix, existing file without `overwrite`, unwritable folder, full disk.
        """
        from umamba.imaging.write import write_labels

        segments = self.segments if self.classes is None else ()
        labels: np.ndarray | list[np.ndarray] = self.labels
        if self.regions is not None and str(path).endswith(SEGMENTATION_SUFFIX):
            labels = [self.region(label.value) for label in segments]
        write_labels(path, labels, self.image, segments, self.provenance, overwrite)


def count_labels(labels: np.ndarray) -> np.ndarray:
    """Voxels of each value 0..65535, counted slice by slice to stay small in memory; empty ones are quick."""
    counts = np.zeros(2**16, dtype=np.int64)
    for plane in labels:
        if not plane.any():
            counts[0] += plane.size
            continue
        found = np.bincount(plane.ravel())
        counts[: len(found)] += found
    return counts
