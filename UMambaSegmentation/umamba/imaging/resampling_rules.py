"""nnU-Net's decisions about resampling: the new shape, the separate axis, the operator of each axis."""

from __future__ import annotations

from collections.abc import Sequence

from umamba.imaging.axis_operator import AxisOperator, axis_operator, torch_axis_operator
from umamba.plans import Resampling

# A grid whose largest spacing is more than this many times its smallest counts as coarse along that axis.
ANISOTROPY_THRESHOLD = 3.0


def separate_axis(
    current_spacing: Sequence[float], new_spacing: Sequence[float], force: bool | None
) -> int | None:
    """The axis that is resampled on its own, after the planes across it, or None.

    nnU-Net's rule: when the largest spacing of the current grid, or else of the new one, is more than three
    times the smallest, the axis of the largest spacing; none if axes share it.

    Args:
        current_spacing, new_spacing: mm per axis.
        force: True takes the current grid's coarsest axis at any ratio, False takes none, None decides.
    """
    if force is False:
        return None
    if force or _is_coarse(current_spacing):
        decides = current_spacing
    elif _is_coarse(new_spacing):
        decides = new_spacing
    else:
        return None
    # The quotient, not the values: nnU-Net counts spacings as shared when it rounds to 1.
    largest = [axis for axis, entry in enumerate(decides) if max(decides) / entry == 1]
    return largest[0] if len(largest) == 1 else None


def new_shape(
    old_shape: Sequence[int], old_spacing: Sequence[float], new_spacing: Sequence[float]
) -> tuple[int, int, int]:
    """Voxels per axis after a change of spacing (mm), rounded half to even, as nnU-Net computes them.

    An axis may come out as 0 where the image is thinner than half a new voxel.
    """
    z, y, x = (
        round(old / new * size) for old, new, size in zip(old_spacing, new_spacing, old_shape, strict=True)
    )
    return z, y, x


def separation(
    rule: Resampling, current_spacing: Sequence[float], new_spacing: Sequence[float]
) -> int | None:
    """`separate_axis` for the methods that know one: "spline" and "torch"."""
    if rule.method in ("spline", "torch"):
        return separate_axis(current_spacing, new_spacing, rule.force_separate_z)
    return None


def axis_operators(
    old_shape: Sequence[int],
    new_shape: Sequence[int],
    rule: Resampling,
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
) -> tuple[AxisOperator, AxisOperator, AxisOperator]:
    """One operator for each axis; their product is the resampling, but for clipping (see `resample_image`).

    The method "none" leaves every axis as it is, whatever `new_shape` says.

    Args:
        old_shape, new_shape: Voxels per axis before and after.
        rule: Method and orders.
        current_spacing, new_spacing: mm per axis; they only decide whether an axis is separate.
    """
    separate = separation(rule, current_spacing, new_spacing)
    z, y, x = (
        _operator(rule, old, new, axis == separate)
        for axis, (old, new) in enumerate(zip(old_shape, new_shape, strict=True))
    )
    return z, y, x


def _operator(rule: Resampling, n: int, m: int, is_separate: bool) -> AxisOperator:
    match rule.method:
        case "spline":
            return axis_operator(n, m, rule.order_z if is_separate else rule.order)
        case "linear":
            return torch_axis_operator(n, m, "linear" if rule.order else "nearest")
        case "torch":
            return torch_axis_operator(n, m, "nearest-exact" if is_separate else "linear")
        case _:
            return axis_operator(n, n, 0)


def _is_coarse(spacing: Sequence[float]) -> bool:
    return max(spacing) / min(spacing) > ANISOTROPY_THRESHOLD
