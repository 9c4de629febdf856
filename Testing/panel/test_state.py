"""The case's choices: kept in the scene, told once, and robust to what another version or hand wrote."""

import json
from dataclasses import fields

import numpy as np
import pytest
import slicer
import vtk

from UMambaSegmentationLib.state import PanelState, StateNode

ALL = {
    "model": "hippocampus-mr",
    "keep": {"hippocampus-mr": (1,), "liver-ct": ()},
    "same_name": "beside",
    "all_frames": True,
    "device": "cuda:1",
    "folds": ("0", "3"),
    "mirror": False,
    "step": 0.25,
    "threads": 2,
    "max_memory": 3.5,
    "uncertainty": True,
}


@pytest.fixture
def node(scene):
    found = slicer.vtkMRMLScriptedModuleNode()
    found.SetModuleName("UMambaSegmentation")
    return scene.AddNode(found)


@pytest.fixture
def kept(node):
    made = []

    def make(of=node):
        made.append(StateNode(of))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def case(scene, volume_from):
    """Two channels, a region and an output, as the IDs that a state holds."""
    volumes = [volume_from(np.zeros((2, 3, 4)), name=name) for name in ("T1", "T2")]
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    output = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    return {
        "inputs": tuple(volume.GetID() for volume in volumes),
        "region": region.GetID(),
        "output": output.GetID(),
    }


def _events(node):
    found = []
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_args: found.append(1))
    return found


def test_a_new_node_holds_the_defaults(kept):
    assert kept().state == PanelState()


def test_everything_written_is_read_back_by_another(kept, case):
    kept().write(**ALL, **case)
    assert kept().state == PanelState(**ALL, **case)
    assert {one.name for one in fields(PanelState)} == {*ALL, *case}, "a field is missing in this test"


def test_back_to_the_default_leaves_nothing_behind(kept, node, case):
    state = kept()
    state.write(**ALL, **case)
    state.write(**{one.name: getattr(PanelState(), one.name) for one in fields(PanelState)})
    assert state.state == PanelState()
    assert set(node.GetParameterNames()) <= {"channels"}


def test_one_write_is_one_event_and_the_same_again_is_none(kept, node, case):
    state, events = kept(), _events(node)
    state.write(**ALL, **case)
    assert len(events) == 1
    state.write(**ALL, **case)
    state.write(step=0.25)
    assert len(events) == 1


def test_an_unknown_field_is_a_mistake(kept):
    with pytest.raises(TypeError, match="modell"):
        kept().write(modell="x")


def test_channels_keep_their_places(kept, case):
    state = kept()
    first, second = case["inputs"]
    state.write(inputs=(None, second, first))
    assert state.state.inputs == (None, second, first)
    state.write(inputs=(None, second, None))
    assert state.state.inputs == (None, second, None)
    state.write(inputs=(first,))
    assert kept().state.inputs == (first,)


def test_a_node_that_is_removed_is_no_longer_chosen(kept, scene, case):
    state, told = kept(), []
    state.write(**case)
    state.listen(lambda now, changed: told.append((now.inputs, changed)))
    scene.RemoveNode(scene.GetNodeByID(case["inputs"][0]))
    assert state.state.inputs == (None, case["inputs"][1])
    assert told == [((None, case["inputs"][1]), frozenset({"inputs"}))]
    scene.RemoveNode(scene.GetNodeByID(case["region"]))
    scene.RemoveNode(scene.GetNodeByID(case["output"]))
    assert (state.state.region, state.state.output) == (None, None)


# --- listeners -----------------------------------------------------------


def test_two_panels_on_one_node_never_disagree(kept):
    mine, theirs = kept(), kept()
    seen = {"mine": [], "theirs": []}
    mine.listen(lambda state, changed: seen["mine"].append((state.step, changed)))
    theirs.listen(lambda state, changed: seen["theirs"].append((state.step, changed)))
    mine.write(step=0.3)
    theirs.write(step=0.7)
    told = [(0.3, frozenset({"step"})), (0.7, frozenset({"step"}))]
    assert seen == {"mine": told, "theirs": told}


def test_a_listener_that_echoes_ends_and_one_that_follows_is_told_of(kept):
    """A widget writes back what it was shown; another choice follows from the first."""
    state, told = kept(), []

    def echo(now, changed):
        told.append(changed)
        state.write(model=now.model, step=now.step)
        if now.model == "liver-ct":
            state.write(threads=4)

    state.listen(echo)
    state.write(model="liver-ct")
    assert told == [frozenset({"model"}), frozenset({"threads"})]
    assert state.state.threads == 4


def test_listeners_that_fight_are_stopped(kept):
    from UMambaSegmentationLib import logs

    state = kept()
    state.listen(lambda now, _changed: state.write(threads=(now.threads or 1) + 1))
    state.write(model="x")
    assert state.state.threads < 50
    assert "did not settle" in logs.log_file().read_text("utf-8")


def test_after_close_nothing_is_told_and_nothing_observed(kept, node):
    state, told = StateNode(node), []
    state.listen(lambda *_args: told.append(1))
    state.close()
    node.SetParameter("step", "0.3")
    assert not told
    assert not node.HasObserver(vtk.vtkCommand.ModifiedEvent)


# --- damage --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model", "3"),
        ("model", "{"),
        ("keep", "[1]"),
        ("keep", '{"a": 1}'),
        ("keep", '{"a": [0]}'),
        ("keep", '{"a": ["b"]}'),
        ("same_name", '"merge"'),
        ("same_name", "[]"),
        ("all_frames", "1"),
        ("device", "[]"),
        ("folds", '"0"'),
        ("folds", "[0]"),
        ("mirror", '"true"'),
        ("step", "0"),
        ("step", "1.5"),
        ("step", "NaN"),
        ("step", "1e999"),
        ("step", '"0.5"'),
        ("threads", "0"),
        ("threads", "true"),
        ("threads", "2.5"),
        ("max_memory", "-1"),
        ("uncertainty", "null"),
        ("uncertainty", "[" * 100_000),
        ("max_memory", "1" * 5000),
        ("channels", "many"),
        ("channels", "-1"),
    ],
)
def test_a_damaged_value_is_the_default_and_spoils_no_other(kept, node, name, text):
    kept().write(model="hippocampus-mr", step=0.25)
    node.SetParameter(name, text)
    expected = {
        "model": "hippocampus-mr",
        "step": 0.25,
        **({name: getattr(PanelState, name)} if name in ("model", "step") else {}),
    }
    assert kept().state == PanelState(**expected)


def test_parameters_of_a_newer_version_are_left_alone(kept, node):
    node.SetParameter("colour_of_the_future", '"blue"')
    state = kept()
    state.write(step=0.3)
    assert state.state == PanelState(step=0.3)
    assert node.GetParameter("colour_of_the_future") == '"blue"'


def test_an_absurd_number_of_channels_is_not_believed(kept, node):
    node.SetParameter("channels", "999999999")
    assert len(kept().state.inputs) <= 1000


# --- saved scenes ---------------------------------------------------------


def _without_tree(scene):
    """The subject hierarchy is no part of these tests: leave it out of what is saved."""
    scene.RemoveNode(scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode"))


def test_a_saved_bundle_brings_the_choices_back(kept, scene, case, tmp_path):
    kept().write(**ALL, **case)
    for volume in case["inputs"]:
        scene.GetNodeByID(volume).AddDefaultStorageNode()
    _without_tree(scene)
    bundle = str(tmp_path / "Fall ü.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    _without_tree(scene)
    assert scene.ReadFromMRB(bundle)
    state = kept(scene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode")).state
    assert {name: getattr(state, name) for name in ALL} == ALL
    assert [scene.GetNodeByID(volume).GetName() for volume in state.inputs] == ["T1", "T2"]
    assert scene.GetNodeByID(state.region).GetName() == "R"
    assert scene.GetNodeByID(state.output).GetName() == "S"


def test_a_scene_added_to_another_still_refers_to_its_own_nodes(kept, scene, case, volume_from):
    """Node IDs that are taken get new names while a scene is imported."""
    kept().write(**case)
    _without_tree(scene)
    scene.SetSaveToXMLString(1)
    scene.Commit()
    text = scene.GetSceneXMLString()
    scene.SetSaveToXMLString(0)
    scene.Clear(0)
    for number in range(2):
        volume_from(np.zeros((1, 1, 1)), name=f"other {number}")
    _without_tree(scene)
    scene.SetLoadFromXMLString(1)
    scene.SetSceneXMLString(text)
    assert scene.Import()
    scene.SetLoadFromXMLString(0)
    state = kept(scene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode")).state
    assert [scene.GetNodeByID(volume).GetName() for volume in state.inputs] == ["T1", "T2"]


def test_nothing_but_choices_is_kept(kept, node, case):
    """No path, no node name: only JSON values and references."""
    kept().write(**ALL, **case)
    values = {name: json.loads(node.GetParameter(name)) for name in node.GetParameterNames()}
    assert set(values) == {*ALL, "channels"}
