"""The panel's tests: fixtures that hand out Slicer without its desktop. What makes it is in bench/."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
MODULE_FILE = HERE.parents[1] / "UMambaSegmentation" / "UMambaSegmentation.py"
for _folder in (str(HERE), str(MODULE_FILE.parent)):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)

from bench import environment  # noqa: E402

environment.prepare()
try:
    environment.check()
except environment.BenchError as _error:
    pytest.exit(f"the panel's tests cannot run: {_error}", returncode=4)

import numpy as np  # noqa: E402

from bench import events, scripted, slicer_app  # noqa: E402
from bench.faults import FAULTS  # noqa: E402

_application = slicer_app.install()

import qt  # noqa: E402
import slicer  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shots", help="folder for the pictures that tests take of the panel", default=None)


@pytest.fixture(scope="session")
def app() -> Iterator[Any]:
    """slicer.app."""
    yield _application
    _application.aboutToQuit.emit()


@pytest.fixture(scope="session")
def only_hippocampus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundled models with one in it."""
    folder = tmp_path_factory.mktemp("bundled")
    name = "hippocampus-mr"
    (folder / name).symlink_to(HERE.parents[1] / "Resources" / "Models" / name, target_is_directory=True)
    return folder


@pytest.fixture(autouse=True)
def _one_bundled_model(only_hippocampus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the panel see one bundled model, so that its tests do not depend on what else is shipped."""
    from UMambaSegmentationLib import cards

    monkeypatch.setattr(cards, "bundled_models_folder", lambda: only_hippocampus)


@pytest.fixture(autouse=True)
def _nothing_goes_wrong_unseen(app: Any) -> Iterator[None]:
    """Errors in slots and observers, of Qt and of VTK, fail the test in which they happen."""
    FAULTS.take()
    FAULTS.watch()
    yield
    FAULTS.release()
    found = FAULTS.take()
    assert not found, "\n\n".join(found)


@pytest.fixture(autouse=True)
def scene(app: Any, _nothing_goes_wrong_unseen: None) -> Iterator[Any]:
    """slicer.mrmlScene, empty before and after each test; the settings too."""
    app.settings().clear()
    slicer.selectedModules.clear()
    slicer.modules.sampleDataSources.clear()
    yield slicer.mrmlScene
    slicer.modules.segmenteditor.forget()
    slicer.mrmlScene.Clear(0)
    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        slicer.mrmlScene.RemoveNode(node)  # a singleton outlives the scene
    app.settings().clear()
    qt.QCoreApplication.processEvents()


@pytest.fixture
def spin() -> Callable[..., None]:
    """`spin(until, seconds=10)`: process events until a condition holds, or fail."""
    return events.spin


@pytest.fixture
def heard() -> Callable[[Any, str], list[Any]]:
    """`heard(widget, "signal(T)")`: a list that grows by the first argument of each emission."""

    def listen(widget: Any, signal: str) -> list[Any]:
        got: list[Any] = []
        widget.connect(signal, lambda *values: got.append(values[0] if values else None))
        return got

    return listen


@pytest.fixture
def shot(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """`shot(name, widget=None)`: a PNG of the panel or of a widget, in --shots or a temporary folder."""
    folder = Path(request.config.getoption("--shots") or tmp_path)

    def take(name: str, widget: Any = None) -> Path:
        target = widget if widget is not None else request.getfixturevalue("panel").parent
        folder.mkdir(parents=True, exist_ok=True)
        qt.QCoreApplication.processEvents()
        path = folder / f"{name}.png"
        assert target.grab().save(str(path)), f"{path} could not be written"
        return path

    return take


@pytest.fixture
def engine_home() -> Path:
    """UMAMBA_HOME, empty and this test's own; Testing/conftest.py makes one for every test."""
    return Path(os.environ["UMAMBA_HOME"])


@pytest.fixture
def volume_from(scene: Any) -> Callable[..., Any]:
    """`volume_from(array, ijk_to_ras=None, name="T1")`: a scalar volume node; the array is (K, J, I)."""

    def make(array: np.ndarray, ijk_to_ras: np.ndarray | None = None, name: str = "T1") -> Any:
        matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) if ijk_to_ras is None else np.asarray(ijk_to_ras, float)
        kinds = {"b": np.uint8, "l": np.int32, "q": np.int32}
        array = np.ascontiguousarray(array, dtype=kinds.get(array.dtype.char, array.dtype))
        node = slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=name)
        node.CreateDefaultDisplayNodes()
        return node

    return make


@pytest.fixture
def module(app: Any, scene: Any) -> Iterator[Any]:
    """slicer.modules.umambasegmentation, from the module's real file; its panel is not made yet."""
    holder = scripted.add_module(MODULE_FILE)
    yield holder
    scripted.remove_module(MODULE_FILE.stem)
    slicer.app.disconnect("startupCompleted()")  # which Slicer emits once
    qt.QCoreApplication.processEvents()


@pytest.fixture
def panel(module: Any) -> Any:
    """The module's widget, set up, entered and shown as Slicer would; `panel.parent` is its window."""
    window = module.widgetRepresentation()
    window.resize(430, 800)
    window.show()
    window.enter()
    qt.QCoreApplication.processEvents()
    return window.self()


@pytest.fixture
def recorded() -> Any:
    """What went to other modules: names `selected`, `samples` by category, the Segment Editor's `editor`."""
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    return SimpleNamespace(
        selected=slicer.selectedModules, samples=slicer.modules.sampleDataSources, editor=editor
    )
