"""What a stranger gets: the wheel with every bundled model in it, and a clone that stays small."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "Resources" / "Models"

NEEDED_BY_THE_DEMO = "hippocampus-mr"

MB = 1_000_000
CLONE_LIMIT_BYTES = 100 * MB  # what Slicer's Extensions Index accepts, history included
FILE_LIMIT_BYTES = 20 * MB  # larger ones belong into a release's assets
MODELS_LIMIT_BYTES = 30 * MB  # what every download of the wheel and of the extension carries


def _bundled() -> dict[str, Path]:
    """Id of each bundled model to its folder. Every folder counts: one without a card is a fault."""
    folders = {path.name: path for path in sorted(MODELS.iterdir()) if path.is_dir()}
    assert NEEDED_BY_THE_DEMO in folders
    return folders


def _run(words: list[str], folder: Path, **environment: str) -> str:
    run = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert run.returncode == 0, f"{' '.join(words)}\n{run.stdout}\n{run.stderr}"
    return run.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist and, built from that sdist alone, the wheel."""
    folder = tmp_path_factory.mktemp("packages")
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    return folder


@pytest.fixture(scope="module")
def installed(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which the wheel was installed, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = next(packages.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "--no-deps", "--no-index", "--no-compile", "--target", str(folder), str(wheel)], folder)
    return folder


def _files_in_packages(packages: Path) -> tuple[set[str], set[str]]:
    """Names in the wheel, and names in the sdist without its top folder."""
    with zipfile.ZipFile(next(packages.glob("*.whl"))) as wheel:
        in_wheel = set(wheel.namelist())
    with tarfile.open(next(packages.glob("*.tar.gz"))) as sdist:
        in_sdist = {name.partition("/")[2] for name in sdist.getnames()}
    return in_wheel, in_sdist


def test_packages_hold_every_bundled_model(packages: Path) -> None:
    in_wheel, in_sdist = _files_in_packages(packages)
    for folder in _bundled().values():
        names = {path.relative_to(MODELS).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert {f"umamba/bundled_models/{name}" for name in names} <= in_wheel
        assert {f"Resources/Models/{name}" for name in names} <= in_sdist


def test_packages_hold_schema_and_licence(packages: Path) -> None:
    in_wheel, in_sdist = _files_in_packages(packages)
    assert "umamba/models/card.schema.json" in in_wheel
    assert any(name.endswith("licenses/LICENSE.txt") for name in in_wheel)
    assert {"LICENSE.txt", "README.md", "pyproject.toml"} <= in_sdist


def test_wheel_holds_the_engine_alone(packages: Path) -> None:
    in_wheel, _ = _files_in_packages(packages)
    tops = {name.split("/")[0] for name in in_wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"umamba"}
    assert not [name for name in in_wheel if "__pycache__" in name]


def test_installed_wheel_runs_and_knows_its_models(installed: Path, tmp_path: Path) -> None:
    python = [sys.executable, "-P"]  # -P: the working folder is not searched
    where = _run(
        [*python, "-c", "import umamba; print(umamba.__file__)"], tmp_path, PYTHONPATH=str(installed)
    )
    assert Path(where.strip()).is_relative_to(installed), "another umamba than the wheel's was imported"

    version = _run([*python, "-m", "umamba", "--version"], tmp_path, PYTHONPATH=str(installed)).split()[-1]
    assert (installed / f"umamba-{version}.dist-info").is_dir()

    listed = _run([*python, "-m", "umamba", "models", "list"], tmp_path, PYTHONPATH=str(installed))
    for model in _bundled():
        assert model in listed


def test_bundled_cards_are_named_like_their_folders() -> None:
    for name, folder in _bundled().items():
        assert json.loads((folder / "card.json").read_text(encoding="utf-8"))["id"] == name


def _git(*words: str) -> str:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this copy of the project is no git checkout, so there is no history to weigh")
    return _run(["git", *words], ROOT)


def _tracked_files() -> list[Path]:
    paths = [ROOT / name for name in _git("ls-files", "-z").split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_tracked_files_are_small() -> None:
    assert not [path.name for path in _tracked_files() if path.stat().st_size > FILE_LIMIT_BYTES]


def test_bundled_models_are_small() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < MODELS_LIMIT_BYTES


def test_clone_with_history_is_small() -> None:
    words = ["git", "cat-file", "--batch-check=%(objectsize:disk)"]
    objects = _git("rev-list", "--objects", "--no-object-names", "HEAD")
    run = subprocess.run(words, cwd=ROOT, input=objects, capture_output=True, text=True, check=True)
    history_bytes = sum(map(int, run.stdout.split()))
    assert history_bytes + sum(path.stat().st_size for path in _tracked_files()) < CLONE_LIMIT_BYTES
