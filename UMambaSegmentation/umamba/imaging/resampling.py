"""Resampling as nnU-Net's published code does it: this room's door to the files beside it."""

from umamba.imaging.axis_operator import AxisOperator, apply_axis, axis_operator
from umamba.imaging.image_resampling import resample_image
from umamba.imaging.label_resampling import resample_labels
from umamba.imaging.resampling_rules import axis_operators, new_shape, separate_axis

__all__ = [
    "AxisOperator",
    "apply_axis",
    "axis_operator",
    "axis_operators",
    "new_shape",
    "resample_image",
    "resample_labels",
    "separate_axis",
]
