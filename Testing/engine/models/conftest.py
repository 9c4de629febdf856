"""Places that a test of this room may write to, and a watch over what hostile files do."""

import os
import tempfile
from pathlib import Path

import pytest

from engine.models.hostile_files import CANARY, files_below
from umamba.models import store


@pytest.fixture
def home() -> Path:
    """UMAMBA_HOME of this test."""
    return Path(os.environ["UMAMBA_HOME"])


@pytest.fixture(autouse=True)
def _no_bundled_models(request, monkeypatch):
    """Tests see only the models that they make; those of the product itself have tests of their own."""
    if "bundled" not in request.fixturenames:
        monkeypatch.setattr(store, "bundled_folder", lambda: None)


@pytest.fixture
def nothing_happens(tmp_path, tmp_path_factory, home, monkeypatch):
    """Run in an empty folder, with an empty temporary folder; at the end nothing new may lie in either, nor
    in the store, and the canary nowhere.
    """
    work, temporary = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("temporary")
    monkeypatch.chdir(work)
    for variable in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(variable, str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    roots = (Path("/"), Path("/tmp"), Path.home())
    yield
    store_entries = files_below(home) - {home / "models"}
    assert not files_below(work, temporary) | store_entries
    assert not [root for root in roots if (root / CANARY).exists()]
    assert not [entry for entry in files_below(tmp_path, tmp_path.parent) if entry.name == CANARY]


def trainer_folder(case: Path) -> Path:
    """The only results folder of an end-to-end case."""
    (folder,) = [entry for entry in case.iterdir() if "__" in entry.name]
    return folder


@pytest.fixture
def results_804(oracle) -> Path:
    """nnunetv2, PlainConvUNet, two folds."""
    return trainer_folder(oracle / "e2e_804")


@pytest.fixture
def results_802(oracle) -> Path:
    """The fork, UMambaEnc 2D, regions, fold_all, numpy 1."""
    return trainer_folder(oracle / "e2e_802")
