"""The card of a packaged model: what is known of the training, and what the person gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umamba.errors import InputError, ModelError
from umamba.events import Monitor
from umamba.models.archive import writing
from umamba.models.card import CARD_FILE, Card, card_bytes, parse_card
from umamba.models.convert import write_model
from umamba.models.edits import CardEdits, edited
from umamba.models.facts import field_of_view, training_facts
from umamba.models.safetensors_file import sha256_of
from umamba.models.stages import Stage

# What a person may give of a card; of a cascade's first stage only what must be true of both.
FIELDS = (
    *("id", "name", "version", "description", "anatomy", "modality", "channels", "grey_repeat", "labels"),
    *("orientation", "field_of_view", "instances", "mirror", "accuracy", "training", "licence"),
    *("commercial_use", "citation", "limits"),
)
_OF_BOTH = (
    *("version", "anatomy", "modality", "channels", "grey_repeat", "labels", "field_of_view", "licence"),
    *("commercial_use", "citation", "limits"),
)
# A whole card may be given: these are the weights' own.
_OF_THE_WEIGHTS = ("schema", "network", "origin", "mirror_axes", "files")
_WHERE = "the fields of the card"
# nnU-Net's cross-validation has so many folds, which together see every case.
_ALL_FOLDS = {"0", "1", "2", "3", "4"}


def checked_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a person may give; those of the weights are passed over, None counts as not given.

    Raises:
        InputError: A field that cards do not have.
    """
    unknown = sorted(set(fields) - {*FIELDS, *_OF_THE_WEIGHTS})
    if unknown:
        raise InputError(f"{_WHERE}: {unknown[0][:80]!r} is unknown; known are {', '.join(FIELDS)}")
    return {key: value for key, value in fields.items() if key in FIELDS and value is not None}


def card_content(
    stage: Stage, orientation: str, given: Mapping[str, Any], cases: int | None, is_main: bool = True
) -> dict[str, Any]:
    """The card of one model as plain values, without files.

    Args:
        stage: The model.
        orientation: Three letters or "native".
        given: The person's fields, which win.
        cases: How many cases these folds were trained on, where that is known.
        is_main: Whether it is not the first stage of a cascade, which takes only what is true of both.

    Raises:
        InputError: A field that fits neither the model nor a card.
    """
    wanted = {key: value for key, value in given.items() if is_main or key in _OF_BOTH}
    labels, channels = wanted.pop("labels", None), wanted.pop("channels", None)
    edits = CardEdits(channels, None if labels is None else _without_keys(labels))
    content = edited(stage.card(orientation), edits).as_dict()
    _set_keys(content, labels or ())
    view = field_of_view(stage.results)
    if view is not None:
        content["field_of_view"] = list(view)
    known = {**content["training"], **training_facts(stage.results)}
    if cases is not None:
        known["cases"] = cases
    elif "all" not in stage.results.checkpoints and not set(stage.results.checkpoints) >= _ALL_FOLDS:
        known.pop("cases", None)  # the dataset's number: some of them were not trained on
    content |= wanted
    if not isinstance(content["training"], Mapping):
        raise InputError(f"{_WHERE}: training: a table of texts is wanted")
    content["training"] = {**known, **wanted.get("training", {})}
    _check(content)
    return content


def write_stage(
    stage: Stage, folder: Path, content: Mapping[str, Any], dtype: str | None, monitor: Monitor | None = None
) -> Card:
    """Write a model folder.

    Args:
        stage: The model.
        folder: A new folder.
        content: The card's fields, from `card_content`.
        dtype: "F16" or "F32", to which the weights are rounded; None keeps what they are.
        monitor: Progress and cancel.

    Raises:
        ModelError: A checkpoint is damaged.
        InputError: The folder cannot be written.
    """
    write_model(
        stage.results,
        folder,
        model_id=stage.id,
        name=stage.name,
        orientation=content["orientation"],
        previous_stage=stage.previous,
        accuracy=(),
        dtype=dtype,
        monitor=monitor,
    )
    return write_card(folder, content)


def write_card(folder: Path, content: Mapping[str, Any]) -> Card:
    """Write card.json with the SHA-256 of every other file of the folder, checked, in the card's order.

    Raises:
        ModelError: The content is no card.
    """
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != CARD_FILE}
    card = parse_card({**content, "files": files})
    with writing(card.id):
        (folder / CARD_FILE).write_bytes(card_bytes(card))
    return card


def _without_keys(labels: object) -> list[dict[str, Any]]:
    """The person's labels as `CardEdits` takes them.

    Raises:
        InputError: They are no list of objects.
    """
    if not isinstance(labels, list) or not all(isinstance(label, Mapping) for label in labels):
        raise InputError(f"{_WHERE}: labels: a list of objects is wanted, each with a value")
    return [{name: entry for name, entry in label.items() if name != "key"} for label in labels]


def _set_keys(content: dict[str, Any], labels: Sequence[Mapping[str, Any]]) -> None:
    """Give labels the keys that the person chose, in the measurements too."""
    chosen = {label["value"]: label["key"] for label in labels if "key" in label}
    renamed = {}
    for label in content["labels"]:
        if label["value"] in chosen:
            renamed[label["key"]] = chosen[label["value"]]
            label["key"] = chosen[label["value"]]
    for entry in content.get("accuracy", ()):
        entry["label"] = renamed.get(entry["label"], entry["label"])


def _check(content: Mapping[str, Any]) -> None:
    try:
        parse_card({**content, "files": {"plans.json": "0" * 64}}, _WHERE)
    except ModelError as error:
        raise InputError(str(error)) from None
