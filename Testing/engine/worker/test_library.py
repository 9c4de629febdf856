"""The worker as the panel's keeper of models: results in, files out, and nothing of what failed."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from umamba import models

TRAINER = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture
def results(oracle):
    return oracle / "e2e_804" / TRAINER


@pytest.fixture
def ask(worker):
    """Say one thing and get the last event; those before it are kept in `ask.before`."""

    def say(do, **keys):
        worker.say(id=do, do=do, **keys)
        *say.before, last = worker.events_until("result", "error")
        assert last["id"] == do
        return last

    say.before = []
    return say


def test_models_say_where_they_lie(ask):
    found = ask("models")
    assert found["problems"] == {}
    for entry in found["models"]:
        folder = Path(entry["folder"])
        assert (folder / "card.json").is_file()
        assert entry["bundled"] is True
        assert entry["bytes"] == sum(path.stat().st_size for path in folder.iterdir())


def test_from_results_to_a_file_and_back(ask, results, tmp_path):
    seen = ask("inspect", path=str(results))
    assert seen["event"] == "result", seen
    assert isinstance(seen["notes"], list)
    assert ask("models")["models"] == [entry for entry in ask("models")["models"] if entry["bundled"]]
    label = seen["card"]["labels"][0]
    label = {"value": label["value"], "name": "My own", "color": [9, 8, 7], "terminology": None}
    stored = ask(
        "import",
        path=str(results),
        model="mine",
        name="Mine",
        orientation="RAS",
        channels=[{"name": "CT", "description": "native"}],
        labels=[label],
    )
    assert {event["event"] for event in ask.before} == {"progress"}
    assert (stored["model"], stored["card"]["name"], stored["card"]["orientation"]) == ("mine", "Mine", "RAS")
    first = stored["card"]["labels"][0]
    assert (first["key"], first["name"], first["color"]) == ("my_own", "My own", [9, 8, 7])
    assert (stored["card"]["bundled"], Path(stored["card"]["folder"]).name) == (False, "mine")
    again = ask("import", path=str(results), model="mine", name="Mine", orientation="RAS")
    assert (again["event"], again["kind"]) == ("error", "model")
    file = tmp_path / "mine.zip"
    assert ask("export", model="mine", file=str(file))["file"] == str(file)
    assert ask.before[0]["event"] == "progress"
    refused = ask("export", model="mine", file=str(file))
    assert (refused["kind"], "exists already" in refused["message"]) == ("input", True)
    assert ask("export", model="mine", file=str(file), overwrite=True)["event"] == "result"
    assert ask("remove", model="mine")["event"] == "result"
    assert ask("remove", model="mine")["kind"] == "model"
    installed = ask("install", file=str(file))
    assert (installed["model"], installed["card"]) == ("mine", stored["card"])
    assert models.verify("mine").id == "mine"


def test_a_model_that_was_imported_anew_is_the_new_one(ask, oracle, results):
    image = str(oracle / "e2e_804" / "input" / "case_a_0000.nii.gz")
    run = {"images": [image], "folds": ["0"], "mirror": False, "device": "cpu"}
    for name in ("First", "Second"):
        ask("import", path=str(results), model="mine", labels=[{"value": 1, "name": name}])
        found = ask("segment", model="mine", **run)
        assert found["volumes"][0]["name"] == name
        models.remove("mine")  # not through the worker, which keeps the model in memory


@pytest.mark.parametrize(
    ("do", "keys", "kind", "said"),
    [
        ("inspect", {"path": "/no/such/folder"}, "model", "there is no such folder"),
        ("import", {"path": "/no/such/folder", "orientation": "XYZ"}, "model", "XYZ"),
        ("install", {"file": "/no/such/file.zip"}, "model", "there is no such file"),
        ("export", {"model": "none", "file": "/tmp/a.zip"}, "model", "no model 'none'"),
        (
            "export",
            {"model": "hippocampus-mr", "file": "/no/such/folder/a.zip"},
            "input",
            "cannot be written",
        ),
        ("export", {"model": "hippocampus-mr", "file": "a.tar"}, "input", "ends in .zip"),
        ("remove", {"model": "hippocampus-mr"}, "model", "came with the product"),
        ("remove", {"model": "../up"}, "model", "no model"),
    ],
)
def test_wrong_requests(ask, do, keys, kind, said):
    found = ask(do, **keys)
    assert (found["event"], found["kind"]) == ("error", kind)
    assert said in found["message"]
    assert "\n" not in found["message"]


def test_changes_that_do_not_fit_are_errors_of_the_input(ask, results):
    found = ask("import", path=str(results), labels=[{"value": 77, "name": "x"}])
    assert (found["kind"], "value 77" in found["message"]) == ("input", True)


def test_a_stopped_import_leaves_nothing(worker, results, tmp_path):
    file = tmp_path / "results.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in results.rglob("*"):
            archive.write(path, path.relative_to(results))
    worker.say(id=1, do="import", path=str(file))
    worker.say(id=1, do="cancel")
    last = worker.events_until("result", "error")[-1]
    assert (last["event"], last["kind"]) == ("error", "cancelled")
    store = Path(os.environ["UMAMBA_HOME"]) / "models"
    assert not store.exists() or not list(store.iterdir())
    worker.say(id=2, do="models")
    assert worker.events_until("result")[-1]["id"] == 2


def test_the_doctor(ask):
    found = ask("doctor")
    assert {"version", "devices", "backends"} <= set(found["report"])
    assert found["text"].splitlines()[0].startswith("engine")
    json.dumps(found["report"])
