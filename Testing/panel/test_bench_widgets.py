"""The stand-ins behave as the C++ widgets whose names they bear, as far as a panel can tell."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer

# qMRMLNodeComboBox -----------------------------------------------------------------------------------------


def add(name: str, kind: str = "vtkMRMLScalarVolumeNode", hidden: bool = False):
    node = slicer.mrmlScene.CreateNodeByClass(kind)
    node.UnRegister(None)
    node.SetName(name)
    node.SetHideFromEditors(hidden)
    return slicer.mrmlScene.AddNode(node)


def make(scene=None, **properties):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = properties.pop("nodeTypes", ["vtkMRMLScalarVolumeNode"])
    for name, value in properties.items():
        setattr(selector, name, value)
    if scene is not None:
        selector.setMRMLScene(scene)
    return selector


def listed(selector) -> list[str]:
    return [selector.nodeFromIndex(index).GetName() for index in range(selector.nodeCount())]


def test_selector_has_the_defaults_of_its_class() -> None:
    selector = slicer.qMRMLNodeComboBox()
    for name in ("addEnabled", "removeEnabled", "showChildNodeTypes", "selectNodeUponCreation"):
        assert getattr(selector, name) is True
    for name in ("noneEnabled", "renameEnabled", "editEnabled", "showHidden", "enabled"):
        assert getattr(selector, name) is False
    assert selector.noneDisplay == "None"
    assert selector.currentNodeID == ""
    assert selector.currentNode() is None


def test_selector_is_disabled_until_it_has_a_scene(scene) -> None:
    selector = make()
    assert not selector.enabled
    selector.setMRMLScene(scene)
    assert selector.enabled
    selector.setMRMLScene(None)
    assert not selector.enabled
    assert selector.nodeCount() == 0


def test_selector_lists_its_types_and_no_hidden_nodes(scene) -> None:
    selector = make(scene, noneEnabled=True)
    add("volume")
    add("labels", "vtkMRMLLabelMapVolumeNode")
    add("hidden", hidden=True)
    add("model", "vtkMRMLModelNode")
    assert listed(selector) == ["volume", "labels"]
    selector.showChildNodeTypes = False
    assert listed(selector) == ["volume"]
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode", "vtkMRMLModelNode"]
    assert listed(selector) == ["volume", "model"]
    selector.showChildNodeTypes = True
    selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert listed(selector) == ["volume", "model"]


def test_selector_follows_names_and_hiding(scene) -> None:
    selector = make(scene, noneEnabled=True)
    node = add("one")
    node.SetName("two")
    assert listed(selector) == ["two"]
    node.SetHideFromEditors(True)
    assert listed(selector) == []
    node.SetHideFromEditors(False)
    assert listed(selector) == ["two"]


def test_selector_tells_of_a_change_and_only_then(scene, heard) -> None:
    selector = make(scene, noneEnabled=True)
    first, second = add("a"), add("b")
    nodes = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    valid = heard(selector, "currentNodeChanged(bool)")
    names = heard(selector, "currentNodeIDChanged(QString)")
    for node in (first, first, second, None, None):
        selector.setCurrentNode(node)
    selector.setCurrentNodeID(first.GetID())
    selector.setCurrentNodeID("vtkMRMLNowhere1")
    assert nodes == [first, second, None, first, None]
    assert valid == [True, True, False, True, False]
    assert names == [first.GetID(), second.GetID(), "", first.GetID(), ""]
    add("c")
    assert len(nodes) == 5


def test_renaming_the_current_node_is_told_again(scene, heard) -> None:
    selector = make(scene, noneEnabled=True)
    node = add("a")
    selector.setCurrentNode(node)
    nodes = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    node.SetName("b")
    assert nodes == [node]


@pytest.mark.parametrize(("gone", "then"), [(0, 1), (1, 2), (2, 1)])
def test_when_the_current_node_goes_the_next_is_current(scene, gone: int, then: int) -> None:
    selector = make(scene, noneEnabled=True)
    nodes = [add(name) for name in "abc"]
    selector.setCurrentNode(nodes[gone])
    scene.RemoveNode(nodes[gone])
    assert selector.currentNode() == nodes[then]


def test_when_the_last_node_goes_none_is_current(scene, heard) -> None:
    selector = make(scene, noneEnabled=True)
    node = add("a")
    selector.setCurrentNode(node)
    nodes = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    scene.RemoveNode(node)
    assert nodes == [None]
    assert selector.currentNode() is None


def test_without_none_the_first_node_is_chosen(scene) -> None:
    first = add("a")
    add("b")
    assert make(scene).currentNode() == first
    assert make(scene, noneEnabled=True).currentNode() is None


def test_without_none_and_actions_the_first_added_node_is_chosen(scene) -> None:
    plain = make(scene, addEnabled=False, removeEnabled=False)
    acting = make(scene)
    node = add("a")
    assert plain.currentNode() == node
    assert acting.currentNode() is None


def test_a_choice_made_before_the_scene_is_kept(scene) -> None:
    add("a")
    node = add("b")
    selector = make(noneEnabled=True)
    selector.setCurrentNodeID(node.GetID())
    selector.setMRMLScene(scene)
    assert selector.currentNode() == node


def test_selector_makes_and_deletes_nodes(scene, heard) -> None:
    selector = make(scene, noneEnabled=True, baseName="Result")
    by_user = heard(selector, "nodeAddedByUser(vtkMRMLNode*)")
    first, second = selector.addNode(), selector.addNode("vtkMRMLScalarVolumeNode")
    assert (first.GetName(), second.GetName()) == ("Result", "Result_1")
    assert by_user == [first, second]
    assert selector.currentNode() == second
    assert selector.addNode("vtkMRMLModelNode") is None
    selector.removeCurrentNode()
    assert listed(selector) == ["Result"]


def test_selector_filters_by_attribute(scene) -> None:
    selector = make(scene, noneEnabled=True)
    selector.addAttribute("vtkMRMLScalarVolumeNode", "Kind", "wanted")
    add("a")
    add("b").SetAttribute("Kind", "other")
    assert listed(selector) == []
    assert selector.addNode().GetAttribute("Kind") == "wanted"
    assert selector.nodeCount() == 1


def test_a_deleted_selector_leaves_no_observer(scene) -> None:
    window = qt.QWidget()
    layout = qt.QVBoxLayout(window)
    selector = make(scene)
    layout.addWidget(selector)
    del selector
    window.deleteLater()
    qt.QCoreApplication.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    add("a")  # would reach a widget that is not there


# Segments --------------------------------------------------------------------------------------------------


@pytest.fixture
def segmentation(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "s")
    node.CreateDefaultDisplayNodes()
    for key, color in (("a", (1.0, 0.0, 0.0)), ("b", (0.0, 1.0, 0.0))):
        node.GetSegmentation().AddEmptySegment(key, key.upper(), color)
    return node


@pytest.fixture
def table(scene, segmentation):
    view = slicer.qMRMLSegmentsTableView()
    view.setMRMLScene(scene)
    view.setSegmentationNode(segmentation)
    return view


def cell(view, row: int, column: int):
    return view.tableWidget().model().index(row, column)


def test_segments_are_shown_with_name_color_and_visibility(table, segmentation) -> None:
    assert table.displayedSegmentIDs() == ["a", "b"]
    assert [cell(table, row, 3).data() for row in (0, 1)] == ["A", "B"]
    assert cell(table, 1, 1).data(qt.Qt.BackgroundRole).color().name() == "#00ff00"
    assert [cell(table, row, 0).data() for row in (0, 1)] == ["◉", "◉"]
    segmentation.GetDisplayNode().SetSegmentVisibility("b", False)
    assert [cell(table, row, 0).data() for row in (0, 1)] == ["◉", "○"]


def test_segments_that_come_change_and_go_are_followed(table, segmentation) -> None:
    inner = segmentation.GetSegmentation()
    inner.AddEmptySegment("c", "C")
    inner.GetSegment("a").SetName("first")
    inner.RemoveSegment("b")
    assert [cell(table, row, 3).data() for row in range(table.segmentCount)] == ["first", "C"]
    changed = segmentation.StartModify()
    inner.AddEmptySegment("d", "D")
    inner.GetSegment("c").SetName("last")
    segmentation.EndModify(changed)
    assert [cell(table, row, 3).data() for row in range(table.segmentCount)] == ["first", "last", "D"]


def test_cells_write_to_the_segment(table, segmentation) -> None:
    model = table.tableWidget().model()
    model.setData(cell(table, 0, 3), "renamed")
    model.setData(cell(table, 0, 2), "0.25")
    table.tableWidget().clicked.emit(cell(table, 0, 0))
    assert segmentation.GetSegmentation().GetSegment("a").GetName() == "renamed"
    assert segmentation.GetDisplayNode().GetSegmentOpacity3D("a") == 0.25
    assert not segmentation.GetDisplayNode().GetSegmentVisibility("a")


def test_selection_is_by_segment(table, heard) -> None:
    changes = heard(table, "selectionChanged(QItemSelection,QItemSelection)")
    table.setSelectedSegmentIDs(["b"])
    assert table.selectedSegmentIDs() == ["b"]
    assert changes
    table.setHideSegments(["a"])
    assert table.displayedSegmentIDs() == ["b"]
    assert table.selectedSegmentIDs() == ["b"]


def test_columns_header_and_mode_are_properties(table) -> None:
    table.opacityColumnVisible = table.headerVisible = False
    assert table.tableWidget().isColumnHidden(2)
    assert table.tableWidget().horizontalHeader().isHidden()
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    assert table.tableWidget().selectionMode == qt.QAbstractItemView.SingleSelection
    table.readOnly = True
    assert not cell(table, 0, 3).flags() & qt.Qt.ItemIsEditable


def test_a_hundred_segments_are_quick(scene, segmentation, table) -> None:
    import time

    start = time.perf_counter()
    for number in range(100):
        segmentation.GetSegmentation().AddEmptySegment(f"s{number}", f"s{number}")
    assert table.segmentCount == 102
    assert time.perf_counter() - start < 5.0


def test_show_3d_makes_and_removes_the_surface(scene, segmentation, volume_from) -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:6, 2:6, 2:6] = 1
    volume = volume_from(labels)
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels, segmentation, "a", volume)
    button = slicer.qMRMLSegmentationShow3DButton()
    assert not button.enabled
    button.setSegmentationNode(segmentation)
    assert button.enabled
    button.click()
    assert segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    button.click()
    assert not segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    segmentation.CreateClosedSurfaceRepresentation()
    assert button.checked
    button.locked = True
    assert not button.enabled
