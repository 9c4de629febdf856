"""Bringing label maps to another grid the way nnU-Net does, without a volume for each label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from umamba.imaging.axis_operator import AxisOperator, LinearTaps, apply_axis, axis_operator, linear_taps
from umamba.imaging.image_resampling import resample_image
from umamba.imaging.label_kernels import vote_plane
from umamba.imaging.resampling_rules import axis_operators, separation
from umamba.ops import threads as pool
from umamba.plans import Resampling

# Scale of nnunetv2's torch function, which compares indicators in half precision.
_TORCH_SCALE = 1000.0
_HALF = 0.5

# A label's indicator (Z, Y, X) bool in, its interpolation float32 out.
_Interpolate = Callable[[np.ndarray], np.ndarray]


def resample_labels(
    labels: np.ndarray,
    new_shape: Sequence[int],
    rule: Resampling,
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    convention: str = "threshold",
    threads: int | None = None,
) -> np.ndarray:
    """Resample a label map through the indicators of its labels.

    Method "spline" knows two conventions, that of batchgenerators in the fork's time and that of 0.25.5:
    "threshold" takes the largest label whose indicator reaches 0.5, and 0 if none does; "argmax" the label
    of the largest indicator, in an exact tie that of the nearest sample if it is among them, else the
    smallest. With a separate axis each slice across it is resampled on its own, then the axis.
    "linear" (the fork's torch function) thresholds; "torch" (nnunetv2's) takes the largest indicator in half
    precision; "none" returns the labels.

    Order 1, which plans have, and order 0 fall as in those releases to the last voxel and need memory for the
    result only. Others sum in float32, so that a voxel where two indicators all but tie may fall otherwise,
    and take two or three volumes.

    Args:
        labels: (Z, Y, X) of any integer type, values within int32; negative ones are labels too.
        new_shape: Three sizes, at least 1.
        rule, current_spacing, new_spacing: As for `resample_image`.
        convention: "threshold" or "argmax".
        threads: None: as many as PyTorch uses.

    Returns:
        The type of `labels`; the very same array if the shape stays.

    Raises:
        ValueError: Not integers, an empty axis, or an unknown convention.
    """
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers, not {labels.dtype}")
    if convention not in ("threshold", "argmax"):
        raise ValueError(f"unknown convention {convention!r}: 'threshold' or 'argmax'")
    shape = (int(new_shape[0]), int(new_shape[1]), int(new_shape[2]))
    if rule.method == "none" or labels.shape == shape:
        return labels
    if 0 in labels.shape or 0 in shape:
        raise ValueError(f"cannot resample {labels.shape} to {shape}: an axis is empty")
    if rule.method == "spline":
        return _spline(labels, shape, rule, (current_spacing, new_spacing), convention, threads)

    def interpolate(indicator: np.ndarray) -> np.ndarray:
        return resample_image(indicator, shape, rule, current_spacing, new_spacing, threads)

    if rule.method == "torch":
        return _by_argmax(labels, shape, lambda x: (_TORCH_SCALE * interpolate(x)).astype(np.float16), None)
    if rule.order == 0:
        return _pick(labels, axis_operators(labels.shape, shape, rule, current_spacing, new_spacing))
    return _by_threshold(labels, shape, interpolate)


def _spline(
    labels: np.ndarray,
    shape: tuple[int, int, int],
    rule: Resampling,
    spacings: tuple[Sequence[float], Sequence[float]],
    convention: str,
    threads: int | None,
) -> np.ndarray:
    """The default method: planes or volume by `rule.order`, then a separate axis by `rule.order_z`."""
    separate = separation(rule, *spacings)
    if separate is not None and rule.order_z > 0 and shape[separate] != labels.shape[separate]:
        flat = list(shape)
        flat[separate] = labels.shape[separate]
        planes = resample_labels(labels, flat, rule, *spacings, convention, threads)
        along = axis_operator(labels.shape[separate], shape[separate], rule.order_z)
        return _by_threshold(
            planes,
            shape,
            lambda indicator: apply_axis(indicator, along, separate, None, threads),
            strict=True,
        )
    # Along a separate axis samples are only picked, which commutes with every decision per voxel.
    nearest = axis_operators(labels.shape, shape, replace(rule, order=0), *spacings)
    if rule.order == 0:
        return _pick(labels, nearest)
    if rule.order == 1:
        return _vote(labels, shape, separate, convention == "threshold", threads)

    def interpolate(indicator: np.ndarray) -> np.ndarray:
        return resample_image(indicator, shape, rule, *spacings, threads)

    if convention == "threshold":
        return _by_threshold(labels, shape, interpolate)
    return _by_argmax(labels, shape, interpolate, _pick(labels, nearest))


def _pick(labels: np.ndarray, nearest: Sequence[AxisOperator]) -> np.ndarray:
    z, y, x = (operator.start for operator in nearest)
    picked: np.ndarray = labels[np.ix_(z, y, x)]
    return picked


def _by_threshold(
    labels: np.ndarray, shape: tuple[int, int, int], interpolate: _Interpolate, strict: bool = False
) -> np.ndarray:
    """The largest label whose interpolated indicator is at least (`strict`: above) a half, else 0."""
    result = np.zeros(shape, dtype=labels.dtype)
    for label in np.unique(labels):
        score = interpolate(labels == label)
        result[score > _HALF if strict else score >= _HALF] = label
    return result


def _by_argmax(
    labels: np.ndarray, shape: tuple[int, int, int], interpolate: _Interpolate, nearest: np.ndarray | None
) -> np.ndarray:
    """The label of the largest indicator; in a tie that of `nearest` if it takes part, else the smallest."""
    result = np.zeros(shape, dtype=labels.dtype)
    best = None
    for label in np.unique(labels):
        score = interpolate(labels == label)
        if best is None:
            best = np.full_like(score, -1)  # below every indicator
        better = score > best
        if nearest is not None:
            better |= (score == best) & (nearest == label)
        result[better] = label
        np.maximum(best, score, out=best)
    return result


def _vote(
    labels: np.ndarray,
    shape: tuple[int, int, int],
    separate: int | None,
    threshold: bool,
    threads: int | None,
) -> np.ndarray:
    """Linear interpolation of all indicators in one pass, plane by plane."""
    result = np.empty(shape, dtype=labels.dtype)
    lead = separate or 0
    source, target = np.moveaxis(labels, lead, 0), np.moveaxis(result, lead, 0)
    depth, rows, columns = (linear_taps(n, m) for n, m in zip(source.shape, target.shape, strict=True))
    if separate is not None:
        depth = LinearTaps(
            np.stack([depth.nearest] * 2, axis=1), np.tile([1.0, 0.0], (len(target), 1)), depth.nearest
        )

    def part(plane: int) -> None:
        pair = depth.index[plane]
        votes = np.empty(target.shape[1:], dtype=np.int32)
        vote_plane(
            np.stack([source[index] for index in pair]).astype(np.int32, copy=False),
            depth.weights[plane],
            rows.index,
            rows.weights,
            columns.index,
            columns.weights,
            int(depth.nearest[plane] == pair[1]),
            rows.nearest,
            columns.nearest,
            threshold,
            votes,
        )
        target[plane] = votes

    pool.run(part, len(target), threads)
    return result
