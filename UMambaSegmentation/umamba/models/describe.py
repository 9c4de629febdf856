"""A card for a model that comes without one: what its files tell, and nothing that they do not."""

from __future__ import annotations

import colorsys
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from umamba.errors import ModelError
from umamba.models.card import MAX_ID_LENGTH, Accuracy, Card, CardChannel, CardLabel, CardNetwork, check_id
from umamba.models.results import MAMBA_UNET_CODE, NNUNET, Results
from umamba.plans import Dataset

# Neighbouring labels get hues this far apart (golden ratio), so that any few of them differ well.
_HUE_STEP = 0.618033988749895
_SATURATIONS = (0.65, 0.9, 0.45)
_VALUES = (0.95, 0.75, 0.85)
_NOT_IN_ID = re.compile(r"[^a-z0-9]+")
_NOT_IN_KEY = re.compile(r"[^a-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MAX_NAME = 200
_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR"}


def default_id(dataset_name: str, configuration: str) -> str:
    """The dataset's name and the configuration in lower case, everything else than a-z, 0-9 a dash.

    >>> default_id("Dataset804_OracleCT", "3d_fullres")
    'dataset804-oraclect-3d-fullres'

    Raises:
        ModelError: Nothing is left of the names.
    """
    return check_id(slug(f"{dataset_name} {configuration}"))


def slug(text: str) -> str:
    """Words of a-z and 0-9 joined by dashes, at most as long as an id may be."""
    return _NOT_IN_ID.sub("-", _plain(text)).strip("-")[:MAX_ID_LENGTH].strip("-")


def describe(
    results: Results,
    *,
    model_id: str,
    name: str | None,
    orientation: str,
    files: Mapping[str, str],
    previous_stage: str | None,
    accuracy: tuple[Accuracy, ...] = (),
) -> Card:
    """Write the card of a trained configuration.

    Args:
        results: What was trained.
        model_id, name: As the person chose them; the default name is the dataset's and configuration's.
        orientation: Three letters or "native".
        files: SHA-256 of each file.
        previous_stage: Id of a cascade's first stage.
        accuracy: What the training measured.
    """
    dataset_name, configuration = results.plans.dataset_name, results.configuration.name
    cases = results.dataset_raw.get("numTraining")
    training: dict[str, Any] = {"recipe": _line(results.trainer)}
    if results.origin != MAMBA_UNET_CODE:  # whose files do not say what they were trained on
        training = {"data": _line(dataset_name), **training}
    if type(cases) is int and cases > 0:
        training["cases"] = cases
    return Card(
        id=model_id,
        name=name or _line(f"{dataset_name}, {configuration}"),
        description=_description(results),
        modality=modality_of(results.dataset.channel_names),
        network=CardNetwork(results.network, results.generation, configuration, previous_stage),
        channels=tuple(CardChannel(_line(channel)) for channel in results.dataset.channel_names),
        labels=card_labels(results.dataset),
        orientation=orientation,
        origin=results.origin,
        files=dict(files),
        mirror=results.origin == NNUNET and bool(results.mirror_axes),
        mirror_axes=results.mirror_axes,
        accuracy=accuracy,
        training=training,
    )


def _description(results: Results) -> str:
    """What the model is, in a sentence."""
    if results.origin == MAMBA_UNET_CODE:
        size = results.configuration.patch_size[0]
        return (
            f"{results.network}, flat, from a bare state dict; every slice is brought to {size} x {size} "
            "pixels as in its published scripts for ACDC."
        )
    generation = f", {results.generation} generation" if results.generation else ""
    return (
        f"{results.network}{generation}, configuration {_line(results.configuration.name)}, trained by "
        f"{_line(results.trainer)} on {_line(results.plans.dataset_name)}."
    )


def card_labels(dataset: Dataset) -> tuple[CardLabel, ...]:
    """The values that a label map may hold, each with a key, a name and a colour of its own.

    For regions these are the values of `regions_class_order`, named by the regions in their order.

    Raises:
        ModelError: Two regions are written with the same value, or one with 0.
    """
    names = _names(dataset)
    keys: set[str] = set()
    colors: set[tuple[int, int, int]] = set()
    labels = []
    for value in sorted(names):
        keys.add(key := free_key(names[value], value, keys))
        colors.add(color := _color(value, colors))
        labels.append(CardLabel(value, key, _line(names[value]), color))
    return tuple(labels)


def free_key(name: str, value: int, taken: Collection[str]) -> str:
    """`label_key`, or something near to it that is not taken."""
    key = label_key(name, value)
    if key in taken:
        key = f"{key[: MAX_ID_LENGTH - 6]}_{value}"
    while key in taken:
        key = f"label_{key[: MAX_ID_LENGTH - 6]}"
    return key


def label_key(name: str, value: int) -> str:
    """The word that a person types for a label: its name in lower case, everything else an underscore.

    A name of digits or of letters without Latin form still gives a word: "label_3", "label_<value>".
    """
    key = _NOT_IN_KEY.sub("_", _plain(name)).strip("_-")[: MAX_ID_LENGTH - 6]
    if not key:
        return f"label_{value}"
    return key if key[0].isalpha() else f"label_{key}"


def modality_of(channel_names: Iterable[str]) -> str | None:
    """CT or MR where every channel says so; other names are contrasts and left to a person."""
    found = {_MODALITIES.get(name.strip().upper()) for name in channel_names}
    return found.pop() if len(found) == 1 else None


def _names(dataset: Dataset) -> dict[int, str]:
    rules = dataset.labels
    foreground = [
        (name, (values,) if isinstance(values, int) else values)
        for name, values in rules.names.items()
        if name not in ("background", "ignore")
    ]
    if not rules.has_regions:
        found: dict[int, str] = {}
        for name, values in foreground:
            if values and values[0]:
                found.setdefault(values[0], name)
        return found
    regions = [name for name, values in foreground if set(values) != {0}]
    if 0 in rules.regions_class_order or len(set(rules.regions_class_order)) != len(regions):
        raise ModelError(
            f"dataset.json: regions_class_order {list(rules.regions_class_order)[:20]} found; each region "
            "wants a value of its own above 0"
        )
    return dict(zip(rules.regions_class_order, regions, strict=True))


def _color(value: int, taken: set[tuple[int, int, int]]) -> tuple[int, int, int]:
    """A colour for a label's value, other than those taken."""
    index = value - 1
    while True:
        tier = (index // 12) % len(_SATURATIONS)
        parts = colorsys.hsv_to_rgb((index * _HUE_STEP) % 1.0, _SATURATIONS[tier], _VALUES[tier])
        red, green, blue = (round(255 * part) for part in parts)
        if (red, green, blue) not in taken:
            return red, green, blue
        # Hues are exhausted at some 4,000 labels: go on with the nearest free colour.
        for step in range(256):
            shifted = ((red + step) % 256, (green + 7 * step) % 256, (blue + 31 * step) % 256)
            if shifted not in taken:
                return shifted
        index += 1


def _plain(text: str) -> str:
    """Lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).lower()


def _line(text: str) -> str:
    """One printable line of a stranger's text."""
    return _CONTROL.sub(" ", text).strip()[:_MAX_NAME] or "unnamed"
