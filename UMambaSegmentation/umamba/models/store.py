"""Where models lie: the user's store, and those that came with the product.

A model in the store is a folder named by its id. It appears by one rename of a folder that was made beside
it, and disappears by one, so that several processes may install, read and remove at once: of two that
install the same model one wins, and a model is never seen half. No torch is needed to list.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umamba.errors import InputError, ModelError
from umamba.models.archive import writing
from umamba.models.card import CARD_FILE, Card, check_id, is_id, read_card

_log = logging.getLogger(__name__)

_STAGING, _REMOVED = ".staging-", ".removed-"
# What a killed process left behind is cleared by the next install, but nothing that may still be worked on.
_LEFTOVER_SECONDS = 24 * 3600
# Where bundled models lie: in the package (the wheel), else in Resources/Models of a folder above it: the
# repository's, or the one that Slicer installs the module into.
_BUNDLED_IN_WHEEL = "bundled_models"
_LEVELS_ABOVE = 4


@dataclass(frozen=True)
class StoredModel:
    """A model that can be used by its id.

    Attributes:
        card: What it is.
        folder: Where it lies.
        bundled: Whether it came with the product and cannot be removed.
    """

    card: Card
    folder: Path
    bundled: bool

    @property
    def id(self) -> str:
        """The id, which is also the folder's name."""
        return self.card.id

    @property
    def name(self) -> str:
        """The name that a person reads."""
        return self.card.name

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return sum(entry.stat().st_size for entry in self.folder.iterdir() if entry.is_file())

    def as_dict(self) -> dict[str, Any]:
        """The card's plain values, and `folder`, `bundled` and `bytes` (on the disk)."""
        return {
            **self.card.as_dict(),
            "folder": str(self.folder),
            "bundled": self.bundled,
            "bytes": self.size_bytes,
        }


def store_folder() -> Path:
    """The user's store: $UMAMBA_HOME/models, else `models` in the user's data folder. It may not exist yet.

    Raises:
        InputError: This user has no home folder, and UMAMBA_HOME is not set.
    """
    home = os.environ.get("UMAMBA_HOME")
    if home:
        return Path(home) / "models"
    from platformdirs import user_data_dir

    try:
        folder = Path(user_data_dir("umamba", appauthor=False))
    except RuntimeError:  # later versions of platformdirs say it so
        folder = Path("~")
    if not folder.is_absolute():  # "~" stays as it is when nobody can say where home lies
        raise InputError("no home folder for the model store; set UMAMBA_HOME to a folder of yours")
    return folder / "models"


def bundled_folder() -> Path | None:
    """The folder of the models that came with the product, or None in an installation without any."""
    package = Path(__file__).resolve().parents[1]
    places = [package / _BUNDLED_IN_WHEEL]
    places += [parent / "Resources" / "Models" for parent in list(package.parents)[:_LEVELS_ABOVE]]
    return next((place for place in places if any(place.glob(f"*/{CARD_FILE}"))), None)


def list_models() -> list[StoredModel]:
    """All usable models, bundled ones first, by id. Damaged ones are left out; see `problems`."""
    return [entry for entry in _entries() if isinstance(entry, StoredModel)]


def problems() -> dict[str, str]:
    """Folder name and fault of each entry of the store that cannot be used."""
    return {name: str(fault) for name, fault in (e for e in _entries() if isinstance(e, tuple))}


def find(model_id: str) -> StoredModel:
    """The model with this id.

    Raises:
        ModelError: There is none, or its card is damaged.
    """
    for place, bundled in _places():
        if is_id(model_id) and (place / model_id / CARD_FILE).is_file():
            return StoredModel(_own_card(place / model_id), place / model_id, bundled)
    known = ", ".join(entry.id for entry in list_models()) or "none yet"
    raise ModelError(
        f"there is no model {model_id!r} (available: {known}); see `umamba models list`, or give a folder"
    )


def contains(model_id: str) -> bool:
    """Whether a model of this id can be used."""
    return is_id(model_id) and any((place / model_id / CARD_FILE).is_file() for place, _ in _places())


def is_bundled(model_id: str) -> bool:
    """Whether a model of this id came with the product."""
    place = bundled_folder()
    return place is not None and (place / model_id / CARD_FILE).is_file()


def remove(model_id: str) -> None:
    """Remove a model, damaged or not, from the user's store.

    Raises:
        ModelError: There is none, it came with the product, or a cascade still needs it.
        InputError: The system does not let it be removed.
    """
    if is_id(model_id) and is_bundled(model_id):
        raise ModelError(f"model {model_id!r} came with the product and cannot be removed")
    folder = store_folder() / model_id
    if not is_id(model_id) or not folder.is_dir():
        find(model_id)  # raises, and lists what there is
    needing = [other.id for other in list_models() if other.card.network.previous_stage == model_id]
    if needing:
        raise ModelError(
            f"model {model_id!r} is the first stage of {', '.join(needing)}; remove {needing[0]} first"
        )
    aside = folder.with_name(f"{_REMOVED}{secrets.token_hex(8)}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        raise ModelError(f"model {model_id!r} has just been removed by someone else") from None
    except OSError as error:
        raise InputError(f"model {model_id!r} cannot be removed ({error.strerror}); is it in use?") from None
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def staging() -> Iterator[Path]:
    """An empty folder on the store's disk; whatever is still in it at the end is deleted.

    Raises:
        InputError: The store cannot be written to.
    """
    store = store_folder()
    with writing(store.name):
        store.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(store)
        folder = store / f"{_STAGING}{secrets.token_hex(8)}"
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_free(model_id: str) -> None:
    """Raise ModelError if `model_id` is no id, or is taken by a bundled model."""
    if is_bundled(check_id(model_id)):
        raise ModelError(
            f"the id {model_id!r} is that of a model which came with the product; choose another"
        )


def publish(folder: Path, model_id: str) -> bool:
    """Move a complete model folder from the staging folder into the store, under its id.

    Returns:
        False if the very same model (card and hashes) lies there already.

    Raises:
        ModelError: Another model of this id lies there, or came with the product.
        InputError: The store cannot be written to.
    """
    check_free(model_id)
    target = store_folder() / model_id
    try:
        folder.rename(target)
    except OSError as error:
        if not target.exists():
            raise InputError(f"the model store cannot be written to ({error.strerror or error})") from None
        if _same_model(folder, target):
            return False
        raise ModelError(
            f"another model {model_id!r} lies in the store already; remove it first "
            f"(umamba models remove {model_id}) or choose another id"
        ) from None
    _flush_folder(target.parent)
    return True


def publish_all(folder: Path, ids: Sequence[str]) -> list[bool]:
    """Move several models that belong together from the staging folder into the store: all, or none.

    Returns:
        For each whether it is new there.

    Raises:
        ModelError, InputError: As `publish`.
    """
    new: list[bool] = []
    try:
        for model_id in ids:
            new.append(publish(folder / model_id, model_id))
    except InputError:
        for model_id, was_new in zip(ids, new, strict=False):
            if was_new:
                remove(model_id)
        raise
    return new


def _places() -> list[tuple[Path, bool]]:
    """Folders that hold models, and whether they are the product's."""
    places = []
    bundled = bundled_folder()
    if bundled is not None:
        places.append((bundled, True))
    try:
        places.append((store_folder(), False))
    except InputError as error:
        _log.warning("%s", error)
    return places


def _entries() -> Iterator[StoredModel | tuple[str, ModelError]]:
    seen = set()
    for place, bundled in _places():
        try:
            names = sorted(entry.name for entry in place.iterdir() if entry.is_dir())
        except OSError:  # no store yet
            continue
        for name in names:
            if name.startswith(".") or name in seen:
                continue
            try:
                yield StoredModel(_own_card(place / name), place / name, bundled)
                seen.add(name)
            except ModelError as error:
                yield name, error


def _own_card(folder: Path) -> Card:
    card = read_card(folder)
    if card.id != folder.name:
        raise ModelError(f"the folder {folder.name!r} holds the card of {card.id!r}; rename it to that")
    return card


def _same_model(folder: Path, other: Path) -> bool:
    try:
        return read_card(folder) == read_card(other)
    except ModelError:
        return False


def _clear_leftovers(store: Path) -> None:
    for entry in store.iterdir():
        if entry.name.startswith((_STAGING, _REMOVED)):
            try:
                old = time.time() - entry.stat().st_mtime > _LEFTOVER_SECONDS
            except OSError:
                continue
            if old:
                shutil.rmtree(entry, ignore_errors=True)


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows does not open folders
        return
    try:
        os.fsync(handle)
    except OSError:
        _log.debug("the folder of the store cannot be flushed")
    finally:
        os.close(handle)
