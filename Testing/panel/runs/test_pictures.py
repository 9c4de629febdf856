"""Pictures of the panel in every state (`--shots FOLDER` keeps them), and no text that is cut."""

import contextlib

import numpy as np
import pytest
import qt
import slicer

from .conftest import LPS_TO_RAS
from .steps import PATIENCE_S, answers, draw, run

# The narrowest that Slicer makes its panel.
NARROW = 340
# A larger font makes it wider by as much.
SIZES = (100, 125, 200)
LOOKS = ("light", "dark")
LONG = "A rather long name of a volume that somebody gave, acquired twice, corrected, resampled (2)"
# Styles round a widget's size to whole pixels.
ROUNDING = 2


@pytest.fixture(params=[(size, look) for look in LOOKS for size in SIZES if look == "light" or size == 100])
def look(request, app):
    """Size of the font in percent and colours, as a person sets them for all of Slicer."""
    size, colours = request.param
    font, palette = qt.QApplication.font(), qt.QApplication.palette()
    larger = qt.QFont(font)
    larger.setPointSizeF(font.pointSizeF() * size / 100)
    qt.QApplication.setFont(larger)
    if colours == "dark":
        qt.QApplication.setPalette(_dark())
    yield size, colours
    qt.QApplication.setFont(font)
    qt.QApplication.setPalette(palette)


def _dark():
    palette = qt.QPalette()
    for role, color in (
        (qt.QPalette.Window, "#323232"),
        (qt.QPalette.WindowText, "#e6e6e6"),
        (qt.QPalette.Base, "#262626"),
        (qt.QPalette.AlternateBase, "#323232"),
        (qt.QPalette.Text, "#e6e6e6"),
        (qt.QPalette.Button, "#3c3c3c"),
        (qt.QPalette.ButtonText, "#e6e6e6"),
        (qt.QPalette.Link, "#7fb8ff"),
        (qt.QPalette.ToolTipBase, "#262626"),
        (qt.QPalette.ToolTipText, "#e6e6e6"),
    ):
        palette.setColor(role, qt.QColor(color))
    for role in (qt.QPalette.Text, qt.QPalette.ButtonText, qt.QPalette.WindowText):
        palette.setColor(qt.QPalette.Disabled, role, qt.QColor("#7a7a7a"))
    return palette


@pytest.fixture
def take(look, shot, start_panel):
    """`take(state)`: a picture, after looking for cut text; the panel is as narrow as Slicer makes it."""
    window, (size, colours) = start_panel().parent, look

    def picture(state):
        fit(window, NARROW)
        shot(f"{state}-{size}-{colours}")
        assert cut(window, NARROW * size / 100) == [], state

    return picture


def fit(window, width):
    """As narrow as Slicer makes the panel, and as high as its scroll area then does."""
    for _again in range(2):
        qt.QCoreApplication.processEvents()
        width = max(width, window.minimumSizeHint().width())
        window.resize(width, max(window.layout().heightForWidth(width), window.minimumSizeHint().height()))
    qt.QCoreApplication.processEvents()


def cut(window, width):
    """Visible widgets that are narrower or lower than their text, and the panel itself if it is too wide."""
    found = []
    if window.minimumSizeHint().width() > width:
        found.append(("the panel", window.minimumSizeHint().width()))
    for kind in (qt.QPushButton, qt.QToolButton, qt.QCheckBox, qt.QLabel):
        for widget in window.findChildren(kind):
            if not (widget.isVisible() and widget.text):
                continue
            needed = widget.minimumSizeHint()
            if isinstance(widget, qt.QLabel) and widget.wordWrap:
                low = widget.heightForWidth(widget.width) > widget.height + ROUNDING
            else:
                low = needed.height() > widget.height + ROUNDING or needed.width() > widget.width + ROUNDING
            if low:
                found.append((widget.objectName, widget.text))
    return found


def test_every_state(take, panel, volume_from, template, spin):
    """One walk through the panel, as a person takes it."""
    import SimpleITK as sitk

    from .conftest import LEFT_RAS, ijk_to_ras

    take("01-empty")
    head = volume_from(sitk.GetArrayFromImage(template), ijk_to_ras(template), "MNI152")
    spin(lambda: panel.ui.segmentButton.enabled)
    spin(lambda: panel.ui.planLabel.text, PATIENCE_S)
    take("02-ready")
    with contextlib.ExitStack() as stack:
        panel.ui.stepSlider.value = 0.1
        panel.ui.segmentButton.click()
        stack.callback(panel.panel.run.cancel)
        spin(lambda: "about" in panel.ui.statusLabel.text, PATIENCE_S)
        panel.ui.logButton.click()
        take("03-running")
    panel.ui.logButton.click()
    panel.ui.stepSlider.value = 0.5
    take("04-cancelled")
    point = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "UMamba point")
    point.AddControlPointWorld(*LEFT_RAS)
    panel.ui.regionSelector.setCurrentNode(point)
    segmentation = run(panel, spin)
    panel.ui.tableButton.click()
    take("05-done")
    draw(segmentation, head)
    panel.ui.segmentButton.click()
    assert answers(panel)
    take("06-question")
    panel.ui.advancedSection.collapsed = False
    take("07-advanced")
    panel.ui.advancedSection.collapsed = True
    panel.ui.memorySpinBox.value = 0.1
    panel.ui.outputSelector.setCurrentNode(None)
    panel.ui.segmentButton.click()
    spin(lambda: panel.ui.segmentButton.text == "Segment" and panel.ui.statusLabel.text, PATIENCE_S)
    take("08-error")


def test_long_names_and_many_structures(two_channels, start_panel, shot, volume_from):
    array = np.random.default_rng(1).normal(100, 30, (14, 30, 33)).astype(np.float32)
    first = volume_from(array, LPS_TO_RAS, f"{LONG} T1")
    volume_from(array[:10], LPS_TO_RAS, f"{LONG} T2")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{LONG} segmentation")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(first)
    segmentation.CreateDefaultDisplayNodes()
    for number in range(20):
        name = f"Structure number {number} with a long name"
        segmentation.GetSegmentation().AddEmptySegment(f"s{number}", name)
    panel = start_panel()
    panel.panel.models.select("two-channels")
    panel.ui.outputSelector.setCurrentNode(segmentation)
    fit(panel.parent, NARROW)
    shot("09-long-names")
    assert cut(panel.parent, NARROW) == []
