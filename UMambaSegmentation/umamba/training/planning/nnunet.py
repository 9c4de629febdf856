"""nnU-Net's planners with the choices of this engine: whose rules, which network, which numbers.

nnU-Net plans for a network of its own (its memory decides patch and batch), and so did U-Mamba's code: there
too the plans are those of a PlainConvUNet, and the trainer puts the U-Mamba of the same stages in its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncM,
)
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

from umamba.errors import InputError
from umamba.imaging.files import write_json
from umamba.training.planning.networks import NetworkChoice
from umamba.training.planning.options import PlanOptions

Plan = dict[str, Any]

# nnU-Net 2.1 shrank a 2D patch until a batch of 12 fitted; from 2.2 on until one of 2 does.
_LEAST_BATCH_NOW = 2
_NO_LIMIT_OF_POOLING = 999_999
# What decides how a stored case looks; plans that agree in these share their cases.
_OF_PREPROCESSING = (
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "resampling_fn_data",
    "resampling_fn_seg",
    "resampling_fn_data_kwargs",
    "resampling_fn_seg_kwargs",
    "preprocessor_name",
)


class Planning(ExperimentPlanner):  # type: ignore[misc]
    """Whatever the rules: the network of the table, the user's numbers, plans written whole or not at all."""

    choice: NetworkChoice
    options: PlanOptions
    UNet_reference_val_corresp_bs_2d: int

    def follow(self, choice: NetworkChoice, options: PlanOptions) -> None:
        """Plan for `choice` with `options`, under a name of their own."""
        self.choice, self.options = choice, options
        self._estimates: dict[tuple[Any, ...], float] = {}
        self.plans_identifier = choice.plans_name + options.suffix
        if options.spacing is not None:
            self.overwrite_target_spacing = [float(value) for value in options.spacing]

    @staticmethod
    def static_estimate_VRAM_usage(*args: Any, **kwargs: Any) -> float:  # noqa: ANN401, N802
        """nnU-Net's estimate, of a network without memory for its weights."""
        with torch.device("meta"):
            return float(ExperimentPlanner.static_estimate_VRAM_usage(*args, **kwargs))

    def get_plans_for_configuration(
        self,
        spacing: Sequence[float],
        median_shape: Sequence[float],
        data_identifier: str,
        approximate_n_voxels_dataset: float,
        _cache: dict[str, float],
    ) -> Plan:
        """The rules' plan of one configuration, then the patch, batch, width and class that were chosen."""
        plan = self._by_the_rules(
            spacing, median_shape, data_identifier, approximate_n_voxels_dataset, _cache
        )
        options, axes = self.options, len(spacing)
        if options.patch_size is not None and len(options.patch_size) == axes:
            self._replan(plan, options.patch_size, approximate_n_voxels_dataset)
        if options.batch_size is not None:
            plan["batch_size"] = options.batch_size
        arguments = plan["architecture"]["arch_kwargs"]
        _check_depth(arguments["n_stages"], median_shape)
        arguments["features_per_stage"] = self._features(arguments["n_stages"], axes, options)
        plan["architecture"]["network_class_name"] = self.choice.class_path
        if self.choice.takes_patch_size:
            arguments["patch_size"] = [int(size) for size in plan["patch_size"]]
        return plan

    def _by_the_rules(
        self,
        spacing: Sequence[float],
        shape: Sequence[float],
        name: str,
        voxels: float,
        cache: dict[str, float],
    ) -> Plan:
        plan: Plan = super().get_plans_for_configuration(spacing, shape, name, voxels, cache)
        return plan

    def _features(self, stages: int, axes: int, options: PlanOptions) -> list[int]:
        base = options.base_features or self.UNet_base_num_features
        most = options.most_features or max(
            base, self.UNet_max_features_2d if axes == 2 else self.UNet_max_features_3d
        )
        return [min(most, base * 2**stage) for stage in range(stages)]

    def _replan(self, plan: Plan, patch_size: Sequence[int], voxels: float) -> None:
        """Stages, strides, kernels and batch for a patch that was chosen.

        Raises:
            InputError: The strides do not divide the patch.
        """
        _, strides, kernels, fitting, _ = get_pool_and_conv_props(
            plan["spacing"], patch_size, self.UNet_featuremap_min_edge_length, _NO_LIMIT_OF_POOLING
        )
        if tuple(fitting) != tuple(patch_size):
            raise InputError(
                f"a patch of {by(patch_size)} cannot be halved as often as the network does; the next that "
                f"can is {by(fitting)}"
            )
        arguments = plan["architecture"]["arch_kwargs"]
        stages = len(strides)
        encoder = "n_conv_per_stage" if "n_conv_per_stage" in arguments else "n_blocks_per_stage"
        arguments |= {
            "n_stages": stages,
            "strides": strides,
            "kernel_sizes": kernels,
            "features_per_stage": self._features(stages, len(patch_size), PlanOptions()),
            encoder: self.UNet_blocks_per_stage_encoder[:stages],
            "n_conv_per_stage_decoder": self.UNet_blocks_per_stage_decoder[: stages - 1],
        }
        _check_depth(stages, patch_size)
        plan["patch_size"] = [int(size) for size in patch_size]
        plan["batch_size"] = self._batch_size(plan, voxels)

    def _batch_size(self, plan: Plan, voxels: float) -> int:
        """nnU-Net's rule: what the memory holds, of at most a share of the dataset, two at least."""
        patch_size = plan["patch_size"]
        estimate = self._estimate(plan)
        flat = len(patch_size) == 2
        reference = self.UNet_reference_val_2d if flat else self.UNet_reference_val_3d
        reference *= self.UNet_vram_target_GB / self.UNet_reference_val_corresp_GB
        batch = self.UNet_reference_val_corresp_bs_2d if flat else self.UNet_reference_val_corresp_bs_3d
        share = round(voxels * self.max_dataset_covered / float(np.prod(patch_size, dtype=np.float64)))
        return int(max(min(round(reference / estimate * batch), share), self.UNet_min_batch_size))

    def _estimate(self, plan: Plan) -> float:
        """nnU-Net's measure of the memory for one patch; the search for a low resolution asks often."""
        architecture, patch_size = plan["architecture"], plan["patch_size"]
        key = (*patch_size, str(architecture["arch_kwargs"]["strides"]))
        if key not in self._estimates:
            self._estimates[key] = self.static_estimate_VRAM_usage(
                patch_size,
                len(self.dataset_json["channel_names"]),
                len(self.dataset_json["labels"]),
                architecture["network_class_name"],
                architecture["arch_kwargs"],
                architecture["_kw_requires_import"],
            )
        return self._estimates[key]

    def save_plans(self, plans: Plan) -> None:
        """Name the stored cases by what they depend on, and write the plans whole or not at all."""
        for name, entry in plans["configurations"].items():
            if "spacing" in entry:
                recursive_fix_for_json_export(entry)
                entry["data_identifier"] = f"{name}_{_digest(entry, plans['transpose_forward'])}"
        recursive_fix_for_json_export(plans)
        folder = Path(str(nnUNet_preprocessed)) / self.dataset_name
        write_json(folder / f"{self.plans_identifier}.json", plans, overwrite=True)


class UMambaPlanner(Planning):
    """The protocol of U-Mamba's paper (arXiv 2401.04722, table 2): nnU-Net 2.1's, which its code contains.

    It differs from today's in 2D alone: the patch shrinks until the whole batch of the reference fits.
    """

    def _by_the_rules(
        self,
        spacing: Sequence[float],
        shape: Sequence[float],
        name: str,
        voxels: float,
        cache: dict[str, float],
    ) -> Plan:
        if len(spacing) != 2:
            return super()._by_the_rules(spacing, shape, name, voxels, cache)
        batch = self.UNet_reference_val_corresp_bs_2d
        self.UNet_reference_val_corresp_bs_2d = _LEAST_BATCH_NOW  # the batch for which today's patch must fit
        try:
            plan = super()._by_the_rules(spacing, shape, name, voxels, cache)
        finally:
            self.UNet_reference_val_corresp_bs_2d = batch
        plan["batch_size"] = self._batch_size(plan, voxels)
        return plan


class PlainPlanner(Planning):
    """nnU-Net's default planner of today."""


class ResidualPlanner(Planning, nnUNetPlannerResEncM):  # type: ignore[misc]
    """nnU-Net's planner for residual encoders, size M (about 9 to 11 GB of GPU memory)."""


def _check_depth(stages: int, shape: Sequence[float]) -> None:
    """Refuse images so small that the network would have no second stage."""
    if stages < 2:
        raise InputError(
            f"images of {by([round(size) for size in shape])} voxels are too small to train on; 8 along "
            "two axes are the least: take a smaller spacing or larger images"
        )


def _digest(entry: Plan, transpose_forward: Sequence[int]) -> str:
    facts = {key: entry[key] for key in _OF_PREPROCESSING} | {"transpose_forward": list(transpose_forward)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def by(values: Sequence[int]) -> str:
    """Sizes as a person reads them: 256 x 224."""
    return " x ".join(str(int(value)) for value in values)
