"""Plans for a Mamba-UNet: nnU-Net's on sides that its tokens divide, or those of its published training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from umamba.errors import InputError
from umamba.plans.architecture import MAMBA_UNET
from umamba.plans.configuration import ACDC_STEPS
from umamba.plans.mamba_unet import (
    COLOUR_CHANNELS,
    PUBLISHED_PATCH,
    MambaUNetSizes,
    arguments_of,
    default_sizes,
    parse_sizes,
)
from umamba.training.planning.nnunet import PlainPlanner, Plan, by
from umamba.training.planning.presets import PAPER_BATCH, PAPER_SIDE, PREPROCESSOR

FLAT = "2d"
_LEAST_STEPS = 2  # of strides: a token and one merge


class MambaUNetPlanner(PlainPlanner):
    """nnU-Net's rules of today decide spacing, patch and batch, as for a network of its own.

    Over two axes the sides grow to the next multiples of what the published network divides by, 32, and the
    batch shrinks by as much. Over three axes the strides are nnU-Net's, so that its patch fits: the first
    ones make a token, long along the axes of small spacing, and the others the merges. Volumes too small for
    two steps of strides are planned in 2D alone.
    """

    _volumes_fit = True

    def get_plans_for_configuration(self, *args: Any, **kwargs: Any) -> Plan:  # noqa: ANN401
        """The rules' plan with a Mamba-UNet in it."""
        plan = super().get_plans_for_configuration(*args, **kwargs)
        strides = plan["architecture"]["arch_kwargs"]["strides"]
        steps = [[int(factor) for factor in stride] for stride in strides]
        if len(plan["patch_size"]) == 3 and sum(max(step) > 1 for step in steps) < _LEAST_STEPS:
            self._volumes_fit = False
            return plan
        sizes = self._sizes(steps)
        plan["architecture"] = {
            "network_class_name": self.choice.class_path,
            "arch_kwargs": arguments_of(sizes),
            "_kw_requires_import": [],
        }
        sides = zip(plan["patch_size"], sizes.total_stride, strict=True)
        self._take_sides(plan, [math.ceil(side / stride) * stride for side, stride in sides])
        return plan

    def _sizes(self, strides: Sequence[Sequence[int]]) -> MambaUNetSizes:
        """The network for nnU-Net's strides, of the width that was asked for.

        Raises:
            InputError: A limit of the width, which this network cannot keep.
        """
        usual, options = default_sizes(strides), self.options
        base = options.base_features or usual.dims[0]
        if options.most_features is not None:
            raise InputError(
                f"--features {base}-{options.most_features}: the channels of a {MAMBA_UNET} double at every "
                f"stage, without a limit; give --features {base}"
            )
        dims = [base * 2**stage for stage in range(len(usual.dims))]
        chosen = arguments_of(usual) | {"dims": dims, "dt_ranks": None}
        return parse_sizes(chosen, usual.axes, MAMBA_UNET)

    def _replan(self, plan: Plan, patch_size: Sequence[int], voxels: float) -> None:
        """A patch that was chosen: over two axes without nnU-Net's stages, which this network has not.

        Raises:
            InputError: A side does not fit.
        """
        if len(patch_size) == 3:
            super()._replan(plan, patch_size, voxels)
        else:
            _check_sides(patch_size)
            self._take_sides(plan, patch_size)

    def _take_sides(self, plan: Plan, sides: Sequence[int]) -> None:
        """Take these sides, with a batch of as many pixels, two at least."""
        before, after = math.prod(plan["patch_size"]), math.prod(sides)
        if before != after:
            plan["batch_size"] = max(self.UNet_min_batch_size, plan["batch_size"] * int(before) // after)
        if self.options.batch_size is not None:
            plan["batch_size"] = self.options.batch_size
        plan["patch_size"] = [int(side) for side in sides]

    def save_plans(self, plans: Plan) -> None:
        """As ever, without plans for volumes that are none of this network's."""
        if not self._volumes_fit:
            plans = {**plans, "configurations": {FLAT: plans["configurations"][FLAT]}}
        super().save_plans(plans)


class PaperPlanner(MambaUNetPlanner):
    """The published training (arXiv 2402.05079): slices brought to 224 x 224 pixels, 24 of them in a batch.

    Every volume is stored from 0 to 1 at its own size, for the augmentation comes before the resizing. There
    is no published training over three axes.
    """

    _volumes_fit = False

    def get_plans_for_configuration(self, *args: Any, **kwargs: Any) -> Plan:  # noqa: ANN401
        """The plan of the published training, whichever images these are.

        Raises:
            InputError: Channels or labels that the published training does not take.
        """
        _check_channels(len(self.dataset_json["channel_names"]))
        _check_labels(self.dataset_json["labels"])
        plan = super().get_plans_for_configuration(*args, **kwargs)
        if len(plan["patch_size"]) != 2:
            return plan
        plan["patch_size"] = list(self.options.patch_size or (PAPER_SIDE, PAPER_SIDE))
        plan["batch_size"] = self.options.batch_size or PAPER_BATCH
        plan["preprocessing"] = ACDC_STEPS
        plan["preprocessor_name"] = PREPROCESSOR
        return plan


def _check_channels(count: int) -> None:
    """Refuse other numbers of channels than one, which the published network repeats, and three."""
    if count not in (1, COLOUR_CHANNELS):
        raise InputError(
            f"the published Mamba-UNet takes images of one channel or of three, these have {count}; leave "
            "--preset away"
        )


def _check_labels(labels: Mapping[str, Any]) -> None:
    """Refuse labels that the published loss cannot take."""
    regions = any(isinstance(value, list | tuple) for value in labels.values())
    if regions or "ignore" in labels:
        raise InputError(
            f"the dataset has {'regions' if regions else 'an ignore label'}, and the published training of "
            f"{MAMBA_UNET} knows plain labels only; leave --preset away"
        )


def _check_sides(patch_size: Sequence[int]) -> None:
    """Refuse a flat patch that tokens and merges do not divide.

    Raises:
        InputError: A side is no multiple of 32.
    """
    stride = default_sizes([[1, 1]]).total_stride[0]
    fitting = [math.ceil(side / stride) * stride for side in patch_size]
    if fitting != list(patch_size):
        raise InputError(
            f"a patch of {by(patch_size)} does not fit a {MAMBA_UNET}: its sides must be multiples of "
            f"{stride} (tokens of {PUBLISHED_PATCH} pixels, merged three times); the next that fits is "
            f"{by(fitting)}"
        )
