"""Do these weights fit the network that plans and dataset describe? Asked without taking any memory."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from umamba import nn
from umamba.errors import ModelError
from umamba.plans import Configuration, Dataset

_NAMED_KEYS = 3


def check_shapes(
    configuration: Configuration,
    dataset: Dataset,
    network: str,
    generation: str | None,
    shapes: Mapping[str, tuple[int, ...]],
    where: str,
    source: str = "of the plans",
) -> None:
    """Build the network on torch's meta device and compare every key and shape.

    Args:
        configuration, dataset: What the network is built from.
        network, generation: Its class, as `umamba.nn.build` takes them.
        shapes: Shape of each weight by its key, duplicates folded.
        where: The file's name, for errors.
        source: Where the network's sizes come from, for errors.

    Raises:
        ModelError: A tensor is missing, unknown or of a wrong shape.
    """
    with torch.device("meta"):
        built = nn.build(
            configuration,
            nn.input_channels(configuration, dataset),
            dataset.labels.heads,
            network=network,
            generation=generation,
        )
    wanted = {key: tuple(tensor.shape) for key, tensor in built.state_dict().items()}
    faults = [
        ("missing", [key for key in wanted if key not in shapes]),
        ("unknown", [key for key in shapes if key not in wanted]),
        (
            "of a wrong shape",
            [
                f"{key} {list(shapes[key])}, wanted {list(shape)}"
                for key, shape in wanted.items()
                if key in shapes and shapes[key] != shape
            ],
        ),
    ]
    said = [f"{len(keys)} tensors {what} ({_some(keys)})" for what, keys in faults if keys]
    if said:
        raise ModelError(f"{where}: does not fit the {network} {source}: {'; '.join(said)}")


def _some(keys: list[str]) -> str:
    shown = ", ".join(key[:100] for key in keys[:_NAMED_KEYS])
    return shown + (", ..." if len(keys) > _NAMED_KEYS else "")
