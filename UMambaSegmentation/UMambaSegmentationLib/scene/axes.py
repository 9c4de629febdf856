"""How a volume's axes lie to the body's."""

from __future__ import annotations

import math

import numpy as np
import slicer

from UMambaSegmentationLib.scene.grids import ijk_to_ras

# Of RAS: the axis that each letter of an orientation belongs to.
_AXIS_OF = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
NATIVE = "native"


def body_axes(volume: slicer.vtkMRMLVolumeNode) -> tuple[int, int, int]:
    """For i, j, k the nearest axis of the body (0 left-right, 1 front-back, 2 head-foot), each once.

    Of an oblique grid the largest cosine decides first, as in the engine.
    """
    cosines = np.abs(_cosines(volume))
    found = [0, 0, 0]
    for _step in range(3):
        body, index = np.unravel_index(int(np.argmax(cosines)), cosines.shape)
        found[int(index)] = int(body)
        cosines[body, :] = cosines[:, index] = -1.0
    return found[0], found[1], found[2]


def axis_order(volume: slicer.vtkMRMLVolumeNode, orientation: str) -> tuple[int, int, int]:
    """Which of i, j, k of the volume becomes each axis of a model's orientation; "native" keeps them."""
    if orientation == NATIVE:
        return 0, 1, 2
    axes = body_axes(volume)
    first, second, third = (axes.index(_AXIS_OF[letter]) for letter in orientation)
    return first, second, third


def is_axial(volume: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether i runs left-right, j front-back and k head-foot, in either direction."""
    return body_axes(volume) == (0, 1, 2)


def tilt_degrees(volume: slicer.vtkMRMLVolumeNode) -> float:
    """The largest angle between an axis of the volume and the body axis that it is nearest to."""
    cosines = np.abs(_cosines(volume))
    nearest = [cosines[body, index] for index, body in enumerate(body_axes(volume))]
    return math.degrees(math.acos(min(1.0, float(min(nearest)))))


def _cosines(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    matrix = ijk_to_ras(volume)[:3, :3]
    return matrix / np.maximum(np.linalg.norm(matrix, axis=0), np.finfo(np.float64).tiny)
