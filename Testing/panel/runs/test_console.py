"""The logic as a script uses it: with a window, and without one."""

import pytest
import qt
import slicer

from UMambaSegmentationLib.client.job import JobError
from UMambaSegmentationLib.scene.edits import EditedSegments
from UMambaSegmentationLib.scene.errors import SceneError

from .conftest import IMAGE, LEFT_LPS, MODEL
from .steps import PATIENCE_S, draw, names_in

AROUND = ",".join(f"{part:g}" for part in LEFT_LPS)


@pytest.fixture(params=["no window", "window"])
def window(request, app):
    """Slicer with --no-main-window, and with a main window, in which waiting must keep the window alive."""
    if request.param == "no window":
        assert slicer.util.mainWindow() is None
        yield None
        return
    main = qt.QWidget()
    main.setObjectName("qSlicerMainWindow")
    main.show()
    assert slicer.util.mainWindow() is not None
    yield main
    main.close()
    main.deleteLater()


def test_process_waits_and_gives_the_command_lines_labels(
    window, logic, head, point, command_line, labels_in
):
    beats = []
    clock = qt.QTimer()
    clock.setInterval(20)
    clock.connect("timeout()", lambda: beats.append(None))
    clock.start()
    segmentation = logic.process(head, MODEL, region=point)
    clock.stop()
    expected, volumes = command_line(IMAGE, "--model", MODEL, "--around", AROUND)
    assert (labels_in(segmentation, head) == expected).all()
    table = logic.volumesTable(segmentation)
    assert [int(table.GetCellText(row, 1)) for row in range(2)] == [volume["voxels"] for volume in volumes]
    if window is not None:
        assert beats, "the window stood still while it waited"


def test_models_are_cards(logic):
    card = next(card for card in logic.models() if card.id == MODEL)
    assert [label.key for label in card.labels] == ["anterior", "posterior"]


def test_a_model_by_its_folder_and_by_its_card(logic, head, point):
    card = logic.models()[0]
    plan = logic.plan(head, str(card.folder), region=point, device="cpu")
    assert plan["device"] == "cpu"
    assert plan["tiles"] == logic.plan(head, card, region=point)["tiles"]


def test_start_tells_and_can_be_waited_for(logic, head, point, nodes):
    events, ended = [], []
    run = logic.start(head, MODEL, region=point, callback=events.append, on_end=ended.append)
    assert run.state == "running"
    assert run.wait(PATIENCE_S)
    assert run.state == "done"
    assert ended == [run]
    assert names_in(run.node) == ["Anterior hippocampus", "Posterior hippocampus"]
    assert [event["event"] for event in events][:1] != []
    assert {"plan", "progress"} <= {event["event"] for event in events}


def test_wait_ends_in_time_and_cancel_at_once(logic, head, nodes, run_folders):
    before = nodes()
    run = logic.start(head, MODEL, step=0.1)
    assert not run.wait(0.3)
    run.cancel()
    assert run.state == "cancelled"
    assert run.wait(1)
    with pytest.raises(SceneError, match="cancelled"):
        run.check()
    run.cancel()
    assert nodes() == before
    assert run_folders() == []


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"model": "no-such-model"}, "no model 'no-such-model'"),
        ({"labels": ["liver"]}, "no structure liver"),
        ({"labels": []}, "at least one"),
        ({"same_name": "overwrite"}, "same_name"),
        ({"inputs": None}, "Choose a volume"),
        ({"inputs": []}, "Choose a volume"),
        ({"all_frames": True}, "no sequence"),
    ],
)
def test_what_is_wrong_is_told_before_the_run(logic, head, nodes, choices, error):
    before = nodes()
    with pytest.raises(SceneError, match=error):
        logic.process(**{"inputs": head, "model": MODEL, **choices})
    assert nodes() == before


def test_an_unknown_option_is_a_type_error(logic, head):
    with pytest.raises(TypeError, match="stepp"):
        logic.process(head, MODEL, stepp=0.5)


def test_what_the_engine_refuses_is_a_job_error(logic, head, nodes, run_folders):
    before = nodes()
    with pytest.raises(JobError) as raised:
        logic.process(head, MODEL, max_memory=0.1)
    assert raised.value.kind == "input"
    assert nodes() == before
    assert run_folders() == []


def test_edited_segments_are_never_replaced_unasked(logic, head, point):
    segmentation = logic.process(head, MODEL, region=point)
    draw(segmentation, head)
    with pytest.raises(EditedSegments) as raised:
        logic.process(head, MODEL, segmentation, region=point)
    assert raised.value.names == ["Anterior hippocampus"]
    logic.process(head, MODEL, segmentation, region=point, same_name="beside")
    assert len(names_in(segmentation)) == 4
    logic.process(head, MODEL, segmentation, region=point, overwrite_edited=True)
    assert len(names_in(segmentation)) == 4


def test_segments_edited_during_a_run_stay_and_the_new_ones_come_beside(logic, head, point):
    segmentation = logic.process(head, MODEL, region=point)
    run = logic.start(head, MODEL, segmentation, region=point)
    draw(segmentation, head)
    assert run.wait(PATIENCE_S)
    assert run.check() == segmentation
    assert len(names_in(segmentation)) == 4


def test_show_in_3d(logic, head, point):
    segmentation = logic.process(head, MODEL, region=point)
    logic.showIn3D(segmentation)
    assert segmentation.GetSegmentation().ContainsRepresentation("Closed surface")


def test_a_report(logic, head, point, tmp_path):
    segmentation = logic.process(head, MODEL, region=point)
    told = []
    report = logic.startReport(segmentation, tmp_path / "r.html", told.append)
    assert report.job.wait(PATIENCE_S)
    assert told == ["The report was written."]
    assert (tmp_path / "r.html").is_file()


def test_a_scene_closed_while_a_script_waits(logic, head, spin):
    run = logic.start(head, MODEL, step=0.1)
    slicer.mrmlScene.Clear(0)
    assert run.state == "cancelled"


def test_one_structure_may_be_named_alone(logic, head, point):
    segmentation = logic.process(head, MODEL, region=point, labels="anterior")
    assert names_in(segmentation) == ["Anterior hippocampus"]
