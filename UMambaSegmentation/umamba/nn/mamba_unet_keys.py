"""What the keys and shapes of a state dict tell of a Mamba-UNet, or of what it is instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umamba.errors import ModelError
from umamba.plans.mamba_unet import MambaUNetSizes, parse_sizes

PREFIX = "mamba_unet."
EMBEDDING = "patch_embed.proj.weight"
_SCAN = "self_attention.x_proj_weight"
_EXPANSION = "layers_up.0.expand.weight"
_AXES_OF_DIMENSIONS = {4: 2, 5: 3}

Shape = tuple[int, ...]

# Other networks by a pattern that some key of theirs has; the first that fits is the one.
_KIN = (
    (r"relative_position_bias_table$|attn\.qkv\.weight$", "a Swin-UNet or another Swin network"),
    (
        r"(^|\.)op\.(A_logs|x_proj_weight)$|blocks\.\d+\.mlp\.",
        "a VMamba of a later generation (no such file fits)",
    ),
    (r"self_attention\.(A_logs|x_proj_weight)$", "a VMamba classifier, from which a training may start"),
    (r"mamba\.A_log$|mamba_layer", "a U-Mamba; import the results folder that it was trained into"),
    (
        r"^(encoder|decoder)\.(stages|stem|seg_layers)",
        "nnU-Net's U-Net; import the results folder that it was trained into",
    ),
    (r"(^|\.)(in_conv|conv_conv|down1|up1)\.|^encoder\.|^decoder\.", "a U-Net of convolutions"),
)


@dataclass(frozen=True)
class StateDictSizes:
    """What the shapes of a Mamba-UNet say.

    Attributes:
        sizes: Of the network; what no shape tells has its published value.
        classes: Background included.
    """

    sizes: MambaUNetSizes
    classes: int


def axes_of(shapes: Mapping[str, Sequence[int]]) -> int | None:
    """2 or 3 for the keys of a Mamba-UNet under their stored names, None for those of anything else."""
    if f"{PREFIX}layers.0.blocks.0.{_SCAN}" not in shapes or PREFIX + _EXPANSION not in shapes:
        return None
    return _AXES_OF_DIMENSIONS.get(len(shapes.get(PREFIX + EMBEDDING, ())))


def stored_names(keys: Sequence[str]) -> dict[str, str]:
    """The name under which each key of a bare state dict is kept here, whatever stands before all of them.

    The published training saves `mamba_unet.<name>`, parallel training puts `module.` before that, and the
    inner module alone has the bare names.

    Raises:
        ModelError: It is no Mamba-UNet; the error says what it looks like.
    """
    ends = (end for end in (EMBEDDING, _EXPANSION) if any(key.endswith(end) for key in keys))
    end = next(ends, EMBEDDING)
    prefix = next((key.removesuffix(end) for key in keys if key.endswith(end)), "")
    names = {key: PREFIX + key.removeprefix(prefix) for key in keys}
    found = set(names.values())
    decoder = any(name.startswith(f"{PREFIX}layers_up.") for name in found)
    blocks = any(name.endswith(_SCAN) for name in found)
    if not (decoder and blocks):
        raise ModelError(f"the weights are not of a Mamba-UNet: they look like {looks_like(keys)}")
    foreign = [key for key in keys if not key.startswith(prefix)]
    if foreign:
        raise ModelError(
            f"the weights are a Mamba-UNet's but for {len(foreign)} of their {len(keys)} entries "
            f"({foreign[0][:80]!r} first), which do not begin with {prefix!r} as the others; save it without"
        )
    return names


def looks_like(keys: Sequence[str]) -> str:
    """In words, what a state dict that is no Mamba-UNet's seems to be of."""
    for pattern, kind in _KIN:
        if any(re.search(pattern, key) for key in keys):
            return kind
    first = min(keys, default="none at all")
    return f"no network that is known here (first key: {first[:80]!r})"


def read_sizes(shapes: Mapping[str, Shape]) -> StateDictSizes:
    """All sizes of a flat Mamba-UNet from the shapes of its weights, by their stored names.

    Raises:
        ModelError: A tensor from which a size is read is missing, or two of them contradict each other.
    """
    reader = _Shapes(shapes)
    width, channels, *patch = reader.get(EMBEDDING, 4)
    depths = reader.depths("layers")
    mirrored = reader.depths("layers_up")
    if not depths or 0 in depths:
        raise ModelError(f"the weights have stages of {list(depths)} blocks; each must have one at least")
    if mirrored != [0, *depths[-2::-1]]:
        raise ModelError(
            f"the weights have a decoder of {mirrored[1:]} blocks a stage; those of the encoder mirrored, "
            f"{depths[-2::-1]}, are wanted"
        )
    dims, ranks = [], []
    for stage in range(len(depths)):
        block = f"layers.{stage}.blocks.0"
        dims.append(reader.get(f"{block}.ln_1.weight", 1)[0])
        ranks.append(reader.get(f"{block}.self_attention.dt_projs_weight", 3)[2])
    first = "layers.0.blocks.0.self_attention"
    kernel = reader.get(f"{first}.conv2d.weight", 4)
    enlarged = reader.get("up.expand.weight", 2)[0]
    if enlarged != patch[0] * patch[1] * width:
        raise ModelError(
            f"the weights embed {patch[0]} x {patch[1]} pixels in a token and make {enlarged // width} "
            "of one at the end; the same number is wanted"
        )
    sizes = parse_sizes(
        {
            "dims": dims,
            "depths": depths,
            "patch_size": patch,
            "dt_ranks": ranks,
            "d_state": reader.get(f"{first}.A_logs", 2)[1],
            "expand": reader.get(f"{first}.in_proj.weight", 2)[0] // (2 * width),
            "d_conv": kernel[-1],
            "embed_channels": channels,
            "patch_norm": PREFIX + "patch_embed.norm.weight" in shapes,
        },
        2,
        "the weights",
    )
    return StateDictSizes(sizes, reader.get("output.weight", 4)[0])


class _Shapes:
    """The shapes by their names within the network."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes

    def get(self, name: str, axes: int) -> Shape:
        shape = self._shapes.get(PREFIX + name)
        if shape is None:
            raise ModelError(f"the weights are of a Mamba-UNet, but {name} is missing in them")
        if len(shape) != axes:
            raise ModelError(
                f"the weights are of a Mamba-UNet, but {name} has {len(shape)} axes, {axes} wanted (a bare "
                "state dict must be of the flat network; of one of volumes import the results folder)"
            )
        return shape

    def depths(self, stages: str) -> list[int]:
        """Blocks of each stage; a gap in the numbers ends the count, and comparing the keys shows it."""
        pattern = re.compile(rf"{re.escape(PREFIX)}{stages}\.(\d{{1,2}})\.(?:blocks\.(\d{{1,3}})\.)?")
        found: dict[int, set[int]] = {}
        for key in self._shapes:
            match = pattern.match(key)
            if match:
                blocks = found.setdefault(int(match[1]), set())
                if match[2] is not None:
                    blocks.add(int(match[2]))
        count = max(found, default=-1) + 1
        return [max(found.get(stage, ()), default=-1) + 1 for stage in range(count)]
