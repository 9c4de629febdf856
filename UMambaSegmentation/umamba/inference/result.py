"""What a run gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from umamba.imaging.image import Geometry, Image

if TYPE_CHECKING:
    from umamba.inference.runplan import RunPlan
    from umamba.models.card import Card

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
        regions: For a model with regions, which values of the label map each region's value stands for.
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
    regions: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def geometry(self) -> Geometry:
        """The input's grid, to the last bit."""
        return self.image.geometry

    def volumes(self) -> list[Volume]:
        """Voxels and ml of every label of the model (of the class map for a model with instances).

        A region counts all the values that it is made of.
        """
        counts = count_labels(self.labels if self.classes is None else self.classes)
        voxel_ml = float(np.abs(np.linalg.det(self.geometry.matrix))) / MM3_PER_ML
        found = []
        for label in self.model.labels:
            voxels = int(counts[list(self.regions.get(label.value, (label.value,)))].sum())
            found.append(Volume(label.value, label.key, label.name, voxels, voxels * voxel_ml))
        return found

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the labels; the suffix says how (.nii.gz .nii .nrrd .mha .seg.nrrd .png .tif).

        A segmentation (.seg.nrrd) of a model with regions holds each region whole, overlapping ones in
        layers; every other format holds the label map.

        Raises:
            InputError: Unknown suffix, existing file without `overwrite`, unwritable folder, full disk.
        """
        from umamba.imaging.write import write_labels

        segments = self.model.labels if self.classes is None else ()
        labels: np.ndarray | list[np.ndarray] = self.labels
        if self.regions and str(path).endswith(SEGMENTATION_SUFFIX):
            labels = [np.isin(self.labels, self.regions[label.value]) for label in segments]
        write_labels(path, labels, self.image, segments, self.provenance, overwrite)


def count_labels(labels: np.ndarray) -> np.ndarray:
    """Voxels of each value 0..65535, counted slice by slice to stay small in memory."""
    counts = np.zeros(2**16, dtype=np.int64)
    for plane in labels:
        found = np.bincount(plane.ravel())
        counts[: len(found)] += found
    return counts
