"""Distances between the surfaces of two masks.

Two notions of a surface are in use. `elements`: pieces between the voxels of the mask and the others, each
with its area (a length in 2D), as DeepMind's surface-distance has them. `border_voxels`: voxels of the mask
that a 6-neighbourhood's (4 in 2D) erosion takes away, all alike, as medpy has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from umamba.evaluation.element_sizes import bits, element_sizes

# 19 of 20 pieces alike are 95 %, however their sum was rounded.
SHARE_ROUNDING = 1e-12


@dataclass(frozen=True)
class Surface:
    """Pieces of a surface.

    Attributes:
        places: (n, axes) int, index of each piece in the array.
        sizes: (n,) float64, mm2 (mm in 2D), or 1 for each voxel.
    """

    places: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class Distances:
    """From each piece of one surface to the nearest of the other, both ways; neither is empty.

    Attributes:
        there: (n,) float64, from the prediction's pieces to the reference, in the unit of the spacing.
        back: (m,) float64, from the reference's pieces to the prediction.
        there_sizes, back_sizes: How much surface each piece is.
    """

    there: np.ndarray
    there_sizes: np.ndarray
    back: np.ndarray
    back_sizes: np.ndarray

    def hausdorff(self) -> float:
        """The largest distance."""
        return float(max(self.there.max(), self.back.max()))

    def hausdorff_95(self) -> float:
        """Of both ways the larger distance within which 95 % of the surface lie."""
        ways = ((self.there, self.there_sizes), (self.back, self.back_sizes))
        return max(_within(distances, sizes, 0.95) for distances, sizes in ways)

    def hausdorff_95_pooled(self) -> float:
        """95th percentile (linear) of the distances of both ways together, each piece alike: medpy's."""
        return float(np.percentile(np.concatenate([self.there, self.back]), 95))

    def average(self) -> float:
        """Mean of the distances of both ways together, weighted by size."""
        total = (self.there * self.there_sizes).sum() + (self.back * self.back_sizes).sum()
        return float(total / (self.there_sizes.sum() + self.back_sizes.sum()))

    def share_within(self, tolerance: float) -> float:
        """How much of both surfaces lies at most `tolerance` from the other: NSD, from 0 to 1."""
        near = self.there_sizes[self.there <= tolerance].sum() + self.back_sizes[self.back <= tolerance].sum()
        return float(near / (self.there_sizes.sum() + self.back_sizes.sum()))


def elements(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> Surface:
    """The surface between the mask and what is outside it, beyond the array's edge too.

    Args:
        mask: bool, of as many axes as `spacing_mm` has, 2 or 3.
        spacing_mm: Of the array's axes.
    """
    padded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([size - 1 for size in padded.shape], dtype=np.uint8)
    for voxel, bit in bits(mask.ndim):
        part = tuple(slice(side, side - 1 or None) for side in voxel)
        codes += padded[part] * np.uint8(bit)
    sizes = element_sizes(spacing_mm)
    places = np.argwhere(sizes[codes] > 0)
    return Surface(places, sizes[codes[tuple(places.T)]])


def border_voxels(mask: np.ndarray) -> Surface:
    """Voxels of the mask with a neighbour (across a face) outside it; beyond the array all is outside."""
    places = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    return Surface(places, np.ones(len(places)))


def distances(prediction: Surface, reference: Surface, spacing_mm: tuple[float, ...]) -> Distances:
    """Distances between two surfaces, neither of them empty, in the unit of the spacing."""
    return Distances(
        there=_nearest(prediction.places, reference.places, spacing_mm),
        there_sizes=prediction.sizes,
        back=_nearest(reference.places, prediction.places, spacing_mm),
        back_sizes=reference.sizes,
    )


def _nearest(places: np.ndarray, others: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    # On a grid's points a tree of the simple kind is as fast near by and several times faster far away.
    tree = KDTree(others * spacing_mm, leafsize=32, compact_nodes=False, balanced_tree=False)
    _, found = tree.query(places * spacing_mm)
    # Again from whole steps: the tree's own distances are off in the last bit, and a tolerance is a limit.
    steps = (places - others[found]) * spacing_mm
    distance: np.ndarray = np.sqrt((steps * steps).sum(axis=1))
    return distance


def _within(distances: np.ndarray, sizes: np.ndarray, share: float) -> float:
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(sizes[order]) / sizes.sum()
    place = min(int(np.searchsorted(reached, share - SHARE_ROUNDING)), len(order) - 1)
    return float(distances[order[place]])
