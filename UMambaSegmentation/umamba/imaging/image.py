"""An image in memory: one channel, its grid, and what a writer needs to give the same grid back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from umamba.imaging.niftiforms import NiftiForms

# nnU-Net gives the missing axis of a 2D file this many times the larger in-plane spacing.
FLAT_SPACING_FACTOR = 999.0


@dataclass(frozen=True)
class Geometry:
    """The grid of an image in physical space (DICOM's LPS, mm), as SimpleITK holds it.

    Attributes:
        size: Voxels along i, j, k (fastest first); two entries for a 2D file.
        spacing: mm along i, j, k.
        origin: Centre of the first voxel, mm, LPS.
        direction: Row-major cosines, 9 entries (4 for a 2D file); column n is the axis of index n.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def axes(self) -> int:
        """2 for a 2D file, 3 for a volume."""
        return len(self.size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the array, (Z, Y, X); Z is 1 for a 2D file."""
        size = self.size if self.axes == 3 else (*self.size, 1)
        return size[2], size[1], size[0]

    @property
    def spacing_zyx(self) -> tuple[float, float, float]:
        """Spacing in array order, mm; the missing axis of a 2D file as nnU-Net's reader fills it."""
        reversed_spacing = tuple(abs(value) for value in self.spacing[::-1])
        if self.axes == 3:
            return reversed_spacing  # type: ignore[return-value]
        return FLAT_SPACING_FACTOR * max(reversed_spacing), *reversed_spacing  # type: ignore[return-value]

    @property
    def matrix(self) -> np.ndarray:
        """Direction times spacing, (3, 3) float64: index (i, j, k) to mm, without the origin."""
        cosines = np.eye(3)
        axes = self.axes
        cosines[:axes, :axes] = np.asarray(self.direction, dtype=np.float64).reshape(axes, axes)
        spacing = np.ones(3)
        spacing[:axes] = self.spacing
        return cosines * spacing


@dataclass(frozen=True)
class Image:
    """One channel of an input image.

    Attributes:
        data: (Z, Y, X), the file's own number type after its rescale; Z is 1 for a 2D file.
        geometry: The grid.
        source: "nifti", "nrrd", "metaimage", "dicom", "natural" (PNG, TIFF) or "memory".
        nifti: The NIfTI header's two forms, kept for writing, where the file was one.
        modality: DICOM's modality, such as "CT", where known.
        files: Names of the files read, without folders, for the provenance.
        warnings: What was odd but could be dealt with, one line each.
        details: Further facts that a writer of the same kind of file wants (UIDs of a DICOM series).
    """

    data: np.ndarray
    geometry: Geometry
    source: str = "memory"
    nifti: NiftiForms | None = None
    modality: str | None = None
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def with_data(self, data: np.ndarray, geometry: Geometry | None = None) -> Image:
        """The same image with other voxels (and another grid)."""
        return replace(self, data=data, geometry=geometry or self.geometry)
