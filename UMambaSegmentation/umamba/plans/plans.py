"""plans.json as a whole: axes, intensities, configurations with inheritance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umamba.errors import ModelError
from umamba.plans import fields
from umamba.plans.configuration import Configuration, parse_configuration


@dataclass(frozen=True)
class IntensityProperties:
    """Foreground intensities of one channel over the training set, as nnU-Net's fingerprint has them."""

    mean: float
    std: float
    percentile_00_5: float
    percentile_99_5: float


@dataclass(frozen=True)
class Plans:
    """nnU-Net's plans.

    Attributes:
        dataset_name, plans_name: As the planner wrote them.
        reader: nnU-Net's image reader, for example "SimpleITKIO".
        transpose_forward: Image axis (of Z, Y, X) that each network axis is taken from.
        transpose_backward: The inverse permutation.
        intensities: Per channel number; only channels with CT normalisation need an entry.
        raw: The decoded file, from which `configuration` reads.
    """

    dataset_name: str
    plans_name: str
    reader: str
    transpose_forward: tuple[int, int, int]
    transpose_backward: tuple[int, int, int]
    intensities: Mapping[int, IntensityProperties]
    raw: Mapping[str, Any]

    @property
    def configurations(self) -> tuple[str, ...]:
        """Names of the configurations in the file."""
        return tuple(self.raw["configurations"])

    def configuration(self, name: str) -> Configuration:
        """The configuration `name`, with everything it inherits.

        Raises:
            ModelError: No such configuration, a circle of inheritance, or a wrong entry.
        """
        return parse_configuration(resolve_inheritance(self.raw["configurations"], name), name)


def parse_plans(raw: Mapping[str, Any]) -> Plans:
    """Read a decoded plans.json of nnunetv2 (2.1 or later) or of U-Mamba's fork.

    Raises:
        ModelError: A key is missing or has a wrong value.
    """
    where = "plans.json"
    forward = _permutation(fields.required(raw, "transpose_forward", where), "transpose_forward")
    backward = _permutation(fields.required(raw, "transpose_backward", where), "transpose_backward")
    if tuple(forward[axis] for axis in backward) != (0, 1, 2):
        raise ModelError(f"{where}: transpose_backward does not undo transpose_forward")
    configurations = fields.mapping(fields.required(raw, "configurations", where), f"{where}: configurations")
    if not configurations:
        raise ModelError(f"{where}: no configuration in it")
    return Plans(
        dataset_name=fields.text(fields.required(raw, "dataset_name", where), f"{where}: dataset_name"),
        plans_name=fields.text(raw.get("plans_name", "nnUNetPlans"), f"{where}: plans_name"),
        reader=fields.text(raw.get("image_reader_writer", "SimpleITKIO"), f"{where}: image_reader_writer"),
        transpose_forward=forward,
        transpose_backward=backward,
        intensities=_intensities(raw),
        raw=raw,
    )


def resolve_inheritance(configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Merge a configuration with what it inherits, nearest entry first (nnU-Net's `inherits_from`).

    Raises:
        ModelError: An unknown name or a circle.
    """
    chain: list[str] = []
    current: object = name
    while current is not None:
        current = fields.text(current, f"plans.json: configuration {name!r}: inherits_from")
        if current in chain:
            raise ModelError(f"plans.json: configuration {name!r} inherits from itself ({' > '.join(chain)})")
        if current not in configurations:
            raise ModelError(
                f"plans.json: there is no configuration {current[:80]!r} ({', '.join(configurations)})"
            )
        chain.append(current)
        entry = fields.mapping(configurations[current], f"plans.json: configuration {current!r}")
        current = entry.get("inherits_from")
    merged: dict[str, Any] = {}
    for link in reversed(chain):
        merged.update(configurations[link])
    merged.pop("inherits_from", None)
    return merged


def _permutation(value: object, key: str) -> tuple[int, int, int]:
    found = fields.integers(value, f"plans.json: {key}", 0, 2, 3)
    if sorted(found) != [0, 1, 2]:
        raise ModelError(f"plans.json: {key} {list(found)} is not a permutation of 0, 1, 2")
    return found[0], found[1], found[2]


def _intensities(raw: Mapping[str, Any]) -> dict[int, IntensityProperties]:
    key = "foreground_intensity_properties_per_channel"
    if key not in raw:
        key = "foreground_intensity_properties_by_modality"
    entries = fields.mapping(raw.get(key) or {}, f"plans.json: {key}")
    found = {}
    for channel, entry in entries.items():
        where = f"plans.json: intensities of channel {channel!r}"
        if not channel.isdecimal():
            raise ModelError(f"{where}: a channel number was expected")
        values = fields.mapping(entry, where)
        found[int(channel)] = IntensityProperties(
            *(
                fields.number(fields.required(values, name, where), f"{where}: {name}")
                for name in ("mean", "std", "percentile_00_5", "percentile_99_5")
            )
        )
    return found
