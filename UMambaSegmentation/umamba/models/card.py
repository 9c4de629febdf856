"""The model card: what a model takes, gives and was measured to do (card.json, schema umamba-card/1).

Nothing here needs torch: cards are read for every list that a person sees.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from umamba.errors import ModelError
from umamba.plans import parse_json

SCHEMA = "umamba-card/1"
CARD_FILE = "card.json"
# The largest card that is one: 65,535 labels with their codes take some 20 MB.
MAX_CARD_BYTES = 32_000_000
MAX_ID_LENGTH = 100

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# A folder of one of these names cannot be made on Windows.
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)")
_MESSAGE_LENGTH = 160
_PLAIN_TEXTS = ("version", "description", "anatomy", "modality", "licence", "limits")

Code = tuple[str, str, str]


@dataclass(frozen=True)
class Terminology:
    """What a segment is, in coded words; each code is (scheme, code, meaning)."""

    category: Code
    type: Code
    modifier: Code | None = None
    region: Code | None = None


@dataclass(frozen=True)
class CardLabel:
    """One value of the label map.

    Attributes:
        value: 1 to 65535.
        key: The word that a person types.
        name: The words that a person reads.
        color: Red, green, blue, each 0 to 255.
        terminology: Its codes, or None while nobody has given them.
    """

    value: int
    key: str
    name: str
    color: tuple[int, int, int]
    terminology: Terminology | None = None


@dataclass(frozen=True)
class CardChannel:
    """One input image."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class CardNetwork:
    """Which network and which configuration of plans.json.

    Attributes:
        class_: A name of `umamba.plans.NETWORK_CLASSES`.
        generation: "current", "legacy", or None where a network has no generations.
        configuration: Its name in plans.json.
        previous_stage: Id of the model whose labels are a further input, or None.
    """

    class_: str
    generation: str | None
    configuration: str
    previous_stage: str | None = None


@dataclass(frozen=True)
class Instances:
    """How single objects are told apart.

    Attributes:
        boundary, interior: Label values.
        certainty: The least share of the interior's probability in both together that makes a voxel
            interior; else it is boundary. None: the larger of the two, as published.
        smallest: Objects of fewer voxels, boundary included, are left out.
    """

    boundary: int
    interior: int
    certainty: float | None = None
    smallest: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As card.json holds it; what is as published is left out."""
        return {key: value for key, value in vars(self).items() if value}


@dataclass(frozen=True)
class Accuracy:
    """One measurement: `mean` and `sd` of `metric` over `cases` cases of `data`."""

    label: str
    metric: str
    mean: float
    sd: float | None = None
    cases: int | None = None
    data: str | None = None


@dataclass(frozen=True)
class Card:
    """A model card. What the training did not tell is None or empty, never guessed.

    Attributes:
        orientation: Three letters (towards where i, j, k increase) or "native".
        origin: The code that trained it: "u-mamba", "nnunetv2", "umamba" or "mamba-unet".
        files: SHA-256 of each file of the model's folder.
        mirror: Whether a run mirrors unless it is told otherwise.
        mirror_axes: Network axes that the training allowed to mirror.
        grey_repeat: Whether one grey image may stand for all channels.
        field_of_view: mm along i, j, k of the orientation, or None.
        training: data, cases, steps, machine, date, recipe, as far as known.
    """

    id: str
    name: str
    network: CardNetwork
    channels: tuple[CardChannel, ...]
    labels: tuple[CardLabel, ...]
    orientation: str
    origin: str
    files: Mapping[str, str]
    mirror: bool = False
    mirror_axes: tuple[int, ...] = ()
    grey_repeat: bool = False
    field_of_view: tuple[float, float, float] | None = None
    instances: Instances | None = None
    version: str | None = None
    description: str | None = None
    anatomy: str | None = None
    modality: str | None = None
    accuracy: tuple[Accuracy, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None
    commercial_use: bool | None = None
    citation: tuple[str, ...] = ()
    limits: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The card as card.json holds it; what is not known is left out."""
        network = {
            "class": self.network.class_,
            "generation": self.network.generation,
            "configuration": self.network.configuration,
            "previous_stage": self.network.previous_stage,
        }
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "anatomy": self.anatomy,
            "modality": self.modality,
            "network": network,
            "channels": [dict(vars(channel)) for channel in self.channels],
            "grey_repeat": self.grey_repeat or None,
            "labels": [_label_dict(label) for label in self.labels],
            "orientation": self.orientation,
            "field_of_view": None if self.field_of_view is None else list(self.field_of_view),
            "instances": None if self.instances is None else self.instances.as_dict(),
            "mirror": self.mirror,
            "mirror_axes": list(self.mirror_axes),
            "accuracy": [_known(vars(entry)) for entry in self.accuracy],
            "origin": self.origin,
            "training": _known(self.training),
            "licence": self.licence,
            "commercial_use": self.commercial_use,
            "citation": list(self.citation),
            "limits": self.limits,
            "files": dict(sorted(self.files.items())),
        }
        always = ("instances", "mirror_axes")
        return {key: value for key, value in found.items() if key in always or value not in (None, [], {})}


def is_id(text: object) -> bool:
    """Whether `text` can name a model and its folder on every system."""
    return (
        isinstance(text, str)
        and len(text) <= MAX_ID_LENGTH
        and _ID.fullmatch(text) is not None
        and _WINDOWS_DEVICES.fullmatch(text) is None
    )


def check_id(model_id: str) -> str:
    """Return `model_id` if it can name a model.

    Raises:
        ModelError: It is not lower-case words and digits joined by dashes, or too long.
    """
    if not is_id(model_id):
        raise ModelError(
            f"{_short(model_id)} cannot be a model's id: use lower-case letters, digits and dashes, "
            f"at most {MAX_ID_LENGTH}, for example liver-ct"
        )
    return model_id


def check_orientation(orientation: str) -> str:
    """Return `orientation` if it is "native" or three letters, one of each of R/L, A/P and S/I.

    Raises:
        ModelError: It is neither.
    """
    axes = ("RL", "AP", "SI")
    if orientation != "native" and (
        len(orientation) != 3 or any(sum(letter in axis for letter in orientation) != 1 for axis in axes)
    ):
        raise ModelError(
            f"orientation {_short(orientation)} found; native, or three letters such as RAS or LPS, wanted"
        )
    return orientation


def parse_card(raw: Mapping[str, Any], where: str = CARD_FILE) -> Card:
    """Check a decoded card.json against the schema and read it.

    Raises:
        ModelError: Naming the field, what was found and what is wanted.
    """
    _validate(raw, where)
    card = _build(raw)
    check_id(card.id)
    for what in ("value", "key"):
        entries = [getattr(label, what) for label in card.labels]
        if len(set(entries)) != len(entries):
            twice, _ = Counter(entries).most_common(1)[0]
            raise ModelError(f"{where}: labels: the {what} {twice!r} stands twice")
    if card.network.previous_stage == card.id:
        raise ModelError(f"{where}: network.previous_stage names the model itself")
    if card.instances is not None:
        if card.instances.boundary == card.instances.interior:
            raise ModelError(f"{where}: instances: boundary and interior are both {card.instances.interior}")
        missing = {card.instances.boundary, card.instances.interior} - {label.value for label in card.labels}
        if missing:
            raise ModelError(f"{where}: instances: {min(missing)} is not the value of a label")
    return card


def read_card(folder: Path) -> Card:
    """Read the card of a model folder.

    Raises:
        ModelError: There is none, or it is wrong.
    """
    path = folder / CARD_FILE
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ModelError(f"{CARD_FILE}: {path.stat().st_size} bytes is too large for a model card")
        text = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{CARD_FILE} of {folder.name!r}: cannot be read ({reason})") from None
    return _parse_text(text)


@lru_cache(maxsize=64)
def _parse_text(text: bytes) -> Card:
    """Read the text of card.json; a hundred labels take a tenth of a second, and each run asks again."""
    return parse_card(parse_json(text, CARD_FILE))


def card_bytes(card: Card) -> bytes:
    """The text of card.json, checked against the schema."""
    raw = card.as_dict()
    parse_card(raw)
    return (json.dumps(raw, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


@cache
def _validator() -> Any:  # noqa: ANN401  (jsonschema has no types)
    from jsonschema import Draft202012Validator  # takes a tenth of a second: only when a card is read

    schema = json.loads(Path(__file__).with_name("card.schema.json").read_text("utf-8"))
    return Draft202012Validator(schema)


def _validate(raw: Mapping[str, Any], where: str) -> None:
    if raw.get("schema") != SCHEMA:
        raise ModelError(f"{where}: schema: {_short(raw.get('schema'))} found, {SCHEMA!r} wanted")
    error = next(_validator().iter_errors(raw), None)
    if error is None:
        return
    while error.context:  # of a choice of forms, the one that came furthest says most
        error = max(error.context, key=lambda other: (len(other.absolute_path), other.validator != "type"))
    place = ""
    for step in error.absolute_path:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    message = " ".join(str(error.message).split())
    if error.validator == "pattern":  # a regular expression helps nobody
        wanted = error.schema.get("description") or "an allowed name"
        message = f"{_short(error.instance)} found, wanted: {wanted}"
    if len(message) > _MESSAGE_LENGTH:
        message = f"{_short(error.instance)} does not fit {error.validator} {_short(error.validator_value)}"
    raise ModelError(f"{where}: {place + ': ' if place else ''}{message}")


def _build(raw: Mapping[str, Any]) -> Card:
    network, instances = raw["network"], raw.get("instances")
    view = raw.get("field_of_view")
    return Card(
        id=raw["id"],
        name=raw["name"],
        network=CardNetwork(
            network["class"],
            network.get("generation"),
            network["configuration"],
            network.get("previous_stage"),
        ),
        channels=tuple(CardChannel(entry["name"], entry.get("description", "")) for entry in raw["channels"]),
        labels=tuple(_build_label(entry) for entry in raw["labels"]),
        orientation=raw["orientation"],
        origin=raw["origin"],
        files=dict(raw["files"]),
        mirror=raw.get("mirror", raw["origin"] == "nnunetv2"),
        mirror_axes=tuple(int(axis) for axis in raw.get("mirror_axes", ())),
        grey_repeat=raw.get("grey_repeat", False),
        field_of_view=None if view is None else (float(view[0]), float(view[1]), float(view[2])),
        instances=Instances(**instances) if instances else None,
        accuracy=tuple(Accuracy(**entry) for entry in raw.get("accuracy", ())),
        training=dict(raw.get("training", {})),
        citation=tuple(raw.get("citation", ())),
        commercial_use=raw.get("commercial_use"),
        **{
            key: raw.get(key)
            for key in ("version", "description", "anatomy", "modality", "licence", "limits")
        },
    )


def _build_label(raw: Mapping[str, Any]) -> CardLabel:
    codes = raw.get("terminology")
    terminology = None
    if codes is not None:
        terminology = Terminology(
            _code(codes["category"]),
            _code(codes["type"]),
            _code(codes["modifier"]) if codes.get("modifier") else None,
            _code(codes["region"]) if codes.get("region") else None,
        )
    red, green, blue = (int(part) for part in raw["color"])
    return CardLabel(int(raw["value"]), raw["key"], raw["name"], (red, green, blue), terminology)


def _label_dict(label: CardLabel) -> dict[str, Any]:
    codes = label.terminology
    return {
        "value": label.value,
        "key": label.key,
        "name": label.name,
        "color": list(label.color),
        "terminology": None
        if codes is None
        else {name: None if code is None else list(code) for name, code in vars(codes).items()},
    }


def _code(raw: Sequence[str]) -> Code:
    return raw[0], raw[1], raw[2]


def _known(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if value is not None}


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
