"""The network that a configuration of plans.json describes, in either published format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umamba.errors import ModelError
from umamba.plans import fields
from umamba.plans.mamba_unet import MambaUNetSizes, parse_sizes

PLAIN = "PlainConvUNet"
RESIDUAL = "ResidualEncoderUNet"
BOT = "UMambaBot"
ENC = "UMambaEnc"
MAMBA_UNET = "MambaUNet"
NETWORK_CLASSES = (BOT, ENC, PLAIN, RESIDUAL, MAMBA_UNET)

# Class paths that a plans file may name. They are looked up here and never imported.
_CLASS_PATHS = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet": PLAIN,
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet": RESIDUAL,
    "umamba.nn.UMambaBot": BOT,
    "umamba.nn.UMambaEnc": ENC,
    "umamba.nn.MambaUNet": MAMBA_UNET,
    PLAIN: PLAIN,
    RESIDUAL: RESIDUAL,
}
_CONVOLUTIONS = {"Conv2d": 2, "Conv3d": 3}
_CONV_MODULES = ("torch.nn.modules.conv.", "torch.nn.")
_NORMS = {
    2: ("torch.nn.modules.instancenorm.InstanceNorm2d", "torch.nn.InstanceNorm2d"),
    3: ("torch.nn.modules.instancenorm.InstanceNorm3d", "torch.nn.InstanceNorm3d"),
}
_ACTIVATIONS = ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU")
_DEFAULT_SLOPE = 0.01
_DEFAULT_EPS = 1e-5
# Everything that arch_kwargs may say: another key would mean another network than the one built.
_KNOWN_KWARGS = frozenset(
    {
        "n_stages",
        "features_per_stage",
        "conv_op",
        "kernel_sizes",
        "strides",
        "n_conv_per_stage",
        "n_blocks_per_stage",
        "n_conv_per_stage_decoder",
        "conv_bias",
        "norm_op",
        "norm_op_kwargs",
        "dropout_op",
        "dropout_op_kwargs",
        "nonlin",
        "nonlin_kwargs",
        "deep_supervision",
        "generation",
        "patch_size",
    }
)
_KNOWN_NORM_KWARGS = frozenset({"eps", "affine"})
_KNOWN_NONLIN_KWARGS = frozenset({"negative_slope", "inplace"})

MAX_STAGES = 16
MAX_FEATURES = 8_192
MAX_BLOCKS = 100
MAX_KERNEL = 31
MAX_STRIDE = 16


@dataclass(frozen=True)
class Architecture:
    """A U-shaped network, as nnU-Net plans it.

    Attributes:
        network_class: A name of `NETWORK_CLASSES`.
        features: Channels of each stage.
        kernels, strides: Per stage, one entry per spatial axis.
        encoder_blocks: Convolutions (PlainConvUNet) or residual blocks of each stage.
        decoder_blocks: Convolutions or blocks of each decoder stage, deepest first as nnU-Net counts.
        conv_bias: Whether convolutions carry a bias.
        norm_eps, norm_affine: Instance normalisation.
        negative_slope: LeakyReLU.
        generation: "current" or "legacy" where a U-Mamba's plans say so, else None.
        mamba_unet: The sizes of a MambaUNet, None for the others. Its first stride is the token's size.
    """

    network_class: str
    features: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    encoder_blocks: tuple[int, ...]
    decoder_blocks: tuple[int, ...]
    conv_bias: bool = True
    norm_eps: float = _DEFAULT_EPS
    norm_affine: bool = True
    negative_slope: float = _DEFAULT_SLOPE
    generation: str | None = None
    mamba_unet: MambaUNetSizes | None = None

    @property
    def stages(self) -> int:
        """Number of resolution stages."""
        return len(self.features)

    @property
    def total_stride(self) -> tuple[int, ...]:
        """The factor by which each axis shrinks down to the bottleneck."""
        total = [1] * len(self.strides[0])
        for stride in self.strides:
            total = [t * s for t, s in zip(total, stride, strict=True)]
        return tuple(total)


def parse_architecture(raw: Mapping[str, Any], axes: int, where: str) -> Architecture:
    """Read the network of a configuration entry (inheritance already resolved).

    Args:
        raw: The configuration's entry of plans.json.
        axes: 2 or 3, the number of the patch's axes.
        where: The entry's name, for errors.

    Raises:
        ModelError: A key is missing or wrong, or a class is named that is not on the list.
    """
    if "architecture" in raw:
        entry = fields.mapping(raw["architecture"], f"{where}: architecture")
        return _parse_current_format(entry, axes, where)
    return _parse_old_format(raw, axes, where)


def _parse_current_format(entry: Mapping[str, Any], axes: int, where: str) -> Architecture:
    """The format of nnunetv2 2.4 and later: a class path and its keyword arguments."""
    network_class = _network_class(fields.required(entry, "network_class_name", where), where)
    kwargs = fields.mapping(fields.required(entry, "arch_kwargs", where), f"{where}: arch_kwargs")
    if network_class == MAMBA_UNET:
        return _of_mamba_unet(parse_sizes(kwargs, axes, f"{where}: arch_kwargs"))
    stages = fields.integer(fields.required(kwargs, "n_stages", where), f"{where}: n_stages", 1, MAX_STAGES)
    _check_operations(kwargs, axes, where)
    blocks_key = "n_conv_per_stage" if "n_conv_per_stage" in kwargs else "n_blocks_per_stage"
    norm = fields.mapping(kwargs.get("norm_op_kwargs") or {}, f"{where}: norm_op_kwargs")
    nonlin = fields.mapping(kwargs.get("nonlin_kwargs") or {}, f"{where}: nonlin_kwargs")
    _refuse_unknown(kwargs, _KNOWN_KWARGS, f"{where}: arch_kwargs")
    _refuse_unknown(norm, _KNOWN_NORM_KWARGS, f"{where}: norm_op_kwargs")
    _refuse_unknown(nonlin, _KNOWN_NONLIN_KWARGS, f"{where}: nonlin_kwargs")
    generation = kwargs.get("generation")
    if generation not in (None, "current", "legacy"):
        raise ModelError(f"{where}: generation {generation!r} is not 'current' or 'legacy'")
    features = fields.required(kwargs, "features_per_stage", where)
    if isinstance(features, int):
        features = [features] * stages
    return Architecture(
        network_class,
        features=fields.integers(features, f"{where}: features_per_stage", 1, MAX_FEATURES, stages),
        kernels=_per_stage(kwargs, "kernel_sizes", stages, axes, MAX_KERNEL, where),
        strides=_per_stage(kwargs, "strides", stages, axes, MAX_STRIDE, where),
        encoder_blocks=_blocks(kwargs, blocks_key, stages, where),
        decoder_blocks=_blocks(kwargs, "n_conv_per_stage_decoder", stages - 1, where),
        conv_bias=fields.flag(kwargs.get("conv_bias", False), f"{where}: conv_bias"),
        norm_eps=fields.number(norm.get("eps", _DEFAULT_EPS), f"{where}: eps"),
        norm_affine=fields.flag(norm.get("affine", False), f"{where}: affine"),
        negative_slope=fields.number(
            nonlin.get("negative_slope", _DEFAULT_SLOPE), f"{where}: negative_slope"
        ),
        generation=generation,
    )


def _of_mamba_unet(sizes: MambaUNetSizes) -> Architecture:
    return Architecture(
        MAMBA_UNET,
        features=sizes.dims,
        kernels=((sizes.d_conv,) * sizes.axes,) * len(sizes.dims),
        strides=(sizes.patch_size, *sizes.strides),
        encoder_blocks=sizes.depths,
        decoder_blocks=sizes.depths[-2::-1],
        mamba_unet=sizes,
    )


def _parse_old_format(raw: Mapping[str, Any], axes: int, where: str) -> Architecture:
    """The format of nnunetv2 2.1 to 2.3 and of U-Mamba's fork: flat keys, fixed normalisation."""
    strides_raw = fields.sequence(
        fields.required(raw, "pool_op_kernel_sizes", where), f"{where}: pool_op_kernel_sizes"
    )
    stages = fields.integer(len(strides_raw), f"{where}: number of stages", 1, MAX_STAGES)
    base = fields.integer(
        fields.required(raw, "UNet_base_num_features", where), f"{where}: base features", 1, MAX_FEATURES
    )
    most = fields.integer(
        fields.required(raw, "unet_max_num_features", where), f"{where}: most features", 1, MAX_FEATURES
    )
    return Architecture(
        _network_class(raw.get("UNet_class_name", PLAIN), where),
        features=tuple(min(base * 2**stage, most) for stage in range(stages)),
        kernels=_per_stage(raw, "conv_kernel_sizes", stages, axes, MAX_KERNEL, where),
        strides=_per_stage(raw, "pool_op_kernel_sizes", stages, axes, MAX_STRIDE, where),
        encoder_blocks=_blocks(raw, "n_conv_per_stage_encoder", stages, where),
        decoder_blocks=_blocks(raw, "n_conv_per_stage_decoder", stages - 1, where),
    )


def _network_class(value: object, where: str) -> str:
    name = fields.text(value, f"{where}: network class")
    if name not in _CLASS_PATHS:
        known = ", ".join(sorted(set(_CLASS_PATHS.values())))
        raise ModelError(f"{where}: the network class {name[:80]!r} is not known here ({known} are)")
    return _CLASS_PATHS[name]


def _refuse_unknown(kwargs: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """An option that is not known and not switched off changes the network in an unknown way."""
    for key, value in kwargs.items():
        if key not in known and value is not None and value is not False:
            raise ModelError(f"{where}: the option {key[:80]!r} is not supported")


def _check_operations(kwargs: Mapping[str, Any], axes: int, where: str) -> None:
    """Hold every class path of arch_kwargs against the allow-list."""
    conv = kwargs.get("conv_op")
    allowed = [module + name for module in _CONV_MODULES for name, n in _CONVOLUTIONS.items() if n == axes]
    if conv not in allowed:
        raise ModelError(f"{where}: conv_op {str(conv)[:80]!r} is not a {axes}-dimensional convolution")
    if kwargs.get("norm_op") not in _NORMS[axes]:
        raise ModelError(
            f"{where}: norm_op {str(kwargs.get('norm_op'))[:80]!r} is not instance normalisation"
        )
    if kwargs.get("nonlin") not in _ACTIVATIONS:
        raise ModelError(f"{where}: nonlin {str(kwargs.get('nonlin'))[:80]!r} is not LeakyReLU")
    if kwargs.get("dropout_op") is not None:
        raise ModelError(f"{where}: dropout_op {str(kwargs['dropout_op'])[:80]!r} is not supported")


def _per_stage(
    raw: Mapping[str, Any], key: str, stages: int, axes: int, most: int, where: str
) -> tuple[tuple[int, ...], ...]:
    entries = fields.sequence(fields.required(raw, key, where), f"{where}: {key}", stages)
    spread = [[entry] * axes if isinstance(entry, int) else entry for entry in entries]
    return tuple(fields.integers(entry, f"{where}: {key}", 1, most, axes) for entry in spread)


def _blocks(raw: Mapping[str, Any], key: str, length: int, where: str) -> tuple[int, ...]:
    value = fields.required(raw, key, where)
    if isinstance(value, int):
        value = [value] * length
    return fields.integers(value, f"{where}: {key}", 1, MAX_BLOCKS, length)
