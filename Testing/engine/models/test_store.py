"""The store: where it lies, what it lists, what it refuses, and many processes at once."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import pytest

from umamba import models
from umamba.errors import InputError, ModelError
from umamba.models import store
from umamba.models.card import card_bytes

PROCESSES = 3
# Long enough for a slow computer to import torch in all of them at once.
PROCESS_SECONDS = 120
DAY_SECONDS = 24 * 3600
FIRST, SECOND = "dataset803-oraclecascade-3d-lowres", "dataset803-oraclecascade-3d-cascade-fullres"


@pytest.fixture
def stored(oracle) -> str:
    return models.import_(oracle / "e2e_804", id="my-ct")


@pytest.fixture
def bundled(tmp_path, oracle, monkeypatch) -> Path:
    """A folder of bundled models with one in it, `bundled-ct`."""
    folder = tmp_path / "Resources" / "Models"
    folder.mkdir(parents=True)
    monkeypatch.setattr(store, "bundled_folder", lambda: None)
    model_id = models.import_(oracle / "e2e_804", id="bundled-ct")
    shutil.move(models.find(model_id).folder, folder / model_id)
    monkeypatch.setattr(store, "bundled_folder", lambda: folder)
    return folder


def test_the_store_lies_where_umamba_home_says(monkeypatch, tmp_path):
    monkeypatch.setenv("UMAMBA_HOME", str(tmp_path / "x"))
    assert store.store_folder() == tmp_path / "x" / "models"
    assert models.list() == []
    assert not (tmp_path / "x").exists()  # looking makes nothing


def test_without_it_in_the_users_data_folder(monkeypatch):
    monkeypatch.delenv("UMAMBA_HOME")
    assert store.store_folder() == Path(platformdirs.user_data_dir("umamba", appauthor=False)) / "models"


def test_a_user_without_a_home(monkeypatch, bundled):
    monkeypatch.delenv("UMAMBA_HOME")
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *names, **options: "~/.local/share/umamba")
    with pytest.raises(InputError, match="UMAMBA_HOME"):
        store.store_folder()
    assert [entry.id for entry in models.list()] == ["bundled-ct"]  # still usable
    with pytest.raises(InputError, match="UMAMBA_HOME"), store.staging():
        pass


def test_listing(stored, oracle):
    models.import_(oracle / "e2e_802", id="another")
    found = models.list()
    assert [entry.id for entry in found] == ["another", "my-ct"]
    assert [entry.bundled for entry in found] == [False, False]
    assert found[1].size_bytes == sum(path.stat().st_size for path in found[1].folder.iterdir())
    assert json.loads(json.dumps(found[1].as_dict()))["labels"][0]["key"] == "a"


def test_an_unknown_model_is_told_with_the_known_ones(stored):
    for name in ("no-such", "No such", "..", "../my-ct", ""):
        with pytest.raises(ModelError, match="my-ct"):
            models.find(name)


def test_damaged_entries_are_problems(stored, home):
    folder = home / "models"
    (folder / "empty").mkdir()
    (folder / "file").write_text("x")
    shutil.copytree(folder / stored, folder / "renamed")
    (folder / "broken").mkdir()
    (folder / "broken" / "card.json").write_text("{")
    assert [entry.id for entry in models.list()] == [stored]
    assert set(models.problems()) == {"empty", "renamed", "broken"}
    with pytest.raises(ModelError, match="rename"):
        models.find("renamed")
    models.remove("broken")
    models.remove("renamed")
    assert set(models.problems()) == {"empty"}


def test_removing(stored, home):
    models.remove(stored)
    assert models.list() == []
    assert list((home / "models").iterdir()) == []
    with pytest.raises(ModelError, match="no model 'my-ct'"):
        models.remove(stored)
    for name in ("../models", ".", "", "A"):
        with pytest.raises(ModelError):
            models.remove(name)
    assert (home / "models").is_dir()


def test_a_first_stage_that_is_needed_stays(oracle):
    models.import_(oracle / "e2e_803")
    with pytest.raises(ModelError, match=f"remove {SECOND} first"):
        models.remove(FIRST)
    models.remove(SECOND)
    models.remove(FIRST)
    assert models.list() == []


def test_bundled_models_come_first_and_stay(bundled, oracle):
    models.import_(oracle / "e2e_802", id="aaa")
    assert [(entry.id, entry.bundled) for entry in models.list()] == [("bundled-ct", True), ("aaa", False)]
    assert models.get("bundled-ct").folder == bundled / "bundled-ct"
    with pytest.raises(ModelError, match="cannot be removed"):
        models.remove("bundled-ct")
    assert models.verify("bundled-ct").folds == ("0", "1")


@pytest.mark.parametrize("level", [0, 1, 2])
def test_bundled_models_are_found_from_the_package(tmp_path, monkeypatch, level, bundled):
    """In the wheel beside the code; in Slicer and in the repository in Resources/Models further up."""
    monkeypatch.undo()
    package = tmp_path / "place" / "module" / "umamba"
    (package / "models").mkdir(parents=True)
    folder = [package / "bundled_models", package.parents[0], package.parents[1]][level]
    folder = folder / "Resources" / "Models" if level else folder
    shutil.copytree(bundled, folder)
    (package.parent / "Resources" / "Icons").mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(store, "__file__", str(package / "models" / "store.py"))
    assert store.bundled_folder() == folder


def test_no_bundled_models(tmp_path, monkeypatch, bundled):
    monkeypatch.undo()
    package = tmp_path / "a" / "b" / "c" / "d" / "e" / "umamba"
    monkeypatch.setattr(store, "__file__", str(package / "models" / "store.py"))
    assert store.bundled_folder() is None


def test_leftovers_of_killed_processes_are_cleared(home, stored):
    folder = home / "models"
    old, new = folder / ".staging-old", folder / ".staging-new"
    for entry in (old, new):
        (entry / "model").mkdir(parents=True)
    long_ago = time.time() - 2 * DAY_SECONDS
    os.utime(old, (long_ago, long_ago))
    with store.staging() as staged:
        assert staged.parent == folder
        assert not old.exists()
        assert new.exists()  # its process may still live
    assert not staged.exists()
    assert models.problems() == {}


def test_another_model_of_the_same_id_is_not_replaced(stored, home):
    folder = home / "models"
    with store.staging() as staged:
        shutil.copytree(folder / stored, staged / stored)
        assert store.publish(staged / stored, stored) is False  # the very same
        card = dataclasses.replace(models.find(stored).card, version="2")
        (staged / stored / "card.json").write_bytes(card_bytes(card))
        with pytest.raises(ModelError, match="another model 'my-ct'"):
            store.publish(staged / stored, stored)
    assert models.find(stored).card.version is None


INSTALLER = """
import sys
import umamba.models.exchange, umamba.models.strict  # the slow part, before all start together
print("ready", flush=True)
sys.stdin.readline()
try:
    print("installed", umamba.models.install(sys.argv[1]))
except umamba.ModelError as error:
    print("refused", error)
"""


def install_at_once(files: list[Path], home: Path) -> list[str]:
    """Start a process for each file, let all install in the same moment, give what each one said."""
    environment = os.environ | {"UMAMBA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", INSTALLER, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for file in files
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate(timeout=PROCESS_SECONDS)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_many_processes_install_at_once(stored, tmp_path, home):
    """Two files of one id: one of them wins, whole; who brings the same as the winner is content."""
    files = [tmp_path / "1.zip", tmp_path / "2.zip"]
    models.export(stored, files[0])
    card = dataclasses.replace(models.find(stored).card, version="2")
    (models.find(stored).folder / "card.json").write_bytes(card_bytes(card))
    models.export(stored, files[1])
    models.remove(stored)
    said = install_at_once((files * PROCESSES)[:PROCESSES], home)
    winner = 0 if models.find(stored).card.version is None else 1
    for index, line in enumerate(said):
        wanted = "installed my-ct" if index % 2 == winner else "refused another model 'my-ct'"
        assert line.startswith(wanted)
    assert models.verify(stored).folds == ("0", "1")
    assert [entry.name for entry in (home / "models").iterdir()] == [stored]
