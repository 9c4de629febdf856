"""Cancel, at each stage: at once, and the scene is as it was."""

import time
from pathlib import Path

import pytest
import qt
import slicer

from .steps import PATIENCE_S, answer, answers, draw, finish, run

# A run of which no stage is over before a click arrives: the whole head in many overlapping tiles.
AT_ONCE_S = 1.0
STAGES = ("read", "preprocess", "predict")


@pytest.fixture
def cancel_at(ready, monkeypatch):
    """`cancel_at(stage)`: press the button as soon as the run says that it is there; the seconds it took."""
    from UMambaSegmentationLib.panel.progress import Progress

    shown = Progress.show

    def arrange(stage):
        pressed = []

        def show(self, event):
            shown(self, event)
            if event["stage"] == stage and not pressed:
                pressed.append(None)
                qt.QTimer.singleShot(0, press)

        def press():
            began = time.monotonic()
            ready.ui.segmentButton.click()
            pressed[0] = time.monotonic() - began

        monkeypatch.setattr(Progress, "show", show)
        return pressed

    return arrange


def as_before(panel, before, nodes, run_folders):
    assert panel.ui.segmentButton.text == "Segment"
    assert panel.ui.statusLabel.text == "Cancelled; the scene is as it was."
    assert not panel.ui.progressBar.isVisible()
    assert nodes() == before
    assert run_folders() == []


@pytest.mark.parametrize("stage", STAGES)
def test_cancel_leaves_the_scene_as_it_was(ready, point, spin, nodes, run_folders, cancel_at, stage):
    ready.ui.regionSelector.setCurrentNode(point)
    before = nodes()
    pressed = cancel_at(stage)
    ready.ui.segmentButton.click()
    spin(lambda: pressed and pressed[0] is not None, PATIENCE_S)
    assert pressed[0] < AT_ONCE_S
    as_before(ready, before, nodes, run_folders)
    # Nothing comes late, and the next run succeeds.
    assert run(ready, spin) is not None


def test_cancel_while_the_engine_still_loads(own_engine, ready, point, spin, nodes, run_folders):
    ready.ui.regionSelector.setCurrentNode(point)
    before = nodes()
    ready.ui.segmentButton.click()
    began = time.monotonic()
    ready.ui.segmentButton.click()
    assert time.monotonic() - began < AT_ONCE_S
    as_before(ready, before, nodes, run_folders)


def test_cancel_of_a_long_run_frees_the_engine(ready, spin, nodes, run_folders, cancel_at, engine, point):
    ready.ui.stepSlider.value = 0.1
    ready.ui.mirrorSelector.setCurrentIndex(ready.ui.mirrorSelector.findData("on"))
    before = nodes()
    pressed = cancel_at("predict")
    ready.ui.segmentButton.click()
    spin(lambda: pressed and pressed[0] is not None, PATIENCE_S)
    as_before(ready, before, nodes, run_folders)
    began = time.monotonic()
    spin(lambda: not engine._job, 10)
    print(f"cancel to idle {time.monotonic() - began + pressed[0]:.2f} s")
    assert ready.ui.segmentButton.enabled


def test_a_second_run_is_not_mixed_up_with_the_cancelled_one(ready, point, spin, cancel_at, head, labels_in):
    ready.ui.regionSelector.setCurrentNode(point)
    expected = labels_in(run(ready, spin), head)
    ready.ui.outputSelector.setCurrentNode(None)
    ready.ui.regionSelector.setCurrentNode(None)
    pressed = cancel_at("predict")
    ready.ui.segmentButton.click()
    spin(lambda: pressed and pressed[0] is not None, PATIENCE_S)
    ready.ui.regionSelector.setCurrentNode(point)
    assert (labels_in(run(ready, spin), head) == expected).all()
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 2


def test_cancel_while_a_question_stands(ready, point, head, spin, nodes, run_folders):
    ready.ui.regionSelector.setCurrentNode(point)
    segmentation = run(ready, spin)
    ready.ui.segmentButton.click()
    draw(segmentation, head)
    spin(lambda: answers(ready), PATIENCE_S)
    assert ready.ui.segmentButton.text == "Cancel"
    before = nodes()
    ready.ui.segmentButton.click()
    as_before(ready, before, nodes, run_folders)
    assert answers(ready) == []


def test_dropping_the_result_is_a_cancel_too(ready, point, head, spin, nodes, run_folders):
    ready.ui.regionSelector.setCurrentNode(point)
    segmentation = run(ready, spin)
    ready.ui.segmentButton.click()
    draw(segmentation, head)
    spin(lambda: answers(ready), PATIENCE_S)
    before = nodes()
    answer(ready, "Drop the result")
    as_before(ready, before, nodes, run_folders)


def test_two_clicks_at_once_are_one_run_and_its_cancel(ready, point, spin):
    ready.ui.regionSelector.setCurrentNode(point)
    ready.ui.segmentButton.click()
    ready.ui.segmentButton.click()
    ready.ui.segmentButton.click()
    assert finish(ready, spin) is not None
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1


def test_the_private_folder_is_the_users_alone(ready, point, spin, run_folders, app):
    ready.ui.regionSelector.setCurrentNode(point)
    ready.ui.segmentButton.click()
    folders = run_folders()
    assert folders
    for name in folders:
        assert (Path(app.temporaryPath) / name).stat().st_mode & 0o077 == 0
    finish(ready, spin)
    spin(lambda: run_folders() == [], 5)


def test_a_double_click_is_one_click(ready, spin, app):
    """Its second press would cancel what the first has begun."""
    button = ready.ui.segmentButton
    middle = qt.QPointF(button.width / 2, button.height / 2)
    for kind in (
        qt.QEvent.MouseButtonPress,
        qt.QEvent.MouseButtonRelease,
        qt.QEvent.MouseButtonDblClick,
        qt.QEvent.MouseButtonRelease,
    ):
        buttons = qt.Qt.NoButton if kind == qt.QEvent.MouseButtonRelease else qt.Qt.LeftButton
        event = qt.QMouseEvent(kind, middle, middle, qt.Qt.LeftButton, buttons, qt.Qt.NoModifier)
        qt.QCoreApplication.sendEvent(button, event)
    assert button.text == "Cancel"
    button.click()
    spin(lambda: button.text == "Segment")
