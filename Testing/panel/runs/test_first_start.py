"""The panel where nothing is installed yet, and what it leads to."""

from dataclasses import replace

import pytest
import qt

from .steps import PATIENCE_S, run


@pytest.fixture
def bare(monkeypatch):
    """A Slicer whose Python has no PyTorch; `bare.undo()` is what an installation does."""
    from UMambaSegmentationLib.client import packages

    with pytest.MonkeyPatch.context() as patch:
        there = packages.current()
        patch.setattr(packages, "current", lambda: replace(there, sites=()))
        yield patch


def test_cards_are_shown_and_set_up_is_offered(bare, start_panel, head, shot, spin):
    panel = start_panel()
    assert "hippocampus" in panel.ui.modelCardLabel.text
    spin(lambda: panel.ui.inputSelector.currentNode() == head)
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == "The engine is not installed yet."
    assert not panel.ui.pointButton.enabled
    assert panel.ui.setupLinkButton.isVisible()
    assert not panel.ui.setupSection.collapsed
    panel.parent.resize(340, 1100)
    shot("00-first-start")


def test_the_link_opens_set_up_and_scrolls_to_it(bare, start_panel):
    panel = start_panel()
    area = qt.QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(panel.parent)
    panel.parent._area = area  # as long as the panel lives, so does what it lies in
    area.resize(360, 300)
    area.show()
    panel.ui.setupSection.collapsed = True
    qt.QCoreApplication.processEvents()
    panel.ui.setupLinkButton.click()
    qt.QCoreApplication.processEvents()
    assert not panel.ui.setupSection.collapsed
    assert area.verticalScrollBar().value > 0
    area.close()


def test_once_installed_it_runs(bare, start_panel, head, point, spin):
    panel = start_panel()
    spin(lambda: panel.ui.inputSelector.currentNode() == head)
    panel.ui.regionSelector.setCurrentNode(point)
    bare.undo()
    panel.panel.setup.refresh()
    assert panel.ui.segmentButton.enabled
    assert not panel.ui.setupLinkButton.isVisible()
    assert run(panel, spin) is not None


def test_what_went_missing_since_is_told_by_the_run(ready, bare, own_engine, spin):
    ready.ui.segmentButton.click()
    spin(lambda: ready.ui.segmentButton.text == "Segment", PATIENCE_S)
    assert "not installed" in ready.ui.statusLabel.text
