"""Opening, closing, reloading: quick, and nothing stays behind."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import qt
import slicer

from .steps import PATIENCE_S, finish, run

# Half a second on a free computer.
OPENS_S = 2.0
MODULE = "UMambaSegmentation"
# Events of VTK and MRML are numbered up to here.
LAST_EVENT = 70_000


def observed(*objects):
    """The events of these objects that anybody observes."""
    return [{event for event in range(LAST_EVENT) if found.HasObserver(event)} for found in objects]


def timers():
    # Not by isinstance: that asks proxies of other libraries, whose objects may be gone.
    found = [entry for entry in gc.get_objects() if issubclass(type(entry), qt.QTimer)]
    return sum(1 for timer in found if _active(timer))


def _active(timer):
    try:
        return bool(timer.active)
    except RuntimeError:  # deleted in C++
        return False


def children():
    return [child for child in psutil.Process().children(recursive=True) if child.status() != "zombie"]


def test_the_panel_opens_quickly(module):
    began = time.monotonic()
    window = module.widgetRepresentation()
    window.show()
    window.enter()
    qt.QCoreApplication.processEvents()
    seconds = time.monotonic() - began
    print(f"the panel opens in {seconds:.2f} s")
    assert seconds < OPENS_S


def test_slicers_start_imports_nothing_of_ours(app):
    """The module's file is read at every start of Slicer, for everybody: only that file, and no engine."""
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from bench import environment; environment.prepare()\n"
        "from bench import slicer_app, scripted; slicer_app.install()\n"
        "from pathlib import Path\n"
        "scripted.add_module(Path(sys.argv[2]) / 'UMambaSegmentation.py')\n"
        "ours = ('UMambaSegmentationLib', 'umamba', 'torch')\n"
        "print([name for name in sys.modules if name.startswith(ours)])\n"
    )
    here = Path(__file__).resolve()
    folders = [str(here.parents[1]), str(here.parents[3] / MODULE)]
    done = subprocess.run(
        [sys.executable, "-c", script, *folders], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr


def test_the_sample_is_registered_after_the_start(module, app, recorded):
    assert recorded.samples == {}
    app.startupCompleted.emit()
    assert len(recorded.samples[MODULE]) == 1


def test_cleanup_leaves_no_process_timer_or_observer(own_engine, module, logic, head, point, spin):
    watched = [
        slicer.mrmlScene,
        logic.getParameterNode(),
        slicer.app.applicationLogic().GetInteractionNode(),
        head,
        point,
    ]
    before, clocks, processes = observed(*watched), timers(), children()
    window = module.widgetRepresentation()
    window.show()
    window.enter()
    spin(lambda: window.self().ui.segmentButton.enabled)
    window.self().ui.regionSelector.setCurrentNode(point)
    segmentation = run(window.self(), spin)
    window.self().ui.pointButton.click()
    assert observed(*watched) != before, "the test would see nothing"
    assert len(children()) == len(processes) + 1
    assert timers() > clocks
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(MODULE)
    spin(lambda: len(children()) == len(processes), 10)
    spin(lambda: timers() <= clocks, 5)
    window.setMRMLScene(None)
    for after, earlier in zip(observed(*watched), before, strict=True):
        assert after <= earlier
    untouched = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    ours, usual = observed(segmentation.GetSegmentation(), untouched.GetSegmentation())
    assert ours <= usual


def test_cleanup_in_the_middle_of_a_run(own_engine, module, head, spin, run_folders):
    processes = children()
    window = module.widgetRepresentation()
    window.enter()
    panel = window.self()
    spin(lambda: panel.ui.segmentButton.enabled)
    panel.ui.segmentButton.click()
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(MODULE)
    assert run_folders() == []
    spin(lambda: len(children()) == len(processes), 10)
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_slicer_ends_in_the_middle_of_a_run(own_engine, ready, app, spin, run_folders):
    ready.ui.segmentButton.click()
    spin(lambda: ready.ui.statusLabel.text.startswith("Segmenting"), PATIENCE_S)
    worker = own_engine._worker.pid
    app.aboutToQuit.emit()
    spin(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == "zombie", 10)
    assert ready.ui.segmentButton.text == "Segment"
    assert run_folders() == []


def test_reload_works_and_reads_the_packages_again(own_engine, ready, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    old = sys.modules["UMambaSegmentationLib.panel.run"]
    before = ready.panel
    library = {name: found for name, found in sys.modules.items() if name.startswith(f"{MODULE}Lib")}
    try:
        ready.onReload()
        fresh = slicer.modules.UMambaSegmentationWidget
        assert fresh is not ready
        assert sys.modules["UMambaSegmentationLib.panel.run"] is not old
        assert fresh.panel is not before
        assert ready.panel is None
        spin(lambda: fresh.ui.segmentButton.enabled)
        assert fresh.ui.regionSelector.currentNode() == point
        run(fresh, spin)
        sys.modules["UMambaSegmentationLib.client.engine"].shared_engine().close()
    finally:
        sys.modules.update(library)


def test_a_second_panel_that_is_closed_leaves_the_firsts_run_alone(own_engine, ready, point, spin):
    from UMambaSegmentation import UMambaSegmentationWidget

    ready.ui.regionSelector.setCurrentNode(point)
    other = UMambaSegmentationWidget()
    ready.ui.segmentButton.click()
    other.cleanup()
    other.parent.close()
    finish(ready, spin)


def test_below_slicer_5_10_one_clear_line(module, app, monkeypatch):
    monkeypatch.setattr(type(app), "minorVersion", 8)
    window = module.widgetRepresentation()
    window.enter()
    labels = [label.text for label in window.findChildren(qt.QLabel)]
    assert labels == ["This module needs Slicer 5.10 or newer; install a newer Slicer."]
    window.exit()


def test_a_parameter_node_that_was_removed_comes_back(ready, head):
    node = ready.logic.getParameterNode()
    slicer.mrmlScene.RemoveNode(node)
    ready.parent.enter()
    assert ready.logic.getParameterNode().GetScene() is not None
    assert ready.ui.inputSelector.currentNode() == head


def test_a_saved_scene_brings_its_choices_back(ready, head, box, tmp_path, spin):
    ready.ui.regionSelector.setCurrentNode(box)
    ready.ui.stepSlider.value = 0.75
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"), None)
    slicer.mrmlScene.Clear(0)
    assert ready.ui.inputSelector.currentNode() is None
    assert ready.ui.regionSelector.currentNode() is None
    assert ready.ui.stepSlider.value == 0.5
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    assert ready.ui.inputSelector.currentNode().GetName() == "MNI152"
    assert ready.ui.regionSelector.currentNode().IsA("vtkMRMLMarkupsROINode")
    assert ready.ui.stepSlider.value == 0.75
    assert ready.ui.segmentButton.enabled


@pytest.mark.parametrize("minutes", [0, 25])
def test_keep_warm_is_the_persons_setting(ready, engine, minutes):
    before = engine.keep_warm_minutes
    ready.ui.keepWarmSpinBox.value = minutes
    from UMambaSegmentationLib import settings

    assert engine.keep_warm_minutes == minutes
    assert settings.keep_warm_minutes() == minutes
    engine.keep_warm_minutes = before


def test_folders_that_a_crash_left_behind_go_after_two_days(app, ready, point, spin, run_folders):
    from UMambaSegmentationLib.run_folder import PREFIX

    old, new = (Path(app.temporaryPath) / f"{PREFIX}{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (time.time() - 3 * 24 * 3600,) * 2)
    ready.ui.regionSelector.setCurrentNode(point)
    run(ready, spin)
    assert not old.exists()
    assert new.exists()
    new.rmdir()
