"""Is a stored model whole, unchanged and able to run? Every byte is looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from umamba.errors import ModelError
from umamba.events import Monitor
from umamba.models import store
from umamba.models.advice import GET_AGAIN, advising
from umamba.models.card import CARD_FILE
from umamba.models.folder import check_hash, fold_file, open_stored, stored_folds
from umamba.models.model import Model
from umamba.models.safetensors_file import read_arrays, read_header


@dataclass(frozen=True)
class Verified:
    """What was checked.

    Attributes:
        id: The model.
        folds: Those whose weights fit and are finite.
        files: Files whose SHA-256 is the card's.
        size_bytes: Of all files.
    """

    id: str
    folds: tuple[str, ...]
    files: tuple[str, ...]
    size_bytes: int


def verify(model_id: str, monitor: Monitor | None = None) -> Verified:
    """Check a model of the store: card, plans, hashes, and every weight.

    Args:
        model_id: The model.
        monitor: Progress and cancel.

    Raises:
        ModelError: Naming the first thing that is wrong.
    """
    with advising(GET_AGAIN):
        return verify_folder(store.find(model_id).folder, monitor)


def verify_folder(folder: str | os.PathLike[str], monitor: Monitor | None = None) -> Verified:
    """Check a model folder: schema, plans, no unknown or missing file, hashes, weights against the network.

    Args:
        folder: The model folder.
        monitor: Progress and cancel.

    Raises:
        ModelError: Naming the first thing that is wrong.
    """
    place = Path(folder)
    monitor = monitor or Monitor()
    model = open_stored(place)
    size_bytes = _check_files(model, place, monitor)
    return Verified(model.id, _check_weights(model, place, monitor), tuple(model.card.files), size_bytes)


def _check_weights(model: Model, folder: Path, monitor: Monitor) -> tuple[str, ...]:
    """Compare every fold with the network (on torch's meta device), and look for NaN.

    Raises:
        ModelError: A weights file is damaged or does not fit.
    """
    from umamba.models.strict import check_shapes

    folds = stored_folds(model.card)
    for fold in folds:
        path = folder / fold_file(fold)
        shapes = {key: entry.shape for key, entry in read_header(path).items()}
        network = model.card.network
        check_shapes(
            model.configuration, model.dataset, network.class_, network.generation, shapes, path.name
        )
        for _ in read_arrays(path):  # raises where a number is not finite
            monitor.check()
    return folds


def _check_files(model: Model, folder: Path, monitor: Monitor) -> int:
    card = model.card
    found = {entry.name: entry for entry in folder.iterdir()}
    unknown = sorted(set(found) - set(card.files) - {CARD_FILE})
    if unknown:
        raise ModelError(
            f"model {card.id!r}: {unknown[0]!r} lies in the folder, but the card does not know it"
        )
    links = sorted(name for name, entry in found.items() if entry.is_symlink() or not entry.is_file())
    if links:
        raise ModelError(f"model {card.id!r}: {links[0]!r} is not a plain file")
    for done, name in enumerate(card.files):
        monitor.step("check", done, len(card.files))
        check_hash(folder, card, name)
    return sum(entry.stat().st_size for entry in found.values())
