"""A sequence of volumes becomes a sequence of segmentations; the browser stays where it is."""

import numpy as np
import pytest
import slicer

from .conftest import LPS_TO_RAS
from .steps import PATIENCE_S, finish, names_in

MODEL_ID = "two-channels"


@pytest.fixture
def cine(volume_from):
    """The proxies of two sequences (T1 and T2) of three frames in one browser, at the second frame."""
    random = np.random.default_rng(3)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    proxies = []
    for name in ("T1", "T2"):
        sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} sequence")
        sequence.SetIndexName("time")
        for frame in range(3):
            volume = volume_from(
                random.normal(100 + 20 * frame, 30, (14, 30, 33)).astype(np.float32), LPS_TO_RAS, name
            )
            sequence.SetDataNodeAtValue(volume, str(40 * frame))
            slicer.mrmlScene.RemoveNode(volume)
        browser.AddSynchronizedSequenceNode(sequence)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        proxies.append(browser.GetProxyNode(sequence))
    browser.SetSelectedItemNumber(1)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser, proxies


@pytest.fixture
def panel_on(two_channels, cine, start_panel):
    panel = start_panel()
    panel.panel.models.select(MODEL_ID)
    _browser, proxies = cine
    panel.panel.inputs.channels.use(proxies)
    return panel


def test_the_choice_is_there_for_sequences_only(panel_on, volume_from):
    assert panel_on.ui.sequenceCheckBox.isVisible()
    single = volume_from(np.ones((14, 30, 33), np.float32), LPS_TO_RAS, "single")
    panel_on.ui.inputSelector.setCurrentNode(single)
    assert not panel_on.ui.sequenceCheckBox.isVisible()


def test_all_frames(panel_on, cine, spin, labels_in, logic, run_folders):
    browser, proxies = cine
    told = []
    panel_on.ui.sequenceCheckBox.click()
    assert not panel_on.ui.outputSelector.enabled
    panel_on.ui.segmentButton.click()
    spin(
        lambda: told.append(panel_on.ui.statusLabel.text) or panel_on.ui.segmentButton.text == "Segment",
        PATIENCE_S,
    )
    segmentation = finish(panel_on, spin)
    assert any(text.startswith("Frame 3 of 3") for text in told), set(told)
    assert browser.GetSelectedItemNumber() == 1
    assert run_folders() == []
    for frame in range(3):
        browser.SetSelectedItemNumber(frame)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        single = logic.process(proxies, MODEL_ID)
        shown, expected = labels_in(segmentation, proxies[0]), labels_in(single, proxies[0])
        assert len(np.unique(expected)) > 2
        assert (shown == expected).all(), f"frame {frame}"
    assert names_in(segmentation) == names_in(single)


def test_cancel_leaves_the_scene_as_it_was(panel_on, cine, spin, nodes, run_folders):
    panel_on.ui.sequenceCheckBox.click()
    before = nodes()
    panel_on.ui.segmentButton.click()
    spin(lambda: panel_on.ui.statusLabel.text.startswith("Frame 2"), PATIENCE_S)
    panel_on.ui.segmentButton.click()
    assert panel_on.ui.statusLabel.text == "Cancelled; the scene is as it was."
    assert nodes() == before
    assert run_folders() == []


def test_a_single_frame_is_an_ordinary_run(panel_on, spin):
    panel_on.ui.segmentButton.click()
    node = finish(panel_on, spin)
    assert slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(node) is None


def test_the_sequence_goes_during_the_run(panel_on, cine, spin):
    panel_on.ui.sequenceCheckBox.click()
    panel_on.ui.segmentButton.click()
    browser, proxies = cine
    slicer.mrmlScene.RemoveNode(browser.GetSequenceNode(proxies[0]))
    spin(lambda: panel_on.ui.segmentButton.text == "Segment", PATIENCE_S)
    assert "Done" not in panel_on.ui.statusLabel.text
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_from_the_console_without_a_window(two_channels, cine, logic):
    _browser, proxies = cine
    events = []
    run = logic.start(proxies, MODEL_ID, all_frames=True, callback=events.append)
    assert run.wait(PATIENCE_S)
    assert run.check() is not None
    assert {event["frame"] for event in events} == {0, 1, 2}
    assert {event["frames"] for event in events} == {3}
