"""Where the windows of a sliding window stand, what their voxels weigh, and the padding (nnU-Net v2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# nnU-Net's constants: width of the Gaussian as a part of the patch, and its largest value.
SIGMA_PER_PATCH = 1 / 8
PEAK_WEIGHT = 10.0


def window_starts(image_size: Sequence[int], patch_size: Sequence[int], step: float) -> list[list[int]]:
    """First voxel of each window, per axis, evenly spread and at most `step` patches apart.

    Follows nnU-Net's `compute_steps_for_sliding_window`: ceil((size - patch) / (patch * step)) + 1 windows,
    their starts rounded half to even.

    Args:
        image_size: Voxels per axis, at least the patch (see `pad_to_patch`).
        patch_size: Voxels per axis.
        step: Above 0, at most 1.

    Raises:
        ValueError: An image smaller than the patch, or a step out of range.
    """
    if not 0 < step <= 1:
        raise ValueError(f"step {step} must be above 0 and at most 1")
    starts = []
    for size, patch in zip(image_size, patch_size, strict=True):
        if size < patch:
            raise ValueError(f"image size {size} is below the patch size {patch}: pad it first")
        room = size - patch
        count = math.ceil(room / (patch * step)) + 1
        spread = room / (count - 1) if count > 1 else 0.0
        starts.append([round(spread * index) for index in range(count)])
    return starts


def gaussian_weights(patch_size: Sequence[int], half: bool = False) -> np.ndarray:
    """Importance of a window's voxels: a Gaussian of sigma patch / 8 around voxel patch // 2, 10 at its peak.

    Follows nnU-Net's `compute_gaussian`: values that round to 0 are replaced by the smallest that does not.

    Args:
        patch_size: Voxels per axis.
        half: Round to half precision before the zeros are replaced, as the published predictors do.

    Returns:
        `patch_size` float32, all above 0.
    """
    from scipy.ndimage import gaussian_filter

    impulse = np.zeros(tuple(patch_size))
    impulse[tuple(size // 2 for size in patch_size)] = 1
    sigmas = [size * SIGMA_PER_PATCH for size in patch_size]
    weights = gaussian_filter(impulse, sigmas, order=0, mode="constant", cval=0)
    weights /= weights.max() / PEAK_WEIGHT
    rounded = weights.astype(np.float16 if half else np.float32)
    rounded[rounded == 0] = rounded[rounded > 0].min()
    return np.asarray(rounded, dtype=np.float32)


def pad_to_patch(shape: Sequence[int], patch_size: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Voxels to add before and after each axis so that at least one patch fits; the odd one comes after.

    Args:
        shape: Voxels per axis.
        patch_size: Voxels of the last axes; axes before those are not padded (2D patches in a volume).
    """
    free = len(shape) - len(patch_size)
    pads = [(0, 0)] * free
    for size, patch in zip(shape[free:], patch_size, strict=True):
        missing = max(patch - size, 0)
        pads.append((missing // 2, missing - missing // 2))
    return tuple(pads)
