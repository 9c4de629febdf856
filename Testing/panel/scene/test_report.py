"""The report: the segments as they are now, on one page that names nobody."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import slicer
import vtk

from scene.segment_cases import PROVENANCE, grids, hippocampus, label_map
from UMambaSegmentationLib.scene import report
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.segmentations import show_result
from UMambaSegmentationLib.scene.tables import segment_volumes
from UMambaSegmentationLib.scene.volumes import image_entry

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def case(volume_from):
    """A volume on an oblique grid and its segmentation with the two labels of the bundled model."""

    def make(grid="oblique"):
        labels = label_map(2)
        volume = volume_from(np.random.default_rng(3).normal(size=labels.shape), grids()[grid], "Doe^Jane")
        return volume, show_result(labels, volume, hippocampus(), provenance=PROVENANCE), labels

    return make


def under(scene, node, x=0.0, degrees=0.0):
    transform = vtk.vtkTransform()
    transform.Translate(x, 0, 0)
    transform.RotateZ(degrees)
    found = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    found.SetMatrixTransformToParent(transform.GetMatrix())
    node.SetAndObserveTransformNodeID(found.GetID())
    return found


# --- labels --------------------------------------------------------------


@pytest.mark.parametrize("grid", ["plain", "oblique", "left-handed", "permuted"])
def test_the_label_map_comes_back_voxel_for_voxel(case, grid):
    volume, segmentation, labels = case(grid)
    found, segments = report.labels_of(segmentation, volume)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.uint8
    assert segments == [
        {"value": 1, "name": "Anterior hippocampus", "color": [240, 228, 66]},
        {"value": 2, "name": "Posterior hippocampus", "color": [86, 180, 233]},
    ]


def test_under_one_transform_nothing_moves(scene, case):
    volume, segmentation, labels = case()
    node = under(scene, volume, 40, 30)
    segmentation.SetAndObserveTransformNodeID(node.GetID())
    np.testing.assert_array_equal(report.labels_of(segmentation, volume)[0], labels)


def test_apart_it_is_the_place_in_the_world_that_counts(scene, case):
    volume, segmentation, labels = case("plain")
    under(scene, volume, 2.0)  # plain: i runs to the left, so two voxels
    found, _ = report.labels_of(segmentation, volume)
    np.testing.assert_array_equal(found[:, :, 2:], labels[:, :, :-2])
    assert not found[:, :, :2].any()


def test_a_bent_transform_between_the_two_is_refused(scene, case):
    volume, segmentation, _ = case()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in np.ndindex(2, 2, 2):
        points.InsertNextPoint(*corner)
        moved.InsertNextPoint(*(np.array(corner) * (1 + 0.1 * corner[0] * corner[1])))
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(moved)
    node.SetAndObserveTransformToParent(spline)
    volume.SetAndObserveTransformNodeID(node.GetID())
    with pytest.raises(SceneError, match="different transforms"):
        report.labels_of(segmentation, volume)


def test_what_a_person_edited_is_what_is_shown(case):
    volume, segmentation, labels = case()
    first = segmentation.GetSegmentation().GetNthSegmentID(0)
    edited = np.zeros(labels.shape, np.uint8)
    edited[2:4, 3:6, 1:9] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, segmentation, first, volume)
    segmentation.GetSegmentation().GetSegment(first).SetName("Mine")
    segmentation.GetSegmentation().GetSegment(first).SetColor(1, 0, 0.5)
    found, segments = report.labels_of(segmentation, volume)
    np.testing.assert_array_equal(found == 1, (edited == 1) & (found != 2))
    assert segments[0] == {"value": 1, "name": "Mine", "color": [255, 0, 128]}


def test_more_than_255_segments_fit(scene, volume_from):
    volume = volume_from(np.zeros((2, 2, 2)))
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for number in range(300):
        segmentation.GetSegmentation().AddEmptySegment(f"s{number}")
    last = np.zeros((2, 2, 2), np.uint8)
    last[0, 0, 1] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(last, segmentation, "s299", volume)
    found, segments = report.labels_of(segmentation, volume)
    assert found.dtype == np.uint16
    assert np.argwhere(found).tolist() == [[0, 0, 1]]
    assert found[0, 0, 1] == 300 == segments[-1]["value"]


def test_nothing_to_report_is_said(scene, volume_from, case):
    volume, segmentation, _ = case()
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for node, image in ((empty, volume), (segmentation, scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))):
        with pytest.raises(SceneError, match="nothing to report"):
            report.labels_of(node, image)


# --- the page ------------------------------------------------------------


class Page(HTMLParser):
    """Texts of the cells and headings, sources of the pictures, all tags."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.sources, self.tags, self._open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag in ("td", "th"):
            self.cells.append("")
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open and self._open[-1] in ("td", "th"):
            self.cells[-1] += data

    def after(self, heading):
        return self.cells[self.cells.index(heading) + 1]


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "planes.png"
    path.write_bytes(PNG)
    return path


ROWS = [("s1", "Anterior hippocampus", 1234, 1.2341), ("s2", "Posterior <hippocampus>", 0, 0.0)]


def written(tmp_path, png, rows=ROWS, card=None, provenance=PROVENANCE, **more):
    report.write_html(tmp_path / "Bericht é.html", png, rows, card, provenance, **more)
    return (tmp_path / "Bericht é.html").read_text("utf-8")


def test_a_whole_report_of_a_real_case(case, tmp_path):
    """From the scene to the page, the picture drawn by the engine."""
    from umamba.imaging.preview import draw_preview
    from umamba.worker.images import load_sources
    from umamba.worker.picture import Segment

    volume, segmentation, _ = case()
    labels, segments = report.labels_of(segmentation, volume)
    images = load_sources((image_entry(volume, tmp_path, "channel_0"),))
    drawn = [Segment(entry["value"], entry["name"], tuple(entry["color"])) for entry in segments]
    draw_preview(images, labels, drawn, tmp_path / "planes.png")
    text = written(tmp_path, tmp_path / "planes.png", segment_volumes(segmentation), hippocampus())
    page = Page(text)
    assert base64.b64decode(page.sources[0].partition(",")[2]) == (tmp_path / "planes.png").read_bytes()
    for _id, name, voxels, ml in segment_volumes(segmentation):
        assert voxels > 50
        at = page.cells.index(name)
        assert page.cells[at + 1 : at + 3] == [f"{ml:.3f}", str(voxels)]
    assert page.after("Model") == "Hippocampus, anterior and posterior (T1 MR)"
    assert page.after("Engine") == "umamba 0.1.0"
    assert page.after("Device") == PROVENANCE["device_name"]
    assert page.after("Segmented") == PROVENANCE["date"]
    assert "Dice 0.895 ± 0.037 (40 cases)" in page.after("Accuracy")
    assert "Research use only. Not a medical device." in text
    assert "^Jane" not in text
    assert str(tmp_path) not in text


def test_the_page_needs_nothing_but_itself_and_runs_nothing(tmp_path, png):
    page = Page(written(tmp_path, png, card=hippocampus()))
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"script", "link", "iframe", "form"} & set(page.tags)
    assert "default-src 'none'" in (tmp_path / "Bericht é.html").read_text("utf-8")


def test_names_are_text_never_markup(tmp_path, png):
    evil = '<img src=x onerror="alert(1)">'
    rows = [("s", evil, 1, 0.1)]
    record = {"device_name": evil, "model": {"name": evil, "id": evil}, "date": evil}
    text = written(tmp_path, png, rows, provenance=record, edited=[evil])
    assert "<img src=x" not in text
    page = Page(text)
    assert page.tags.count("img") == 1
    assert page.after("Model") == evil


def test_only_what_cannot_name_a_patient_is_taken_from_the_record(tmp_path, png):
    record = PROVENANCE | {
        "patient": "Jane Doe",
        "warnings": ["DOE_JANE.nii.gz: odd"],
        "plan": {"line": "Doe"},
    }
    record["around_mm_lps"] = [1, 2, 3]
    assert "Doe" not in written(tmp_path, png, provenance=record)
    assert "DOE" not in written(tmp_path, png, provenance=record)


@pytest.mark.parametrize("record", [{}, {"model": "text", "software": 3}, {"model": None}])
def test_a_thin_or_odd_record_and_no_card_still_make_a_page(tmp_path, png, record):
    page = Page(written(tmp_path, png, provenance=record))
    assert page.after("Anterior hippocampus") == "1.234"
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", page.after("Report made"))
    assert "Model" not in page.cells


def test_segments_edited_by_hand_are_said_to_be(tmp_path, png):
    page = Page(written(tmp_path, png, edited=["Anterior hippocampus"]))
    assert page.after("Edited by hand since") == "Anterior hippocampus"


def test_a_page_appears_whole_or_not_at_all(tmp_path, png, monkeypatch):
    written(tmp_path, png)
    before = (tmp_path / "Bericht é.html").read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report.os, "replace", full)
    with pytest.raises(SceneError, match=r"No space left.*another folder") as refusal:
        written(tmp_path, png, rows=[])
    assert str(tmp_path) not in str(refusal.value)
    assert (tmp_path / "Bericht é.html").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["Bericht é.html", "planes.png"]


def test_a_missing_picture_leaves_no_page(tmp_path):
    with pytest.raises(SceneError, match="cannot be written"):
        written(tmp_path, tmp_path / "none.png")
    assert not list(tmp_path.iterdir())
