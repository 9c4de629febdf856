"""`umamba package` as it is typed."""

import json
from pathlib import Path

import pytest

from engine.working_folder import make_working_folder, write_json
from umamba import models

ID = "organ-mr"


@pytest.fixture
def work(oracle, tmp_path) -> Path:
    cases = {"mueller": "case_a"}, {"meier": "case_b", "schulze": "case_b"}
    return make_working_folder(tmp_path / "work", oracle / "e2e_801", *cases).root


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "model.zip"


@pytest.fixture
def package(call, work, file):
    def run(*words):
        return call("package", work, file, "--device", "cpu", "--threads", "1", *words)

    return run


def test_the_whole_way_to_the_store(package, call, file):
    made = package(
        "--id", ID, "--licence", "CC-BY-4.0", "--name", "Organ", "--citation", "A", "--citation", "B"
    )
    assert made.status == 0
    assert made.out[0].startswith(f"{ID}: fold 0, float16, ")
    assert made.out[-1] == f"next: umamba models install {file}"
    assert len(made.err) == 1
    assert "no measured accuracy" in made.err[0]
    assert call("models", "install", file).out == [ID]
    card = models.find(ID).card
    assert (card.name, card.licence, card.citation) == ("Organ", "CC-BY-4.0", ("A", "B"))


def test_a_card_and_labels_from_files(package, tmp_path, file, call):
    card, labels = tmp_path / "card.json", tmp_path / "labels.json"
    write_json(
        card, {"id": "other", "limits": "Adults.", "licence": "MIT", "labels": [{"value": 1, "name": "X"}]}
    )
    write_json(labels, [{"value": 2, "name": "Core", "color": [9, 8, 7]}])
    made = package("--card", card, "--labels-file", labels, "--id", ID, "--no-measure")
    assert made.status == 0
    call("models", "install", file)
    found = models.find(ID).card
    assert (found.limits, found.licence) == ("Adults.", "MIT")
    assert [(label.name, label.key) for label in found.labels] == [
        ("organ", "organ"),
        ("Core", "core"),
        ("node", "node"),
    ]
    assert found.labels[1].color == (9, 8, 7)


def test_json_for_programs(package, file):
    made = package("--json", "--id", ID)
    events = [json.loads(line) for line in made.out]
    assert {event["stage"] for event in events if event["event"] == "progress"} >= {
        "check",
        "write",
        "compare",
    }
    result = events[-1]
    assert (result["event"], result["id"], result["file"]) == ("result", ID, str(file))
    assert (result["precision"], result["folds"]) == ("float16", ["0"])
    assert result["card"]["training"]["cases"] == 2
    assert result["size_bytes"] == file.stat().st_size


def test_quiet_prints_nothing_but_warnings(package):
    made = package("--quiet", "--no-measure", "--licence", "CC-BY-4.0")
    assert made.out == []
    assert all(line.startswith("umamba: warning:") for line in made.err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--id", "Upper"], "lower-case letters, digits and dashes"),
        (["--folds", "3"], "one of those trained wanted (0)"),
        (["--folds", "best"], "fold 0 has no validation"),
        (["--precision", "int8"], "invalid choice: 'int8'"),
        (["--card", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--labels-file", __file__], "cannot be read as JSON"),
        (["--orientation", "up"], "three letters such as RAS"),
        (["--preview-case", "kafka"], "'kafka' cannot be drawn"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(package, file, words, message):
    made = package(*words, "--no-measure")
    assert made.status == 2
    assert made.out == []
    assert message in made.err[-1]
    assert made.err[-1].startswith("umamba: error:")
    assert not file.exists()


def test_files_of_the_wrong_form(package, tmp_path):
    path = tmp_path / "list.json"
    write_json(path, [])
    assert "an object with a card's fields is wanted" in package("--card", path).err[-1]
    write_json(path, {})
    assert "a list of objects, each with a value, is wanted" in package("--labels-file", path).err[-1]


def test_a_name_that_is_no_zip_file(call, work, tmp_path):
    made = call("package", work, tmp_path / "model.tgz")
    assert (made.status, made.err) == (2, ["umamba: error: model.tgz: a name that ends in .zip is wanted"])
