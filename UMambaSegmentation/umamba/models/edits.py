"""What a person changes in the card that an import makes: channels and labels in their own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from umamba.errors import InputError, ModelError
from umamba.models.card import Card, parse_card
from umamba.models.describe import free_key, modality_of

_LABEL_KEYS = ("name", "color", "terminology")
_SHOWN = 60


@dataclass(frozen=True)
class CardEdits:
    """Changes as plain JSON values; None or an empty list changes nothing.

    Attributes:
        channels: For each channel in order: `name`, and `description` if it has one.
        labels: For some labels: `value`, and of `name`, `color` ([red, green, blue], 0 to 255) and
            `terminology` (as in a card, or None) those that change.
    """

    channels: Sequence[Mapping[str, Any]] | None = None
    labels: Sequence[Mapping[str, Any]] | None = None


def edited(card: Card, edits: CardEdits) -> Card:
    """The card with the changes; keys of labels follow their new names, in the measurements too.

    Raises:
        InputError: A change that fits neither the model nor a card.
    """
    raw = card.as_dict()
    if edits.channels:
        raw["channels"] = _channels(raw["channels"], edits.channels)
        modality = modality_of([str(entry.get("name")) for entry in raw["channels"]])
        if modality is not None:
            raw.setdefault("modality", modality)
    if edits.labels:
        _change_labels(raw, edits.labels)
    # A card that is only looked at has no files yet.
    raw.setdefault("files", {"plans.json": "0" * 64})
    try:
        found = parse_card(raw, "the changes to the card")
    except ModelError as error:
        raise InputError(str(error)) from None
    return replace(found, files=card.files)


def _channels(before: list[dict[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    entries = _entries("channels", wanted)
    if len(entries) != len(before):
        raise InputError(f"channels: {len(entries)} found, the model has {len(before)}")
    names = [str(entry.get("name")).strip().casefold() for entry in entries]
    if len(set(names)) != len(names):
        raise InputError("channels: each needs a name of its own")
    return entries


def _change_labels(raw: dict[str, Any], wanted: Sequence[Mapping[str, Any]]) -> None:
    """Write the changes into the card's labels and give every label its key."""
    labels = {label["value"]: label for label in raw["labels"]}
    seen = set()
    for entry in _entries("labels", wanted):
        value = entry.pop("value", None)
        if type(value) is not int or value not in labels:
            known = ", ".join(str(label) for label in list(labels)[:20])
            raise InputError(f"labels: value {_short(value)} found, one of the model's wanted ({known})")
        if value in seen:
            raise InputError(f"labels: the value {value} stands twice")
        unknown = set(entry) - set(_LABEL_KEYS)
        if unknown:
            raise InputError(
                f"labels: unknown key {_short(min(unknown))}; known are value, {', '.join(_LABEL_KEYS)}"
            )
        seen.add(value)
        labels[value].update(entry)
    keys: dict[str, str] = {}
    for value, label in sorted(labels.items()):
        if not isinstance(label["name"], str):
            raise InputError(f"labels: the name of {value} is {_short(label['name'])}, a text is wanted")
        before, label["key"] = label["key"], free_key(label["name"], value, set(keys.values()))
        keys[before] = label["key"]
    for measured in raw.get("accuracy", ()):
        measured["label"] = keys.get(measured["label"], measured["label"])


def _entries(what: str, wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(wanted, Sequence) or not all(isinstance(entry, Mapping) for entry in wanted):
        raise InputError(f"{what}: a list of objects is wanted")
    return [dict(entry) for entry in wanted]


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
