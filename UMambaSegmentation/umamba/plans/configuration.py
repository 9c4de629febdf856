"""One configuration of plans.json: patch, spacing, normalisation, resampling, network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umamba.errors import ModelError
from umamba.plans import fields
from umamba.plans.architecture import Architecture, parse_architecture

NORMALIZATIONS = (
    "ZScoreNormalization",
    "CTNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
)
# Names of resampling functions that plans may hold, and what each does.
_RESAMPLING_METHODS = {
    "resample_data_or_seg_to_shape": "spline",  # nnU-Net's default: skimage's resize, separate z
    "fast_resample_data_or_seg_to_shape": "linear",  # U-Mamba's fork: torch, trilinear, no separate z
    "resample_torch_fornnunet": "torch",  # nnunetv2: torch, linear, separate z
    "no_resampling_hack": "none",
}
# What happens to an image before and after the network: nnU-Net's steps, or Mamba-UNet's for ACDC (every
# slice to the size of the patch and its labels back, by the nearest pixel).
NNUNET_STEPS, ACDC_STEPS = "nnunet", "acdc"
MAX_PATCH_AXIS = 4_096
MAX_PATCH_VOXELS = 2**28


@dataclass(frozen=True)
class Resampling:
    """How one kind of array is brought to another grid.

    Attributes:
        method: "spline", "linear", "torch" or "none".
        order: Spline order in plane.
        order_z: Spline order along a separate axis.
        force_separate_z: None decides by the spacings (ratio above 3).
    """

    method: str
    order: int
    order_z: int
    force_separate_z: bool | None


@dataclass(frozen=True)
class Configuration:
    """A configuration, inheritance resolved. Axes are in the transposed order (Z, Y, X), units mm.

    Attributes:
        name: For example "3d_fullres".
        patch_size: 2 or 3 sizes, in voxels.
        spacing: As many as `patch_size`; a 2D configuration leaves the first image axis alone.
        normalization: One scheme of `NORMALIZATIONS` a channel.
        use_mask: Per channel: statistics inside the nonzero mask only.
        data, labels, logits: The three resampling rules.
        architecture: The network.
        previous_stage: Name of the configuration whose label map is a further input, or None.
        batch_size: Of the training, kept for information.
        steps: "nnunet" or "acdc"; with the latter `spacing`, `normalization` and the resampling rules mean
            nothing.
    """

    name: str
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    normalization: tuple[str, ...]
    use_mask: tuple[bool, ...]
    data: Resampling
    labels: Resampling
    logits: Resampling
    architecture: Architecture
    previous_stage: str | None
    batch_size: int
    steps: str = NNUNET_STEPS

    @property
    def axes(self) -> int:
        """2 for slice-by-slice networks, 3 for volumes."""
        return len(self.patch_size)


def parse_configuration(raw: Mapping[str, Any], name: str) -> Configuration:
    """Read a configuration entry whose `inherits_from` is already resolved.

    Raises:
        ModelError: A key is missing or has a wrong value.
    """
    where = f"plans.json: configuration {name!r}"
    patch = fields.integers(
        fields.required(raw, "patch_size", where), f"{where}: patch_size", 1, MAX_PATCH_AXIS
    )
    if len(patch) not in (2, 3):
        raise ModelError(f"{where}: patch_size has {len(patch)} entries, 2 or 3 wanted")
    voxels = 1
    for size in patch:
        voxels *= size
    if voxels > MAX_PATCH_VOXELS:
        raise ModelError(f"{where}: a patch of {voxels} voxels is beyond any real model")
    spacing = tuple(
        fields.number(entry, f"{where}: spacing")
        for entry in fields.sequence(fields.required(raw, "spacing", where), f"{where}: spacing", len(patch))
    )
    if min(spacing) <= 0:
        raise ModelError(f"{where}: spacing {list(spacing)} must be above 0")
    architecture = parse_architecture(raw, len(patch), where)
    for axis, (size, stride) in enumerate(zip(patch, architecture.total_stride, strict=True)):
        if size % stride:
            raise ModelError(
                f"{where}: patch_size {size} of axis {axis} is not divisible by the strides ({stride})"
            )
    schemes = fields.required(raw, "normalization_schemes", where)
    normalization = tuple(
        _scheme(entry, where) for entry in fields.sequence(schemes, f"{where}: normalization_schemes")
    )
    masks = fields.sequence(
        fields.required(raw, "use_mask_for_norm", where), f"{where}: use_mask_for_norm", len(normalization)
    )
    previous = raw.get("previous_stage")
    return Configuration(
        name=name,
        patch_size=patch,
        spacing=spacing,
        normalization=normalization,
        use_mask=tuple(fields.flag(entry, f"{where}: use_mask_for_norm") for entry in masks),
        data=_resampling(raw, "data", 3, where),
        labels=_resampling(raw, "seg", 1, where),
        logits=_resampling(raw, "probabilities", 1, where),
        architecture=architecture,
        previous_stage=None if previous is None else fields.text(previous, f"{where}: previous_stage"),
        batch_size=fields.integer(raw.get("batch_size", 2), f"{where}: batch_size", 1, 100_000),
        steps=_steps(raw.get("preprocessing", NNUNET_STEPS), len(patch), where),
    )


def _steps(value: object, axes: int, where: str) -> str:
    name = fields.text(value, f"{where}: preprocessing")
    if name not in (NNUNET_STEPS, ACDC_STEPS):
        raise ModelError(
            f"{where}: the preprocessing {name[:80]!r} is not known here ({NNUNET_STEPS}, {ACDC_STEPS} are)"
        )
    if name == ACDC_STEPS and axes != 2:
        raise ModelError(
            f"{where}: the preprocessing {ACDC_STEPS!r} is for flat patches, this one has {axes} axes"
        )
    return name


def _scheme(value: object, where: str) -> str:
    name = fields.text(value, f"{where}: normalization scheme")
    if name not in NORMALIZATIONS:
        raise ModelError(f"{where}: the normalization {name[:80]!r} is not known here")
    return name


def _resampling(raw: Mapping[str, Any], kind: str, order: int, where: str) -> Resampling:
    key = f"resampling_fn_{kind}"
    name = fields.text(raw.get(key, "resample_data_or_seg_to_shape"), f"{where}: {key}")
    if name not in _RESAMPLING_METHODS:
        raise ModelError(f"{where}: the resampling function {name[:80]!r} is not known here")
    kwargs = fields.mapping(raw.get(f"{key}_kwargs") or {}, f"{where}: {key}_kwargs")
    force = kwargs.get("force_separate_z")
    return Resampling(
        method=_RESAMPLING_METHODS[name],
        order=fields.integer(kwargs.get("order", order), f"{where}: {key} order", 0, 5),
        order_z=fields.integer(kwargs.get("order_z", 0), f"{where}: {key} order_z", 0, 5),
        force_separate_z=None if force is None else fields.flag(force, f"{where}: force_separate_z"),
    )
