"""Model cards as plain JSON: what the panel knows of a model before any engine is installed.

A model is a folder named by its id with a card.json, or a zip file that holds such a folder. Cards are
written by strangers: one that is damaged is listed by `read_problems` and hides no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from UMambaSegmentationLib.card_zips import read_card_of_zip
from UMambaSegmentationLib.paths import bundled_models_folder, installed_models_folder

SCHEMA = "umamba-card/1"
CARD_FILE = "card.json"
# As the engine: 65,535 labels with their codes take some 20 MB.
MAX_CARD_BYTES = 32_000_000

Source = Literal["bundled", "installed", "available"]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_ID_LENGTH = 100
_ORIENTATION = re.compile(r"native|(?=.*[RL])(?=.*[AP])(?=.*[SI])[RLAPSI]{3}")
_LARGEST = 1e12
_CODES = ("category", "type", "modifier", "region")


class CardError(ValueError):
    """What is wrong with a card, in one line."""


@dataclass(frozen=True)
class Label:
    """One value of the label map.

    Attributes:
        value: 1 to 65535.
        key: The word that options and scripts use.
        name: The words that a person reads.
        color: Red, green, blue, each 0 to 255.
        terminology: category, type and perhaps modifier, region: each [scheme, code, meaning].
    """

    value: int
    key: str
    name: str
    color: tuple[int, int, int]
    terminology: dict[str, Any] | None = None


@dataclass(frozen=True)
class Channel:
    """One input image of a model."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class Card:
    """What a model takes, gives and was measured to do. What nobody has said is None or empty.

    Attributes:
        network: class, generation, configuration, previous_stage.
        orientation: Three letters (towards where i, j, k increase) or "native".
        field_of_view: What the training images covered, mm along i, j, k of the orientation.
        instances: boundary and interior values where single objects are told apart.
        accuracy: For each measurement label, metric, mean and, if known, sd, cases, data.
        folder: The model's folder; of an available model, its zip file.
        bytes: Size of the folder or of the zip file.
        mirror: Whether a run mirrors unless it is told otherwise.
        mirror_axes: Axes that the training allowed to mirror; empty where mirroring is not possible.
        grey_repeat: Whether one grey volume may stand for all channels.
    """

    id: str
    name: str
    version: str | None
    description: str | None
    anatomy: str | None
    modality: str | None
    network: dict[str, Any]
    channels: tuple[Channel, ...]
    labels: tuple[Label, ...]
    orientation: str
    field_of_view: tuple[float, float, float] | None
    instances: dict[str, int] | None
    accuracy: tuple[dict[str, Any], ...]
    licence: str | None
    commercial_use: bool | None
    citation: tuple[str, ...]
    limits: str | None
    training: dict[str, Any]
    folder: Path
    source: Source
    bytes: int
    mirror: bool = False
    mirror_axes: tuple[int, ...] = ()
    grey_repeat: bool = False

    def matches(self, text: str) -> bool:
        """Whether every word of `text` occurs in name, anatomy, modality or id, in any case of letters."""
        searched = " ".join((self.name, self.anatomy or "", self.modality or "", self.id)).casefold()
        return all(word in searched for word in text.casefold().split())

    def sentence(self) -> str:
        """One line for a list: what it segments in what."""
        from UMambaSegmentationLib.card_text import sentence

        return sentence(self)


def read_models(*, available_folder: Path | None = None) -> list[Card]:
    """The models that can be used: bundled, installed, then those of a folder of model files; each by id.

    Where an id occurs twice the first counts, as in the engine: a bundled model cannot be replaced.

    Args:
        available_folder: A folder with exported models (*.zip), such as a group's share; it is not searched
            any deeper.
    """
    return [entry for entry in _entries(available_folder) if isinstance(entry, Card)]


def read_problems(*, available_folder: Path | None = None) -> dict[str, str]:
    """Name and fault of each folder or zip file that holds no model that can be used."""
    return {entry[0]: entry[1] for entry in _entries(available_folder) if not isinstance(entry, Card)}


def parse_card(raw: Mapping[str, Any], folder: Path, source: Source, size_bytes: int) -> Card:
    """Read a decoded card.json, as far as the panel shows and needs it.

    Raises:
        CardError: Naming the field that is missing or wrong.
    """
    if raw.get("schema") != SCHEMA:
        raise CardError(f"schema {str(raw.get('schema'))[:40]!r} found, {SCHEMA!r} wanted")
    model_id = _text(raw, "id")
    if not _ID.fullmatch(model_id) or len(model_id) > _MAX_ID_LENGTH:
        raise CardError("id: lower-case letters, digits and dashes wanted")
    view = _optional(raw, "field_of_view", list)
    if view is not None and not (len(view) == 3 and all(_is_number(length) for length in view)):
        raise CardError("field_of_view: three numbers wanted")
    network = _mapping(raw, "network")
    _text(network, "class")
    _text(network, "configuration")
    _optional(network, "previous_stage", str)
    if not _ORIENTATION.fullmatch(_text(raw, "orientation")):
        raise CardError("orientation: native, or three letters such as RAS wanted")
    instances = _optional(raw, "instances", dict)
    if instances and not all(_is_whole(instances.get(part), 1, 65535) for part in ("boundary", "interior")):
        raise CardError("instances: boundary and interior wanted")
    return Card(
        id=model_id,
        name=_text(raw, "name"),
        version=_optional(raw, "version", str),
        description=_optional(raw, "description", str),
        anatomy=_optional(raw, "anatomy", str),
        modality=_optional(raw, "modality", str),
        network=network,
        channels=tuple(
            Channel(_text(entry, "name"), _optional(entry, "description", str) or "")
            for entry in _mappings(raw, "channels")
        ),
        labels=_labels(raw),
        orientation=_text(raw, "orientation"),
        field_of_view=None if view is None else (float(view[0]), float(view[1]), float(view[2])),
        instances=instances or None,
        accuracy=_accuracy(raw),
        licence=_optional(raw, "licence", str),
        commercial_use=_optional(raw, "commercial_use", bool),
        citation=tuple(str(entry) for entry in _optional(raw, "citation", list) or ()),
        limits=_optional(raw, "limits", str),
        training=_optional(raw, "training", dict) or {},
        folder=folder,
        source=source,
        bytes=size_bytes,
        mirror=_flag(raw, "mirror", raw.get("origin") == "nnunetv2"),
        mirror_axes=tuple(
            int(axis) for axis in _optional(raw, "mirror_axes", list) or () if _is_number(axis)
        ),
        grey_repeat=_flag(raw, "grey_repeat", False),
    )


def decode_card(text: bytes) -> dict[str, Any]:
    """The JSON object of a card's bytes.

    Raises:
        CardError: It is none, or holds text that cannot be shown.
    """
    try:
        found = json.loads(text.decode("utf-8-sig"))
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # half characters, NaN
    except (ValueError, RecursionError):
        raise CardError(f"{CARD_FILE} is not plain JSON; get the model again") from None
    if not isinstance(found, dict):
        raise CardError(f"{CARD_FILE} is not a JSON object; get the model again")
    return found


def _entries(available_folder: Path | None) -> Iterator[Card | tuple[str, str]]:
    seen: set[str] = set()
    found: list[tuple[Path, Source]] = []
    bundled = bundled_models_folder()
    if bundled is not None:
        found += [(folder, "bundled") for folder in _content(bundled) if folder.is_dir()]
    found += [(folder, "installed") for folder in _content(installed_models_folder()) if folder.is_dir()]
    if available_folder is not None:
        found += [(file, "available") for file in _content(available_folder) if file.suffix == ".zip"]
    for path, source in found:
        try:
            card = _zip_card(path) if source == "available" else _folder_card(path, source)
        except CardError as error:
            yield path.name, str(error)
            continue
        if card.id not in seen:
            seen.add(card.id)
            yield card


def _content(folder: Path) -> list[Path]:
    """What lies in a folder, by name; nothing if it cannot be read (no store yet, a share that is away)."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def _folder_card(folder: Path, source: Source) -> Card:
    path = folder / CARD_FILE
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise CardError(f"{CARD_FILE} is too large for a model card")
        text = path.read_bytes()
        size_bytes = sum(entry.stat().st_size for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise CardError(f"{CARD_FILE} cannot be read ({error.strerror or error})") from None
    card = parse_card(decode_card(text), folder, source, size_bytes)
    if card.id != folder.name:
        raise CardError(f"the folder holds the card of {card.id!r}; rename it to that")
    return card


def _zip_card(file: Path) -> Card:
    try:
        state = file.stat()
        texts = read_card_of_zip(file, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise CardError(f"the file cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise CardError(str(error)) from None
    cards = [parse_card(decode_card(text), file, "available", state.st_size) for text in texts]
    firsts = {card.network.get("previous_stage") for card in cards}  # of a cascade, the second stage is shown
    shown = [card for card in cards if card.id not in firsts]
    if len(shown) != 1:
        raise CardError(f"{len(shown)} models in one file; one wanted")
    return shown[0]


def _labels(raw: Mapping[str, Any]) -> tuple[Label, ...]:
    labels = []
    for entry in _mappings(raw, "labels"):
        value, color = entry.get("value"), entry.get("color")
        if not _is_whole(value, 1, 65535):
            raise CardError("labels: a value from 1 to 65535 wanted")
        if (
            not isinstance(color, list)
            or len(color) != 3
            or not all(_is_whole(part, 0, 255) for part in color)
        ):
            raise CardError("labels: a colour of three numbers from 0 to 255 wanted")
        labels.append(
            Label(
                value,
                _text(entry, "key"),
                _text(entry, "name"),
                (int(color[0]), int(color[1]), int(color[2])),
                _terminology(entry),
            )
        )
    for what in ("value", "key"):
        if len({getattr(label, what) for label in labels}) != len(labels):
            raise CardError(f"labels: a {what} stands twice")
    return tuple(labels)


def _terminology(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    codes = _optional(entry, "terminology", dict)
    if codes is None:
        return None
    for name in _CODES:
        code = codes.get(name)
        if code is None and name in ("modifier", "region"):
            continue
        if not isinstance(code, list) or len(code) != 3 or not all(isinstance(part, str) for part in code):
            raise CardError(f"labels: terminology: {name}: scheme, code and meaning wanted")
    return codes


def _accuracy(raw: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    entries = _optional(raw, "accuracy", list) or []
    for entry in entries:
        known = isinstance(entry, dict) and isinstance(entry.get("label"), str)
        if not (known and isinstance(entry.get("metric"), str) and _is_number(entry.get("mean"))):
            raise CardError("accuracy: label, metric and mean wanted")
    return tuple(entries)


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip() or _CONTROLS.search(value):
        raise CardError(f"{key}: a line of text wanted")
    return value


def _mapping(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    if not isinstance(value, dict):
        raise CardError(f"{key}: an object wanted")
    return value


def _mappings(raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = raw.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        raise CardError(f"{key}: a list of objects wanted")
    return value


def _optional(raw: Mapping[str, Any], key: str, kind: type) -> Any:  # noqa: ANN401  (what `kind` says)
    value = raw.get(key)
    if value is not None and not isinstance(value, kind):
        raise CardError(f"{key}: wrong kind of value")
    return value


def _flag(raw: Mapping[str, Any], key: str, default: bool) -> bool:
    value = _optional(raw, key, bool)
    return default if value is None else bool(value)


def _is_number(value: object) -> bool:
    """A number that no sum or format makes overflow."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_whole(value: object, low: int, high: int) -> TypeGuard[int]:
    return _is_number(value) and value == int(value) and low <= value <= high  # type: ignore[call-overload,operator]
