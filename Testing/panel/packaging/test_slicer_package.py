"""The extension's package: configured, built and installed by CMake, then compared with the source.

Slicer's own build tree cannot be had from a package index; `slicer_standin` takes its place and treats files
as Slicer's macros do. A file that is forgotten works from the source folder and is missing in the package, so
what is compared is the installed tree.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "UMambaSegmentation"
STANDIN = Path(__file__).resolve().parent / "slicer_standin"
IN_PACKAGE = Path("lib", "Slicer-5.10", "qt-scripted-modules")  # as slicer_standin names it

# Parts of the product's Resources that a user's package holds; the rest is for developers.
SHIPPED_RESOURCES = ("Models", "SampleData")
# A scripted extension compiles nothing. CMake would look for compilers all the same, so it is told to trust
# this one, and the test needs none.
NO_COMPILER = [
    f"-DCMAKE_{language}_COMPILER{what}"
    for language in ("C", "CXX")
    for what in (f"={sys.executable}", "_FORCED=1")
]


def _run(words: list[str | Path], folder: Path, **environment: str) -> str:
    run = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert run.returncode == 0, f"{' '.join(map(str, words))}\n{run.stdout}\n{run.stderr}"
    return run.stdout


def _tool(name: str) -> str:
    """CMake's program of this environment (package `cmake`), else the system's."""
    path = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    assert path, f"{name} was not found; `make setup` installs it into .venv (package cmake)"
    return path


def _build(source: Path, build: Path) -> None:
    """Configure and build the extension in `source`; a build folder that exists is brought up to date."""
    if not (build / "CMakeCache.txt").exists():
        build.mkdir()
        settings = [f"-DSlicer_DIR={STANDIN}", f"-DPYTHON_EXECUTABLE={sys.executable}", *NO_COMPILER]
        _run([_tool("cmake"), "-G", "Unix Makefiles", *settings, source], build)
    _run([_tool("cmake"), "--build", build], build)


def _files(folder: Path) -> Iterator[Path]:
    """Relative path of each file that a package may hold: no compiled Python, no hidden file."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            yield path.relative_to(folder)


def _wanted() -> dict[Path, Path]:
    """Place in the package, of every file that belongs there, to the file in the source."""
    wanted = {name: MODULE / name for name in _files(MODULE) if name != Path("CMakeLists.txt")}
    for part in SHIPPED_RESOURCES:
        folder = ROOT / "Resources" / part
        wanted |= {Path("Resources", part, name): folder / name for name in _files(folder)}
    wanted[Path("Resources/LICENSE.txt")] = ROOT / "LICENSE.txt"
    return wanted


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build tree."""
    folder = tmp_path_factory.mktemp("extension") / "build"
    _build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def package(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed extension that Slicer puts on its Python path."""
    prefix = tmp_path_factory.mktemp("extension") / "Erweiterung für Ärzte"
    _run([_tool("cmake"), "--install", build, "--prefix", prefix], build)
    return prefix / IN_PACKAGE


def test_package_holds_every_file_as_it_is_in_the_source(package: Path) -> None:
    wanted = _wanted()
    missing = [str(name) for name in wanted if not (package / name).is_file()]
    assert not missing, (
        f"not in the package; widen the patterns of UMambaSegmentation/CMakeLists.txt: {missing}"
    )
    changed = [
        str(name) for name, file in wanted.items() if (package / name).read_bytes() != file.read_bytes()
    ]
    assert not changed


def test_package_holds_nothing_else(package: Path) -> None:
    assert set(_files(package)) - set(_wanted()) == set()


def test_build_tree_has_what_the_package_has(build: Path) -> None:
    """So that the extension runs from its build tree too."""
    not_shown = {Path("Resources/LICENSE.txt")}
    assert set(_wanted()) - not_shown <= set(_files(build / IN_PACKAGE))


def test_only_the_module_lies_where_slicer_looks_for_modules(package: Path) -> None:
    assert [path.name for path in package.glob("*.py")] == ["UMambaSegmentation.py"]


def test_installed_engine_and_panel_find_the_bundled_models(package: Path, tmp_path: Path) -> None:
    code = """
import json
import umamba
from UMambaSegmentationLib.cards import read_models
from UMambaSegmentationLib.paths import shared_resources
print(json.dumps({
    "engine": umamba.__file__,
    "engine's": {entry.id: str(entry.folder) for entry in umamba.models.list()},
    "panel's": {card.id: str(card.folder) for card in read_models()},
    "sample data": str(shared_resources("SampleData")),
}))
"""
    told = _run(
        [sys.executable, "-P", "-c", code],  # -P: the working folder is not searched
        tmp_path,
        PYTHONPATH=str(package),
        UMAMBA_HOME=str(tmp_path / "home"),
    )
    found = json.loads(told.splitlines()[-1])
    assert Path(found["engine"]).is_relative_to(package), "another umamba than the package's was imported"
    models = package / "Resources" / "Models"
    bundled = {path.parent.name: str(path.parent) for path in models.glob("*/card.json")}
    assert bundled
    assert found["engine's"] == bundled
    assert found["panel's"] == bundled
    assert Path(found["sample data"]) == package / "Resources" / "SampleData"


def test_slicer_would_run_these_tests(build: Path) -> None:
    listed = _run([_tool("ctest"), "--show-only=json-v1"], build)
    names = {test["name"] for test in json.loads(listed)["tests"]}
    generic = "py_nomainwindow_qSlicerUMambaSegmentationModuleGenericTest"
    assert names == {generic, "py_UMambaSegmentation", "py_run_in_slicer"}


def test_a_file_added_later_comes_into_the_package(tmp_path: Path) -> None:
    """The next build sees new files by itself: nobody has to remember to configure again."""
    source, build = tmp_path / "source", tmp_path / "build"
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in ("UMambaSegmentation", "Testing/desktop"):
        shutil.copytree(ROOT / name, source / name, ignore=leave_out)
    for name in ("CMakeLists.txt", "Testing/CMakeLists.txt", "LICENSE.txt"):
        shutil.copy(ROOT / name, source / name)
    for name in SHIPPED_RESOURCES:
        (source / "Resources" / name).mkdir(parents=True)
    _build(source, build)
    added = [
        Path("UMambaSegmentationLib/added/later.py"),
        Path("umamba/added/schema.json"),
        Path("Resources/Icons/added.svg"),
    ]
    for name in added:
        path = source / "UMambaSegmentation" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("later = 1\n", encoding="utf-8")
    _build(source, build)
    assert set(added) <= set(_files(build / IN_PACKAGE))
