"""After a run: the table of segments, 3D, Segment Editor, volumes, report."""

import pytest
import qt
import slicer

from .steps import PATIENCE_S, draw, run


@pytest.fixture
def done(ready, point, spin):
    """The panel after a run around the left hippocampus."""
    ready.ui.regionSelector.setCurrentNode(point)
    run(ready, spin)
    return ready


# The table shows ml to two decimals, here before and after.
ROUNDED_TWICE = 0.0101


def cell(panel, row, column):
    return panel.ui.segmentsTable.item(row, column)


def test_the_section_is_there_once_there_are_segments(ready, done):
    assert done.ui.resultSection.isVisible()
    assert done.ui.segmentsTable.rowCount == 2
    done.ui.outputSelector.setCurrentNode(None)
    assert not done.ui.resultSection.isVisible()


def test_a_check_box_hides_a_segment(done):
    node = done.ui.outputSelector.currentNode()
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    cell(done, 0, 0).setCheckState(qt.Qt.Unchecked)
    assert not node.GetDisplayNode().GetSegmentVisibility(segment_id)
    cell(done, 0, 0).setCheckState(qt.Qt.Checked)
    assert node.GetDisplayNode().GetSegmentVisibility(segment_id)


def test_a_name_can_be_typed_but_not_taken_away(done):
    segment = done.ui.outputSelector.currentNode().GetSegmentation().GetNthSegment(0)
    cell(done, 0, 2).setText("  Head of the hippocampus ")
    assert segment.GetName() == "Head of the hippocampus"
    cell(done, 0, 2).setText("   ")
    assert segment.GetName() == "Head of the hippocampus"
    assert cell(done, 0, 2).text() == "Head of the hippocampus"


def test_a_colour_is_chosen_by_a_double_click(done, monkeypatch, spin):
    from UMambaSegmentationLib.panel import dialogs

    monkeypatch.setattr(dialogs, "choose_color", lambda _parent, _title, before: (10, 20, before[2]))
    node = done.ui.outputSelector.currentNode()
    blue = node.GetSegmentation().GetNthSegment(0).GetColor()[2]
    done.ui.segmentsTable.cellDoubleClicked.emit(0, 1)
    color = node.GetSegmentation().GetNthSegment(0).GetColor()
    assert color == pytest.approx((10 / 255, 20 / 255, blue), abs=1 / 255)
    spin(lambda: cell(done, 0, 1).background().color().red() == 10)


def test_the_table_follows_what_others_change(done, head, spin):
    node = done.ui.outputSelector.currentNode()
    before = cell(done, 0, 3).text()
    draw(node, head)
    spin(lambda: cell(done, 0, 3).text() != before)
    assert float(cell(done, 0, 3).text()) == pytest.approx(float(before) + 0.064, abs=ROUNDED_TWICE)
    node.GetSegmentation().GetNthSegment(1).SetName("renamed")
    spin(lambda: cell(done, 1, 2).text() == "renamed")
    node.GetSegmentation().RemoveSegment(node.GetSegmentation().GetNthSegmentID(0))
    spin(lambda: done.ui.segmentsTable.rowCount == 1)


def test_show_in_3d_makes_surfaces(done):
    node = done.ui.outputSelector.currentNode()
    done.ui.show3DButton.click()
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_volumes_to_a_table(done):
    done.ui.tableButton.click()
    table = done.ui.outputSelector.currentNode().GetNodeReference("UMamba.VolumesTable")
    assert table.GetNumberOfRows() == 2
    shown = [float(cell(done, row, 3).text()) for row in range(2)]
    assert [round(float(table.GetCellText(row, 2)), 2) for row in range(2)] == shown
    assert table.GetName() in done.ui.resultStatusLabel.text


def test_edit_opens_segment_editor_on_both_nodes(done, head, recorded):
    done.ui.editButton.click()
    assert recorded.selected == ["SegmentEditor"]
    assert recorded.editor.segmentationNode() == done.ui.outputSelector.currentNode()
    assert recorded.editor.sourceVolumeNode() == head


def test_without_a_window_edit_says_so(done, monkeypatch):
    def select(_module):
        raise RuntimeError("Could not find main window")

    monkeypatch.setattr(slicer.util, "selectModule", select)
    done.ui.editButton.click()
    assert "Segment Editor" in done.ui.resultStatusLabel.text


def test_the_report_holds_picture_and_volumes_and_no_patient(done, spin, tmp_path, monkeypatch, run_folders):
    from UMambaSegmentationLib.panel import dialogs

    page = tmp_path / "report.html"
    monkeypatch.setattr(dialogs, "save_file", lambda *_: page)
    done.ui.reportButton.click()
    spin(lambda: done.ui.resultStatusLabel.text == "The report was written.", PATIENCE_S)
    text = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text
    assert "Anterior hippocampus" in text
    assert "MNI152" not in text
    assert run_folders() == []


def test_a_report_that_cannot_be_written_is_told(done, spin, tmp_path, monkeypatch, run_folders):
    from UMambaSegmentationLib.panel import dialogs

    monkeypatch.setattr(dialogs, "save_file", lambda *_: tmp_path / "no" / "report.html")
    done.ui.reportButton.click()
    spin(lambda: "cannot be written" in done.ui.resultStatusLabel.text, PATIENCE_S)
    assert run_folders() == []


def test_no_report_when_the_dialog_is_cancelled(done, monkeypatch):
    from UMambaSegmentationLib.panel import dialogs

    monkeypatch.setattr(dialogs, "save_file", lambda *_: None)
    done.ui.reportButton.click()
    assert done.ui.resultStatusLabel.text == ""


def test_cleanup_in_the_middle_of_a_report(done, tmp_path, monkeypatch, run_folders, spin, engine):
    from UMambaSegmentationLib.panel import dialogs

    monkeypatch.setattr(dialogs, "save_file", lambda *_: tmp_path / "report.html")
    done.ui.reportButton.click()
    assert not done.ui.reportButton.enabled
    done.cleanup()
    assert run_folders() == []
    spin(lambda: not engine.busy, PATIENCE_S)
    assert list(tmp_path.iterdir()) == []
