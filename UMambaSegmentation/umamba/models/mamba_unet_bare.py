"""A bare state dict of Mamba-UNet, as its published training saves it, read as a trained configuration.

Such a file says nothing but the weights. The sizes of the network are read off their shapes; what was done
to the images is what the published scripts do for ACDC, and that is how a run prepares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError, ModelError
from umamba.models.checkpoint import WRAPPERS, Checkpoint, read_state_dict
from umamba.plans.architecture import MAMBA_UNET
from umamba.plans.configuration import ACDC_STEPS, MAX_PATCH_AXIS
from umamba.plans.mamba_unet import COLOUR_CHANNELS, MambaUNetSizes, arguments_of

if TYPE_CHECKING:
    import torch

CONFIGURATION = "2d"
TRAINER = "Mamba-UNet's own training"
# The side to which training and its validation bring every slice. (The published test script takes 256.)
IMAGE_SIZE = 224
_BATCH = 24


@dataclass(frozen=True)
class BareOptions:
    """What a person knows of a bare state dict and the file does not.

    Attributes:
        labels: Names of the values 1, 2, ...; None names them by their numbers.
        image_size: Side of the network's input in pixels; None takes the published training's.
    """

    labels: Sequence[str] | None = None
    image_size: int | None = None


@dataclass(frozen=True)
class BareModel:
    """A bare state dict with the plans and the dataset.json that go with it."""

    checkpoint: Checkpoint
    plans: dict[str, Any]
    dataset: dict[str, Any]


def read_bare(path: Path, options: BareOptions) -> BareModel | None:
    """Read a file that is a bare state dict; None where it is something else.

    Raises:
        ModelError: The file is unsafe or damaged, or the weights are of another network.
        InputError: An option that does not fit the weights.
    """
    from umamba.nn.mamba_unet_keys import read_sizes, stored_names

    try:
        checkpoint = read_state_dict(path, stored_names)
        if checkpoint is None:
            return None
        found = read_sizes(checkpoint.shapes)
        if found.classes < 2:
            raise ModelError("the weights have one class; a background and one label at least are wanted")
    except ModelError as error:
        if str(error).startswith(path.name):
            raise
        raise ModelError(f"{path.name}: {error}") from None
    sizes = found.sizes
    return BareModel(
        replace(checkpoint, trainer=TRAINER, configuration=CONFIGURATION),
        _plans(path.stem, sizes, _checked_size(options.image_size, sizes)),
        _dataset(path.stem, sizes, _checked_labels(options.labels, found.classes)),
    )


def load_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a bare state dict, or of one under a usual entry, by the safe reader.

    For start values: `umamba.nn.mamba_unet_pretrained.load_vmamba` takes them.

    Raises:
        ModelError: The file is unsafe or damaged, or holds no state dict.
    """
    import torch

    from umamba.models.checkpoint import read_arrays

    checkpoint = read_state_dict(path)
    if checkpoint is None:
        entries = " or ".join(repr(entry) for entry in WRAPPERS)
        raise ModelError(
            f"{path.name}: holds no state dict (tensors by their names, or those under {entries})"
        )
    return {key: torch.from_numpy(array) for key, array in read_arrays(checkpoint)}


def _plans(name: str, sizes: MambaUNetSizes, image_size: int) -> dict[str, Any]:
    return {
        "dataset_name": name,
        "plans_name": "MambaUNetPublished",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            CONFIGURATION: {
                "preprocessing": ACDC_STEPS,
                "patch_size": [image_size, image_size],
                "spacing": [1.0, 1.0],
                "normalization_schemes": ["RescaleTo01Normalization"] * _image_channels(sizes),
                "use_mask_for_norm": [False] * _image_channels(sizes),
                "batch_size": _BATCH,
                "architecture": {
                    "network_class_name": f"umamba.nn.{MAMBA_UNET}",
                    "arch_kwargs": arguments_of(sizes),
                    "_kw_requires_import": [],
                },
            }
        },
    }


def _dataset(name: str, sizes: MambaUNetSizes, labels: Sequence[str]) -> dict[str, Any]:
    channels = _image_channels(sizes)
    return {
        "name": name,
        "channel_names": {str(i): "image" if channels == 1 else f"channel {i + 1}" for i in range(channels)},
        "labels": {"background": 0} | {label: value for value, label in enumerate(labels, start=1)},
        "file_ending": ".nii.gz",
    }


def _image_channels(sizes: MambaUNetSizes) -> int:
    """An embedding of three channels is that of the published network, which repeats a grey image."""
    return 1 if sizes.embed_channels in (None, COLOUR_CHANNELS) else sizes.embed_channels or 1


def _checked_size(wanted: int | None, sizes: MambaUNetSizes) -> int:
    size = IMAGE_SIZE if wanted is None else wanted
    stride = max(sizes.total_stride)
    if not 0 < size <= MAX_PATCH_AXIS or size % stride:
        raise InputError(f"image_size: {size} found, a multiple of {stride} up to {MAX_PATCH_AXIS} wanted")
    return size


def _checked_labels(labels: Sequence[str] | None, classes: int) -> list[str]:
    if labels is None:
        return [f"label {value}" for value in range(1, classes)]
    names = [label.strip() for label in labels]
    if len(names) != classes - 1:
        raise InputError(
            f"labels: {len(names)} names found, the model has {classes - 1} besides the background"
        )
    valued = [name for name in names if "=" in name]
    if valued:
        raise InputError(
            f"labels: {valued[0]!r} found; give the names alone, in the order of the values 1, 2, ..."
        )
    reserved = [name for name in names if name.lower() in ("", "background", "ignore")]
    if reserved or len({name.lower() for name in names}) != len(names):
        raise InputError("labels: each needs a name of its own, other than background and ignore")
    return names
