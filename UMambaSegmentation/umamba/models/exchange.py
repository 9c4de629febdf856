"""One safe file to share: `umamba models export` and `umamba models install`.

The zip holds a folder for each model (two for a cascade), named by its id, as the store has it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from umamba.errors import InputError, ModelError
from umamba.events import Monitor
from umamba.models import store
from umamba.models.advice import GET_AGAIN, advising
from umamba.models.archive import Names, pack, unpack, writing
from umamba.models.card import CARD_FILE, read_card
from umamba.models.paths import FILE, NOTHING, kind_of
from umamba.models.verification import verify, verify_folder

_IGNORED = ("__MACOSX", ".DS_Store")
# What a model folder may hold: weights, JSON, texts and a picture.
_MODEL_FILE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|json|png|txt|md)|LICEN[CS]E|NOTICE|README"
)


def export(
    model_id: str, file: str | os.PathLike[str], overwrite: bool = False, monitor: Monitor | None = None
) -> Path:
    """Write a model, with the first stage of a cascade, as one zip file. Equal models give equal files.

    Args:
        model_id: A model of the store or a bundled one.
        file: The zip file; it appears whole or not at all.
        overwrite: Whether an existing file is replaced.
        monitor: Progress and cancel.

    Raises:
        ModelError: There is no such model, or it is damaged.
        InputError: The file exists or cannot be written.
    """
    target = check_target(file, overwrite)
    folders = []
    for stored in _with_first_stage(store.find(model_id)):
        verify(stored.id, monitor)
        folders.append(stored.folder)
    pack_models(target, folders, monitor)
    return target


def check_target(file: str | os.PathLike[str], overwrite: bool) -> Path:
    """The path of a zip file that may be written.

    Raises:
        InputError: Another suffix, no such folder, or it exists.
    """
    target = Path(file)
    if target.suffix != ".zip":
        raise InputError(f"{target.name}: a name that ends in .zip is wanted")
    if not target.parent.is_dir():
        raise InputError(f"{target.name}: cannot be written, for its folder does not exist; create it first")
    if not overwrite and kind_of(target) != NOTHING:
        raise InputError(
            f"{target.name}: exists already; choose another name or allow overwriting (--overwrite)"
        )
    return target


def pack_models(target: Path, folders: Sequence[Path], monitor: Monitor | None = None) -> None:
    """Write model folders, first stages first, as one zip file; it appears whole or not at all.

    Raises:
        ModelError: A folder's card is wrong.
        InputError: The file cannot be written.
    """
    files = []
    for folder in folders:
        names = [CARD_FILE, *sorted(read_card(folder).files)]
        files += [(f"{folder.name}/{name}", folder / name) for name in names]
    beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        pack(beside, files, monitor)
        beside.replace(target)
    except OSError as error:
        raise InputError(f"{target.name}: cannot be written ({error.strerror or error})") from None
    finally:
        beside.unlink(missing_ok=True)


def install(file: str | os.PathLike[str], monitor: Monitor | None = None) -> str:
    """Install an exported model into the user's store, after checking everything about it.

    Args:
        file: Made by `export`.
        monitor: Progress and cancel.

    Returns:
        Its id; of a cascade that of the second stage.

    Raises:
        ModelError: An unsafe, damaged or wrong file, or an id that is taken. Nothing is left behind.
        InputError: The store cannot be written to or has no room.
    """
    path = Path(file)
    if kind_of(path) != FILE:
        raise ModelError(f"{path.name or path}: there is no such file")
    with store.staging() as folder, advising(GET_AGAIN):
        unpack(path, folder, lambda names: _choose(names, path.name), monitor)
        ids = _settle(folder, path.name)
        for model_id in ids:
            store.check_free(model_id)
            verify_folder(folder / model_id, monitor)
        store.publish_all(folder, ids)
        return ids[-1]


def _with_first_stage(stored: store.StoredModel) -> list[store.StoredModel]:
    previous = stored.card.network.previous_stage
    return [stored] if previous is None else [store.find(previous), stored]


def _choose(names: Names, archive: str) -> Names:
    """All files of the models; anything that is none of a model makes the archive be refused."""
    chosen = [name for name in names if name.parts[0] not in _IGNORED and name.name not in _IGNORED]
    for name in chosen:
        if len(name.parts) > 2 or not _MODEL_FILE.fullmatch(name.name):
            raise ModelError(
                f"{archive}: {str(name)[:80]!r} is no part of a model; nothing was unpacked (for results of "
                "nnU-Net or U-Mamba use `umamba models import`)"
            )
    roots = {name.parent for name in chosen}
    if not roots or any(root / CARD_FILE not in names for root in roots):
        raise ModelError(
            f"{archive}: no model with a {CARD_FILE} found; for a results folder of nnU-Net or U-Mamba use "
            "`umamba models import`"
        )
    if PurePosixPath(".") in roots and len(roots) > 1:
        raise ModelError(f"{archive}: files beside the models' folders; nothing was unpacked")
    return chosen


def _settle(folder: Path, archive: str) -> list[str]:
    """Give every unpacked model the folder of its id; list the ids, first stages first."""
    if (folder / CARD_FILE).is_file():  # a zip of the model folder's content
        model_id = read_card(folder).id
        with writing(model_id):
            inner = folder / model_id
            content = list(folder.iterdir())
            inner.mkdir()
            for entry in content:
                entry.rename(inner / entry.name)
    cards = {entry: read_card(entry) for entry in sorted(folder.iterdir())}
    ids = [card.id for card in cards.values()]
    if len(set(ids)) != len(ids):
        raise ModelError(f"{archive}: two models of one id; nothing was installed")
    for entry, card in cards.items():
        if entry.name != card.id:
            raise ModelError(
                f"{archive}: the folder {entry.name[:80]!r} holds the card of {card.id!r}; "
                "nothing was installed"
            )
    firsts = {card.network.previous_stage for card in cards.values()} & set(ids)
    if len(ids) - len(firsts) != 1:
        raise ModelError(f"{archive}: {len(ids)} models found; give each a file of its own")
    return sorted(ids, key=lambda model_id: (model_id not in firsts, model_id))
