"""A Mamba-UNet in the panel: in the list like any model, on a volume and on a cine."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicer

from .conftest import LPS_TO_RAS
from .steps import names_in, run

MODEL_ID = "flat-mamba-unet"
FRAMES, SHAPE = 3, (4, 40, 44)
LABELS = ["a", "b"]


def frame_of(index):
    """A map that is different in each frame."""
    noise = np.random.default_rng(index).normal(100, 30, SHAPE)
    return noise.astype(np.float32)


@pytest.fixture
def cine(volume_from):
    """The proxy of a cine of short-axis slices, and its browser."""
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
    sequence.SetIndexName("trigger time")
    for index in range(FRAMES):
        volume = volume_from(frame_of(index), LPS_TO_RAS, "short axis")
        sequence.SetDataNodeAtValue(volume, str(30 * index))
        slicer.mrmlScene.RemoveNode(volume)
    browser.AddSynchronizedSequenceNode(sequence)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser, browser.GetProxyNode(sequence)


@pytest.fixture
def panel_of(flat_mamba_unet, start_panel):
    """`panel_of(volume)`: the panel with the model chosen and a volume as its input."""

    def make(volume):
        panel = start_panel()
        assert panel.panel.models.select(MODEL_ID)
        panel.ui.inputSelector.setCurrentNode(volume)
        return panel

    return make


def test_a_volume(panel_of, volume_from, command_line, labels_in, spin, tmp_path, flat_mamba_unet):
    volume = volume_from(frame_of(0), LPS_TO_RAS, "short axis")
    path = tmp_path / "volume.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(frame_of(0)), str(path))
    segmentation = run(panel_of(volume), spin)
    assert names_in(segmentation) == LABELS
    shown = labels_in(segmentation, volume)
    assert set(np.unique(shown)) == {0, 1, 2}
    expected, _volumes = command_line(path, "--model", flat_mamba_unet)
    assert (shown == expected).all()


def test_all_frames_of_a_cine_and_their_volumes(panel_of, cine, spin, labels_in):
    browser, proxy = cine
    panel = panel_of(proxy)
    panel.ui.sequenceCheckBox.click()
    segmentation = run(panel, spin)
    panel.ui.tableButton.click()
    table = segmentation.GetNodeReference("UMamba.VolumesTable")
    rows = [[table.GetCellText(row, column) for column in range(4)] for row in range(table.GetNumberOfRows())]
    expected = []
    for index in range(FRAMES):
        browser.SetSelectedItemNumber(index)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        labels = labels_in(segmentation, proxy)
        for value, name in enumerate(LABELS, start=1):
            voxels = int((labels == value).sum())
            assert voxels > 0
            expected.append([str(30 * index), name, str(voxels), pytest.approx(voxels / 1000)])
    assert [[*row[:3], float(row[3])] for row in rows] == expected
