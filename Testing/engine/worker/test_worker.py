"""The worker as the panel meets it: a process at the other end of two pipes."""

import signal
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from umamba.version import __version__
from umamba.worker.jobs import Jobs

TRAINER = "nnUNetTrainer__nnUNetPlans__3d_fullres"
# Voxels in which a float32 engine may differ from the published run (the oracle's manifest).
AGREEMENT = 0.9995


@pytest.fixture(scope="module")
def case(oracle):
    """Model, image and labels of one published run: fold 0, no mirroring."""
    folder = oracle / "e2e_804"
    expected = sitk.GetArrayFromImage(sitk.ReadImage(folder / "output" / "case_a_fold0.nii.gz"))
    return {
        "ask": {"model": str(folder / TRAINER), "folds": ["0"], "mirror": False, "device": "cpu"},
        "image": folder / "input" / "case_a_0000.nii.gz",
        "expected": expected,
    }


def test_hello(worker):
    worker.say(id="a", do="hello")
    event = worker.event()
    assert event.pop("python").startswith(f"{sys.version_info.major}.")
    assert event == {"id": "a", "event": "ready", "version": __version__, "protocol": 1}
    assert worker.end() == 0
    assert worker.event() is None
    assert worker.process.stderr.read() == b""


def test_a_broken_line_is_answered_and_the_worker_goes_on(worker):
    worker.write(b'{"id": 1, "do"\n')
    assert worker.event() | {"message": ""} == {"id": None, "event": "error", "kind": "input", "message": ""}
    worker.say(id=2, do="sing")
    assert worker.event()["id"] == 2
    worker.write(b"\n")  # an empty line says nothing
    worker.say(id=3, do="hello")
    assert worker.event()["event"] == "ready"


def test_models(worker):
    worker.say(id=1, do="models")
    event = worker.event()
    assert event["event"] == "result"
    assert all({"id", "name", "labels"} <= set(card) for card in event["models"])


def test_wrong_requests_are_errors_of_the_input(worker, case, tmp_path):
    worker.say(id=1, do="segment", images=[str(tmp_path / "no.nii.gz")], **case["ask"])
    worker.say(id=2, do="plan", images=[str(case["image"])], model="no-such-model")
    events = {
        event["id"]: event for event in (worker.events_until("error")[-1], worker.events_until("error")[-1])
    }
    assert (events[1]["kind"], events[2]["kind"]) == ("input", "model")
    assert "no-such-model" in events[2]["message"]


def test_plan(worker, case):
    worker.say(id=1, do="plan", images=[str(case["image"])], **case["ask"])
    event = worker.event()
    assert (event["id"], event["event"], event["device"]) == (1, "plan", "cpu")
    assert event["seconds"] > 0
    assert event["peak_ram_bytes"] > 0
    assert "CPU" in event["line"]


def test_the_networks_stay_for_the_next_run(case):
    with Jobs() as jobs:
        first = jobs.model(case["ask"]["model"])
        assert jobs.model(case["ask"]["model"]) is first


def test_segment_a_file_and_the_same_as_an_array(worker, case, tmp_path):
    image = sitk.ReadImage(case["image"])
    np.save(tmp_path / "image.npy", sitk.GetArrayFromImage(image))
    array = {
        "npy": str(tmp_path / "image.npy"),
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
    }
    worker.say(id=1, do="segment", images=[str(case["image"])], **case["ask"])
    worker.say(id=2, do="segment", images=[array], folder=str(tmp_path), **case["ask"])
    first, second = worker.events_until("result", "error"), worker.events_until("result", "error")
    for number, events in enumerate((first, second), start=1):
        assert {event["id"] for event in events} == {number}
        assert events[-1]["event"] == "result", events[-1]
        kinds = [event["event"] for event in events]
        assert kinds.count("plan") == 1
        assert "progress" in kinds
        last = [event for event in events if event["event"] == "progress" and event["stage"] == "predict"][-1]
        assert last["done"] == last["total"] > 0
    from_file = np.load(first[-1]["arrays"]["labels"], mmap_mode="r")
    from_array = np.load(second[-1]["arrays"]["labels"], mmap_mode="r")
    assert np.mean(from_file == case["expected"]) >= AGREEMENT
    assert np.array_equal(from_file, from_array)
    assert second[-1]["arrays"]["labels"] == str(tmp_path / "labels.npy")
    assert sum(volume["voxels"] for volume in first[-1]["volumes"]) == np.count_nonzero(from_file)
    assert worker.end() == 0
    assert (tmp_path / "labels.npy").exists()  # the caller's folder


def test_segment_into_a_file(worker, case, tmp_path):
    ask = {"images": [str(case["image"])], "output": str(tmp_path / "seg.nii.gz"), **case["ask"]}
    worker.say(id=1, do="segment", **ask)
    result = worker.events_until("result", "error")[-1]
    assert result["files"] == {"output": ask["output"], "record": str(tmp_path / "seg.json")}
    assert "arrays" not in result
    written = sitk.GetArrayFromImage(sitk.ReadImage(ask["output"]))
    assert (written == case["expected"]).mean() >= AGREEMENT
    worker.say(id=2, do="segment", **ask)
    refused = worker.events_until("result", "error")[-1]
    assert refused["kind"] == "input"
    assert "seg.nii.gz exists already" in refused["message"]
    worker.say(id=3, do="segment", **{**ask, "output": str(tmp_path / "no" / "seg.nrrd")})
    assert "does not exist" in worker.events_until("result", "error")[-1]["message"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seg.json", "seg.nii.gz"]


def test_cancel_ends_the_run_and_the_worker_goes_on(worker, case):
    worker.say(id=1, do="segment", images=[str(case["image"])], **case["ask"] | {"step": 0.1})
    worker.say(id=2, do="segment", images=[str(case["image"])], **case["ask"])
    worker.say(id=3, do="models")
    worker.say(id=2, do="cancel")  # it still waits
    while worker.event()["event"] != "progress":
        pass
    worker.say(id=1, do="cancel")
    ends = [worker.events_until("error", "result")[-1] for _ in range(3)]
    assert [(end["id"], end["event"], end.get("kind")) for end in ends] == [
        (1, "error", "cancelled"),
        (2, "error", "cancelled"),
        (3, "result", None),
    ]
    worker.say(id=1, do="cancel")  # too late: said, and no harm
    assert worker.event()["event"] == "log"


def test_hello_is_answered_while_a_run_goes_on(worker, case):
    worker.say(id=1, do="segment", images=[str(case["image"])], **case["ask"] | {"step": 0.1})
    while worker.event()["event"] != "progress":
        pass
    worker.say(id="sign of life", do="hello")
    events = worker.events_until("ready", "result", "error")
    assert (events[-1]["id"], events[-1]["event"]) == ("sign of life", "ready")
    worker.say(id=1, do="cancel")
    assert worker.events_until("result", "error")[-1]["kind"] == "cancelled"


def test_it_ends_in_the_middle_of_a_run_when_its_input_closes(worker, case):
    worker.say(id=1, do="segment", images=[str(case["image"])], **case["ask"] | {"step": 0.1})
    while worker.event()["event"] != "progress":
        pass
    assert worker.end() == 0
    assert worker.events_until(None)[-1] is None


def test_shutdown(worker):
    worker.say(id=1, do="shutdown")
    assert worker.event() == {"id": 1, "event": "result"}
    assert worker.event() is None
    assert worker.process.wait() == 0


def test_a_polite_kill_leaves_no_folder(worker, case, tmp_path, monkeypatch):
    worker.say(id=1, do="hello")
    worker.event()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait() == 130
