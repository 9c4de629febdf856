"""Opening models: a stored model folder, or a results folder of nnU-Net as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from umamba.errors import ModelError
from umamba.models import checkpoint as checkpoints
from umamba.models import safetensors_file, store
from umamba.models.advice import AS_WRITTEN, GET_AGAIN, advising
from umamba.models.card import CARD_FILE, Card, read_card
from umamba.models.model import Arrays, Model
from umamba.models.paths import FILE, FOLDER, kind_of, reading
from umamba.models.safetensors_file import sha256_of
from umamba.plans import Configuration, Dataset, load_json, parse_dataset, parse_plans

if TYPE_CHECKING:
    from umamba.models.results import Results

PLANS, DATASET = "plans.json", "dataset.json"
ALL = "all"
_FOLD_PREFIX, _FOLD_SUFFIX = "fold_", ".safetensors"


def fold_file(fold: str) -> str:
    """The name of a fold's weights file."""
    return f"{_FOLD_PREFIX}{fold}{_FOLD_SUFFIX}"


def stored_folds(card: Card) -> tuple[str, ...]:
    """All folds that a card's files name, numbered ones first."""
    names = [
        name.removeprefix(_FOLD_PREFIX).removesuffix(_FOLD_SUFFIX)
        for name in card.files
        if name.startswith(_FOLD_PREFIX) and name.endswith(_FOLD_SUFFIX)
    ]
    wrong = [name for name in names if name != ALL and not (name.isascii() and name.isdigit())]
    if wrong:
        raise ModelError(f"{CARD_FILE}: files: {fold_file(wrong[0])!r} is not fold_<number> or fold_all")
    return tuple(sorted(names, key=lambda name: (name == ALL, int(name) if name != ALL else 0)))


def winning_folds(folds: tuple[str, ...]) -> tuple[str, ...]:
    """The folds that a run averages: numbered ones win over "all"."""
    numbered = tuple(fold for fold in folds if fold != ALL)
    return numbered or folds


def get(model: str | os.PathLike[str]) -> Model:
    """Open a model by its id, its folder, or the results folder of a training.

    Raises:
        ModelError: There is no such model, or it is damaged, unsafe or incomplete.
    """
    text = os.fspath(model)
    if not text:
        raise ModelError("no model was named; see `umamba models list`")
    path = Path(text)
    is_name = isinstance(model, str) and path.name == text
    if is_name and store.contains(text):
        with advising(GET_AGAIN):
            return open_stored(store.find(text).folder)
    kind = kind_of(path)
    if kind == FOLDER:
        with reading(path):
            if not (path / CARD_FILE).is_file():
                return open_results(path)
            with advising(GET_AGAIN):
                return open_stored(path)
    if kind == FILE:
        if path.suffix == ".zip":
            raise ModelError(
                f"{path.name}: a zip file is no model yet; `umamba models install` (of an exported model) or "
                "`umamba models import` (of a results folder) makes it one"
            )
        return open_results(path)
    if is_name:
        store.find(text)  # raises, and lists what there is
    raise ModelError(
        f"{path.name or text}: there is no such folder; give a model's folder, or an id that `umamba models "
        "list` shows"
    )


def open_stored(folder: Path) -> Model:
    """Open a model folder (one with a card).

    The hashes of plans and dataset are compared now, those of the weights when they are read.

    Raises:
        ModelError: The card, the plans or a hash is wrong.
    """
    card = read_card(folder)
    for name in (PLANS, DATASET):
        check_hash(folder, card, name)
    plans, dataset = parse_plans(load_json(folder / PLANS)), parse_dataset(load_json(folder / DATASET))
    configuration = plans.configuration(card.network.configuration)
    _check_card(card, configuration, dataset)

    def read_fold(fold: str) -> Arrays:
        with advising(GET_AGAIN):
            check_hash(folder, card, fold_file(fold))
            yield from safetensors_file.read_arrays(folder / fold_file(fold))

    return Model(
        card=card,
        plans=plans,
        dataset=dataset,
        configuration=configuration,
        folds=winning_folds(stored_folds(card)),
        mirror_axes=tuple(axis for axis in card.mirror_axes if axis < configuration.axes),
        folder=folder,
        previous=_open_previous(folder, card, dataset),
        read_fold=read_fold,
    )


def open_results(path: Path) -> Model:
    """Open a results folder as nnU-Net wrote it, without storing anything.

    Raises:
        ModelError: No model, several, or one that is unsafe or damaged.
    """
    from umamba.models.results import read_results

    with advising(AS_WRITTEN):
        return model_of(read_results(path))


def model_of(results: Results) -> Model:
    """A model that reads its weights from the checkpoints as they lie."""
    from umamba.models.describe import default_id, describe

    previous = None if results.previous is None else model_of(results.previous)
    files = {
        f"{_FOLD_PREFIX}{fold}/{entry.path.name}": sha256_of(entry.path)
        for fold, entry in results.checkpoints.items()
    }
    for name in (PLANS, DATASET):
        if (results.folder / name).is_file():
            files[name] = sha256_of(results.folder / name)
    card = describe(
        results,
        model_id=default_id(results.plans.dataset_name, results.configuration.name),
        name=None,
        orientation="native",
        files=files,
        previous_stage=None if previous is None else previous.card.id,
    )

    def read_fold(fold: str) -> Arrays:
        with advising(GET_AGAIN):
            yield from checkpoints.read_arrays(results.checkpoints[fold])

    return Model(
        card=card,
        plans=results.plans,
        dataset=results.dataset,
        configuration=results.configuration,
        folds=winning_folds(tuple(results.checkpoints)),
        mirror_axes=results.mirror_axes,
        folder=results.folder,
        previous=previous,
        read_fold=read_fold,
    )


def check_hash(folder: Path, card: Card, name: str) -> None:
    """Compare a file with the hash that the card gives.

    Raises:
        ModelError: The card does not know the file, the file is missing, or it was changed.
    """
    wanted = card.files.get(name)
    if wanted is None:
        raise ModelError(f"{CARD_FILE}: files: {name!r} is missing")
    if kind_of(folder / name) != FILE:
        raise ModelError(f"model {card.id!r}: {name} is missing; install the model again")
    found = sha256_of(folder / name)
    if found != wanted:
        raise ModelError(
            f"model {card.id!r}: {name} has SHA-256 {found[:12]}..., the card says {wanted[:12]}...: "
            "the file was changed or damaged; install the model again"
        )


def _check_card(card: Card, configuration: Configuration, dataset: Dataset) -> None:
    """What the card says twice must agree with plans and dataset."""
    rules = dataset.labels
    values = sorted(rules.regions_class_order if rules.has_regions else rules.values)
    if sorted(label.value for label in card.labels) != values:
        raise ModelError(f"{CARD_FILE}: labels: the values are not those of dataset.json ({values[:20]})")
    channels = len(dataset.channel_names)
    if len(card.channels) != channels:
        raise ModelError(f"{CARD_FILE}: channels: {len(card.channels)} found, dataset.json has {channels}")
    if len(configuration.normalization) < channels:
        raise ModelError(f"plans.json: too few normalization_schemes for {channels} channels")
    if not stored_folds(card):
        raise ModelError(f"{CARD_FILE}: files: no weights ({fold_file('0')}, ...) found")
    if (configuration.previous_stage is None) != (card.network.previous_stage is None):
        raise ModelError(
            f"{CARD_FILE}: network.previous_stage is {card.network.previous_stage!r}, while the plans say "
            f"{configuration.previous_stage!r} for {configuration.name!r}"
        )


def _open_previous(folder: Path, card: Card, dataset: Dataset) -> Model | None:
    """The first stage of a cascade: beside the second, else in the store."""
    model_id = card.network.previous_stage
    if model_id is None:
        return None
    place = folder.parent / model_id
    if not (place / CARD_FILE).is_file():
        if not store.contains(model_id):
            raise ModelError(
                f"model {card.id!r} is the second stage of a cascade, and the first one, {model_id!r}, "
                "is not here; install it"
            )
        place = store.find(model_id).folder
    if read_card(place).network.previous_stage is not None:
        raise ModelError(f"model {model_id!r} is no first stage of a cascade: it needs one itself")
    previous = open_stored(place)
    if previous.dataset.labels.values != dataset.labels.values:
        raise ModelError(
            f"model {model_id!r} has other labels than {card.id!r}, whose first stage it is to be"
        )
    return previous
