"""Fixtures shared by all houses: where the reference data lies, and a home of its own for every test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def _shared_folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        reason = f"the reference folder {name!r} does not lie beside the project (shared/{name})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def oracle() -> Path:
    """Inputs and outputs of the published code."""
    return _shared_folder("oracle")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real, licensed images with labels."""
    return _shared_folder("data")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or changes the user's model store, and none touches the network."""
    monkeypatch.setenv("UMAMBA_HOME", str(tmp_path_factory.mktemp("umamba-home")))
    monkeypatch.setenv("UMAMBA_OFFLINE", "1")
    monkeypatch.delenv("UMAMBA_DEVICE", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _bundled_models_stay_as_they_are() -> Iterator[None]:
    """Tests may break models, but only copies: what the project ships is the same after the last test."""
    before = _state_of(ROOT / "Resources" / "Models")
    yield
    assert _state_of(ROOT / "Resources" / "Models") == before, "a test changed the bundled models"


def _state_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
