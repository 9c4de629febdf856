"""Label rules of nnU-Net v2: plain labels, overlapping regions, an ignore label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umamba.errors import ModelError
from umamba.plans import fields

# The label map is written as uint8 or uint16.
MAX_LABEL = 65_535


@dataclass(frozen=True)
class LabelRules:
    """What a network's output channels mean and which values the label map may hold.

    Attributes:
        names: Label or region name to its value(s), in the order of dataset.json, `background` and
            `ignore` included.
        values: Values of the foreground labels that a label map may hold, ascending.
        regions: One entry for each output channel when regions are in use, else empty.
        regions_class_order: The value written for each region, in the order of `regions`.
        ignore: The ignore label, or None. It has no output channel.
    """

    names: Mapping[str, int | tuple[int, ...]]
    values: tuple[int, ...]
    regions: tuple[tuple[int, ...], ...]
    regions_class_order: tuple[int, ...]
    ignore: int | None

    @property
    def has_regions(self) -> bool:
        """Whether channels are overlapping regions (sigmoid) instead of exclusive classes (softmax)."""
        return bool(self.regions)

    @property
    def heads(self) -> int:
        """Number of the network's output channels."""
        return len(self.regions) if self.has_regions else len(self.values) + 1

    @property
    def largest(self) -> int:
        """The largest value that a label map may hold."""
        return max(self.regions_class_order if self.has_regions else self.values)


def parse_labels(dataset: Mapping[str, Any]) -> LabelRules:
    """Read `labels` and `regions_class_order` of a dataset.json as nnU-Net's label manager does.

    Raises:
        ModelError: No background 0, no foreground, gaps in the values, a misplaced ignore label, or a
            `regions_class_order` that does not fit the regions.
    """
    raw = fields.mapping(fields.required(dataset, "labels", "dataset.json"), "dataset.json: labels")
    names: dict[str, int | tuple[int, ...]] = {}
    for name, value in raw.items():
        where = f"dataset.json: label {name!r}"
        if isinstance(value, list | tuple):
            names[name] = fields.integers(value, where, 0, MAX_LABEL)
        else:
            names[name] = fields.integer(value, where, 0, MAX_LABEL)
    if names.get("background") not in (0, (0,)):
        raise ModelError("dataset.json: labels need 'background' with value 0")
    ignore = names.get("ignore")
    if ignore is not None and not isinstance(ignore, int):
        raise ModelError("dataset.json: 'ignore' must be one integer, the highest label + 1")
    foreground = {name: value for name, value in names.items() if name not in ("background", "ignore")}
    values = sorted({v for value in foreground.values() for v in _as_tuple(value)} - {0})
    _check_values(values, ignore)
    regions: tuple[tuple[int, ...], ...] = ()
    order: tuple[int, ...] = ()
    if any(len(_as_tuple(value)) > 1 for value in foreground.values()):
        regions = tuple(_as_tuple(value) for value in foreground.values() if set(_as_tuple(value)) != {0})
        order = fields.integers(
            fields.required(dataset, "regions_class_order", "dataset.json (it has regions)"),
            "dataset.json: regions_class_order",
            0,
            MAX_LABEL,
            len(regions),
        )
    return LabelRules(names, tuple(values), regions, order, ignore)


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else value


def _check_values(values: list[int], ignore: int | None) -> None:
    if not values:
        raise ModelError("dataset.json: no label besides the background")
    if values != list(range(1, len(values) + 1)):
        missing = next(v for v in range(1, values[-1] + 1) if v not in values)
        raise ModelError(
            f"dataset.json: label values must run from 0 without a gap, and {missing} is missing"
        )
    if ignore is not None and ignore != len(values) + 1:
        raise ModelError(
            f"dataset.json: the ignore label is {ignore}, the highest label + 1 is {len(values) + 1}"
        )
