"""The bench's Slicer: application, settings, modules, subject hierarchy, scripted modules, scene files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
import vtk

from bench import scripted


def test_application_has_what_modules_ask_of_it(app) -> None:
    assert (app.majorVersion, app.minorVersion) == (5, 10)
    assert app.applicationName == "Slicer"
    assert app.testingEnabled()
    assert app.layoutManager() is None
    assert slicer.util.mainWindow() is None
    assert app.mrmlScene() is slicer.mrmlScene
    for folder in (app.temporaryPath, app.slicerHome):
        assert Path(folder).is_dir()
    assert slicer.util.tempDirectory().startswith(app.temporaryPath)
    assert slicer.util.startupEnvironment()["PATH"] == os.environ["PATH"]


def test_ends_of_the_application_are_told(app) -> None:
    told = []
    app.connect("startupCompleted()", lambda: told.append("started"))
    app.connect("aboutToQuit()", lambda: told.append("quit"))
    app.startupCompleted.emit()
    qt.QTimer.singleShot(0, app.quit)
    app.exec()
    app.disconnect("startupCompleted()")
    app.disconnect("aboutToQuit()")
    assert told == ["started", "quit"]


def test_settings_are_text_in_a_temporary_file(app) -> None:
    qt.QSettings().setValue("UMambaSegmentation/Keep", False)
    app.settings().sync()
    assert slicer.util.settingsValue("UMambaSegmentation/Keep", True, converter=slicer.util.toBool) is False
    stored = Path(app.settings().fileName())
    assert "Keep=false" in stored.read_text(encoding="utf-8")
    assert not stored.is_relative_to(Path.home() / ".config")


def test_settings_of_one_test_do_not_reach_the_next() -> None:
    assert not qt.QSettings().contains("UMambaSegmentation/Keep")


def test_messages_are_logged_and_return(caplog) -> None:
    slicer.util.errorDisplay("Out of memory.", detailedText="much")
    assert "Out of memory." in caplog.text


def test_terminologies_are_slicers_own() -> None:
    logic = slicer.modules.terminologies.logic()
    for name in ("3D Slicer General Anatomy list", "DICOM master list"):
        context = f"Segmentation category and type - {name}"
        assert logic.IsTerminologyContextLoaded(context)
        assert logic.GetNumberOfCategoriesInTerminology(context) > 3


@pytest.mark.parametrize(
    "name", ["colors", "terminologies", "segmentations", "volumes", "markups", "sequences", "tables"]
)
def test_a_module_has_a_logic_on_the_scene(name: str) -> None:
    logic = getattr(slicer.modules, name).logic()
    assert logic.GetMRMLScene() is slicer.mrmlScene


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(AttributeError):
        _ = slicer.modules.nowhere


def test_segment_editor_keeps_a_volume_that_comes_after_the_segmentation(
    scene, recorded, volume_from
) -> None:
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    first, second = (volume_from(np.zeros((2, 2, 2), np.uint8), name=name) for name in "ab")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(first)
    recorded.editor.setSegmentationNode(segmentation)
    assert recorded.editor.sourceVolumeNode() is first
    recorded.editor.setSourceVolumeNode(second)
    assert recorded.editor.segmentationNode() is segmentation
    assert recorded.editor.sourceVolumeNode() is second


def test_the_editor_of_one_test_does_not_reach_the_next(recorded) -> None:
    assert recorded.editor.segmentationNode() is None


def test_other_modules_are_recorded(recorded) -> None:
    import SampleData

    slicer.util.selectModule("SegmentEditor")
    slicer.util.selectModule(slicer.modules.segmenteditor)
    assert recorded.selected == ["SegmentEditor", "SegmentEditor"]
    SampleData.SampleDataLogic.registerCustomSampleDataSource(category="C", sampleName="S", uris="file:///x")
    assert recorded.samples["C"][0]["sampleName"] == "S"
    with pytest.raises(TypeError, match="colour"):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(sampleName="S", colour="red")


def test_nodes_come_into_the_subject_hierarchy_and_go(scene) -> None:
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "shown")
    hidden = scene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    scene.AddNode(hidden)
    item = tree.GetItemByDataNode(node)
    assert tree.GetItemParent(item) == tree.GetSceneItemID()
    assert tree.GetItemName(item) == "shown"
    assert not tree.GetItemByDataNode(hidden)
    study = tree.CreateStudyItem(tree.GetSceneItemID(), "study")
    tree.SetItemParent(item, study)
    scene.RemoveNode(node)
    assert tree.GetNumberOfItemChildren(study) == 0


def test_a_scene_bundle_comes_back(scene, volume_from, tmp_path) -> None:
    matrix = np.array(
        [[0.0, 2.0, 0.0, 5.0], [-1.0, 0.0, 0.0, 6.0], [0.0, 0.0, 3.0, 7.0], [0.0, 0.0, 0.0, 1.0]]
    )
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume_from(array, matrix, name="kept").SetAttribute("UMamba.Test", "yes")
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path, None)
    scene.Clear(0)
    assert scene.ReadFromMRB(path)
    node = slicer.util.getNode("kept")
    assert np.array_equal(slicer.util.arrayFromVolume(node), array)
    found = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(found)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(found), matrix)
    assert node.GetAttribute("UMamba.Test") == "yes"
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert tree.GetItemByDataNode(node)


def test_a_picture_lies_where_it_was_asked_for(shot) -> None:
    path = shot("label", qt.QLabel("x"))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_letters_are_drawn(shot) -> None:
    def ink(text: str) -> int:
        image = qt.QImage(str(shot("label", qt.QLabel(text))))
        return len({image.pixel(x, y) for x in range(image.width()) for y in range(image.height())})

    assert ink("mmmm") > ink("    ")


# A scripted module ------------------------------------------------------------------------------------------

MODULE = """
import slicer
from slicer.ScriptedLoadableModule import *
from slicer.i18n import tr as _

class Sketch(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Sketch")
        self.parent.categories = ["Segmentation"]

class SketchWidget(ScriptedLoadableModuleWidget):
    version = 1
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.calls = ["setup"]
    def enter(self): self.calls.append("enter")
    def exit(self): self.calls.append("exit")
    def cleanup(self): self.calls.append("cleanup")

class SketchLogic(ScriptedLoadableModuleLogic):
    pass

class SketchTest(ScriptedLoadableModuleTest):
    def runTest(self): SketchTest.ran = True
"""


@pytest.fixture
def sketch(tmp_path: Path, scene):
    path = tmp_path / "Sketch.py"
    path.write_text(MODULE, encoding="utf-8")
    yield scripted.add_module(path)
    scripted.remove_module("Sketch")
    del sys.modules["Sketch"]


def test_a_module_is_announced_with_its_words(sketch) -> None:
    assert slicer.modules.sketch is sketch
    assert (sketch.title, sketch.categories) == ("Sketch", ["Segmentation"])
    assert slicer.util.modulePath("Sketch") == sketch.path
    with pytest.raises(AttributeError):
        sketch.helptext = "misspelt"


def test_a_panel_is_made_once_and_told_what_happens(sketch) -> None:
    window = sketch.widgetRepresentation()
    panel = window.self()
    assert sketch.widgetRepresentation() is window
    assert slicer.util.getModuleWidget("Sketch") is panel
    assert slicer.modules.SketchWidget is panel
    window.enter()
    assert window.isEntered
    window.exit()
    assert panel.resourcePath("UI/Sketch.ui") == str(
        Path(sketch.path).parent / "Resources" / "UI" / "Sketch.ui"
    )
    scripted.remove_module("Sketch")
    assert panel.calls == ["setup", "enter", "exit", "cleanup"]


def test_reload_takes_the_file_anew(sketch) -> None:
    window = sketch.widgetRepresentation()
    first = window.self()
    changed = MODULE.replace("version = 1", "version = 'two'")  # another size: no stale byte code
    Path(sketch.path).write_text(changed, encoding="utf-8")
    first.onReload()
    second = slicer.modules.SketchWidget
    assert (first.version, second.version) == (1, "two")
    assert window.self() is second
    assert first.calls[-1] == "cleanup"
    scripted.remove_module("Sketch")
    assert first.calls.count("cleanup") == 1
    assert second.calls[-1] == "cleanup"


def test_a_module_has_one_parameter_node(sketch, scene) -> None:
    logic = sys.modules["Sketch"].SketchLogic()
    node = logic.getParameterNode()
    assert logic.getParameterNode() is node
    assert (node.GetAttribute("ModuleName"), node.GetSingletonTag()) == ("Sketch", "Sketch")
    assert logic.getAllParameterNodes() == [node]
    logic.isSingletonParameterNode = False
    assert logic.getParameterNode() is node
    scene.Clear(0)
    assert logic.getParameterNode().GetScene() is scene


def test_a_modules_own_test_runs(sketch) -> None:
    slicer.selfTests["Sketch"]()
    assert sys.modules["Sketch"].SketchTest.ran
