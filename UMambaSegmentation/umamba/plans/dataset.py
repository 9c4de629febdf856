"""dataset.json: channels, labels, file ending."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umamba.errors import ModelError
from umamba.plans import fields
from umamba.plans.labels import LabelRules, parse_labels

MAX_CHANNELS = 1_000


@dataclass(frozen=True)
class Dataset:
    """What a model takes and gives.

    Attributes:
        channel_names: Names of the input channels in order.
        labels: The label rules.
        file_ending: Suffix of the training images, for example ".nii.gz".
        reader: nnU-Net's reader that dataset.json forces, or None.
    """

    channel_names: tuple[str, ...]
    labels: LabelRules
    file_ending: str
    reader: str | None


def parse_dataset(raw: Mapping[str, Any]) -> Dataset:
    """Read a decoded dataset.json (nnU-Net v2; the older key `modality` stands for `channel_names`).

    Raises:
        ModelError: A key is missing or has a wrong value.
    """
    key = "channel_names" if "channel_names" in raw else "modality"
    if key not in raw:
        raise ModelError("dataset.json: the key 'channel_names' is missing")
    channels = fields.mapping(raw[key], f"dataset.json: {key}")
    if not 1 <= len(channels) <= MAX_CHANNELS:
        raise ModelError(f"dataset.json: {len(channels)} channels found, 1 to {MAX_CHANNELS} wanted")
    if set(channels) != {str(index) for index in range(len(channels))}:
        raise ModelError(f'dataset.json: {key} must be numbered "0", "1", ..., not {sorted(channels)[:5]}')
    reader = raw.get("overwrite_image_reader_writer")
    return Dataset(
        channel_names=tuple(
            fields.text(channels[str(index)], f"dataset.json: {key}") for index in range(len(channels))
        ),
        labels=parse_labels(raw),
        file_ending=fields.text(raw.get("file_ending", ".nii.gz"), "dataset.json: file_ending"),
        reader=None if reader in (None, "None") else fields.text(reader, "dataset.json: reader"),
    )
