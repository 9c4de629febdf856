"""Export and install: what leaves comes back the same, and what was changed on the way does not."""

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.models.hostile_files import files_below, write_zip
from umamba import models
from umamba.errors import InputError, ModelError
from umamba.models import archive
from umamba.models.card import card_bytes, read_card
from umamba.models.safetensors_file import read_arrays, sha256_of, write_arrays

FIRST, SECOND = "dataset803-oraclecascade-3d-lowres", "dataset803-oraclecascade-3d-cascade-fullres"


@pytest.fixture
def stored(oracle) -> models.StoredModel:
    return models.find(models.import_(oracle / "e2e_804", id="my-ct"))


@pytest.fixture
def folder(stored, tmp_path) -> Path:
    """A copy of the model's folder, to be changed; the model itself is no longer in the store."""
    copy = tmp_path / "copy" / stored.id
    shutil.copytree(stored.folder, copy)
    models.remove(stored.id)
    return copy


def zip_of(folder: Path, file: Path, **changes) -> Path:
    members = {f"{folder.name}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    return write_zip(file, members | changes, zipfile.ZIP_DEFLATED)


def with_card(folder: Path, **changes) -> None:
    """Write a card with these changes and with the hashes of the files that lie there."""
    card = read_card(folder)
    files = {path.name: sha256_of(path) for path in folder.iterdir() if path.name != "card.json"}
    (folder / "card.json").write_bytes(card_bytes(dataclasses.replace(card, **{"files": files} | changes)))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_round_trip(stored, tmp_path, home):
    before = contents(stored.folder)
    file = models.export(stored.id, tmp_path / "a.zip")
    models.remove(stored.id)
    assert models.install(file) == stored.id
    assert contents(models.find(stored.id).folder) == before
    assert models.verify(stored.id).files == tuple(stored.card.files)
    assert models.install(file) == stored.id  # the very same once more
    assert [entry.name for entry in (home / "models").iterdir()] == [stored.id]


def test_exporting_twice_gives_the_same_bytes(stored, tmp_path):
    files = [models.export(stored.id, tmp_path / f"{n}.zip") for n in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    models.remove(stored.id)
    models.install(files[0])
    assert models.export(stored.id, tmp_path / "3.zip").read_bytes() == files[0].read_bytes()


def test_a_cascade_travels_as_one(oracle, tmp_path):
    models.import_(oracle / "e2e_803")
    file = models.export(SECOND, tmp_path / "a.zip")
    models.remove(SECOND)
    models.remove(FIRST)
    assert models.install(file) == SECOND
    assert [entry.id for entry in models.list()] == [SECOND, FIRST]
    assert models.get(SECOND).previous is not None


def test_a_first_stage_alone_travels_alone(oracle, tmp_path):
    models.import_(oracle / "e2e_803")
    file = models.export(FIRST, tmp_path / "a.zip")
    models.remove(SECOND)
    models.remove(FIRST)
    assert models.install(file) == FIRST


def test_a_second_stage_without_its_first_is_refused(oracle, tmp_path, home):
    models.import_(oracle / "e2e_803")
    file = zip_of(models.find(SECOND).folder, tmp_path / "a.zip")
    models.remove(SECOND)
    assert models.install(file) == SECOND  # its first stage is here
    models.remove(SECOND)
    models.remove(FIRST)
    with pytest.raises(ModelError, match=f"{FIRST}.*is not here"):
        models.install(file)
    assert not list((home / "models").iterdir())


def test_a_file_that_exists_is_not_replaced(stored, tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"precious")
    with pytest.raises(InputError, match="exists already"):
        models.export(stored.id, file)
    assert file.read_bytes() == b"precious"
    models.export(stored.id, file, overwrite=True)
    assert zipfile.is_zipfile(file)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.zip"]


def test_an_export_that_cannot_be_written_leaves_nothing(stored, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        models.export(stored.id, tmp_path / "missing" / "a.zip")
    with pytest.raises(InputError, match=r"ends in \.zip"):
        models.export(stored.id, tmp_path / "a.tar")
    assert not list(tmp_path.iterdir())


def test_a_damaged_model_is_not_exported(stored, tmp_path):
    with (stored.folder / "fold_0.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="SHA-256"):
        models.export(stored.id, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_a_zip_of_the_folders_content(folder, tmp_path):
    members = contents(folder)
    members |= {"__MACOSX/._card.json": b"x", ".DS_Store": b"x"}
    assert models.install(write_zip(tmp_path / "a.zip", members)) == "my-ct"


def drop_weights(folder):
    (folder / "fold_1.safetensors").unlink()


def flip(folder):
    path = folder / "fold_1.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def change_plans(folder):
    path = folder / "plans.json"
    path.write_text(path.read_text().replace("Dataset804", "Dataset805"))


def rewrite(folder, change):
    """Change the weights and make the hashes right again: only the network can tell."""
    path = folder / "fold_0.safetensors"
    weights = dict(read_arrays(path))
    change(weights)
    path.unlink()
    write_arrays(path, {key: ("F32", array.shape) for key, array in weights.items()}, weights.items())
    with_card(folder)


def not_a_number(weights):
    next(iter(weights.values())).reshape(-1)[0] = np.nan


def strange_fold(folder):
    shutil.copy(folder / "fold_0.safetensors", folder / "fold_x.safetensors")
    with_card(folder)


def malformed_header(folder):
    path = folder / "fold_0.safetensors"
    path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:])
    with_card(folder)


def raw_card(folder, **changes):
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


CHANGES = {
    "weights missing": (drop_weights, "fold_1"),
    "weights changed": (flip, "SHA-256"),
    "plans changed": (change_plans, r"plans\.json has SHA-256"),
    "no card": (lambda folder: (folder / "card.json").unlink(), r"no model with a card\.json"),
    "card is no JSON": (lambda folder: (folder / "card.json").write_text("{"), r"card\.json"),
    "card of a later schema": (lambda folder: raw_card(folder, schema="umamba-card/9"), "schema"),
    "card with a foreign network": (
        lambda folder: raw_card(folder, network={"class": "os.system", "configuration": "3d_fullres"}),
        r"network\.class",
    ),
    "card of another id": (lambda folder: with_card(folder, id="other"), "holds the card of 'other'"),
    "card of another network": (
        lambda folder: raw_card(folder, network={"class": "UMambaBot", "configuration": "3d_fullres"}),
        "does not fit the UMambaBot",
    ),
    "card of another configuration": (
        lambda folder: raw_card(folder, network={"class": "PlainConvUNet", "configuration": "2d"}),
        "no configuration '2d'",
    ),
    "card with other labels": (
        lambda folder: with_card(folder, labels=read_card(folder).labels[:2]),
        "labels",
    ),
    "card with other channels": (
        lambda folder: raw_card(folder, channels=[{"name": "a"}, {"name": "b"}]),
        "channels: 2 found",
    ),
    "card without weights": (
        lambda folder: raw_card(folder, files={"plans.json": "0" * 64}),
        "files|SHA-256",
    ),
    "card with a strange fold": (
        lambda folder: (
            shutil.copy(folder / "fold_0.safetensors", folder / "fold_x.safetensors"),
            with_card(folder),
        ),
        "fold_x",
    ),
    "card that needs a first stage": (
        lambda folder: raw_card(
            folder,
            network={"class": "PlainConvUNet", "configuration": "3d_fullres", "previous_stage": "first"},
        ),
        "previous_stage",
    ),
    "a file that the card does not know": (
        lambda folder: (folder / "notes.txt").write_text("x"),
        "does not know it",
    ),
    "a file that is no part of a model": (
        lambda folder: (folder / "run.sh").write_text("touch PWNED"),
        "no part of a model",
    ),
    "a checkpoint": (lambda folder: (folder / "model.pth").write_bytes(b"x"), "no part of a model"),
    "a missing tensor": (lambda folder: rewrite(folder, lambda weights: weights.popitem()), "missing"),
    "an extra tensor": (
        lambda folder: rewrite(folder, lambda weights: weights.update(x=np.ones(1, np.float32))),
        "unknown",
    ),
    "a wrong shape": (
        lambda folder: rewrite(
            folder, lambda weights: weights.update({k: v[:1] for k, v in list(weights.items())[:1]})
        ),
        "wrong shape",
    ),
    "weights that are NaN": (lambda folder: rewrite(folder, not_a_number), "NaN"),
    "a malformed header": (malformed_header, "header of"),
}


@pytest.mark.parametrize("case", CHANGES, ids=str)
def test_changed_models_are_refused_and_leave_nothing(folder, tmp_path, home, case, monkeypatch):
    change, said = CHANGES[case]
    change(folder)
    file = zip_of(folder, tmp_path / "a.zip")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with pytest.raises(ModelError, match=said) as refusal:
        models.install(file)
    assert "\n" not in str(refusal.value)
    assert not files_below(work)
    assert list((home / "models").iterdir()) == []


def test_several_models_in_one_file_are_refused(stored, oracle, tmp_path):
    models.import_(oracle / "e2e_802", id="other")
    members = {
        f"{model_id}/{name}": content
        for model_id in ("my-ct", "other")
        for name, content in contents(models.find(model_id).folder).items()
    }
    with pytest.raises(ModelError, match="2 models found"):
        models.install(write_zip(tmp_path / "a.zip", members))
    root = contents(stored.folder) | {f"my-ct/{name}": b"{}" for name in ("card.json",)}
    with pytest.raises(ModelError, match="beside"):
        models.install(write_zip(tmp_path / "b.zip", root))


def test_files_that_are_no_model(oracle, tmp_path, home):
    results = write_zip(tmp_path / "r.zip", {"fold_0/plans.json": b"{}"})
    (tmp_path / "a.zip").write_text("hello")
    for file, said in (
        (tmp_path / "nowhere.zip", "no such file"),
        (tmp_path / "a.zip", "not a zip"),
        (results, "models import"),
        (tmp_path, "no such file"),
    ):
        with pytest.raises(ModelError, match=said):
            models.install(file)
    assert not files_below(home) - {home / "models"}


@pytest.mark.usefixtures("nothing_happens")
def test_hostile_archives_leave_nothing(oracle):
    files = sorted((oracle / "malicious").glob("*.zip"))
    assert len(files) == 4
    for file in files:
        with pytest.raises(ModelError, match="nothing was unpacked"):
            models.install(file)


@pytest.mark.usefixtures("nothing_happens")
def test_a_full_disk_is_seen_before(folder, tmp_path, monkeypatch):
    class Usage:
        free = 1_000

    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(InputError, match="GB free"):
        models.install(zip_of(folder, tmp_path / "a.zip"))
