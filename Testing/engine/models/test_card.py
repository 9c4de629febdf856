"""Cards: read back what was written, and name the field that is wrong."""

import copy
import dataclasses
import itertools
import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from umamba.errors import ModelError
from umamba.models import card as cards
from umamba.models.card import (
    Accuracy,
    Card,
    CardChannel,
    CardLabel,
    CardNetwork,
    Instances,
    Terminology,
    card_bytes,
    check_id,
    check_orientation,
    parse_card,
    read_card,
)

SHA = "0123456789abcdef" * 4
FULL = Card(
    id="cells-2d",
    name="Zellen (Größe)",
    version="1.2",
    description="Two lines\nof text.",
    anatomy="cell",
    modality="SM",
    network=CardNetwork("UMambaEnc", "current", "2d", "cells-lowres"),
    channels=(CardChannel("R", "red"), CardChannel("G"), CardChannel("B")),
    grey_repeat=True,
    labels=(
        CardLabel(
            1,
            "interior",
            "Interior",
            (255, 0, 10),
            Terminology(("SCT", "4421005", "Cell"), ("SCT", "4421005", "Cell"), None, ("99X", "1", "Slide")),
        ),
        CardLabel(2, "boundary", "Boundary", (0, 255, 10)),
    ),
    orientation="RAS",
    field_of_view=(30.0, 40.0, 50.5),
    instances=Instances(boundary=2, interior=1, certainty=0.9, smallest=20),
    mirror=True,
    mirror_axes=(0, 1),
    accuracy=(Accuracy("interior", "Dice", 0.91, 0.02, 40, "held-out"), Accuracy("boundary", "Dice", 0.7)),
    origin="umamba",
    training={"data": "a set", "cases": 100, "steps": 250, "machine": "a laptop", "date": "2025-01-01"},
    licence="CC-BY-SA-4.0",
    commercial_use=False,
    citation=("Somebody et al.",),
    limits="Not for diagnosis.",
    files={"plans.json": SHA, "dataset.json": SHA, "fold_0.safetensors": SHA},
)
LEAST = {
    "schema": "umamba-card/1",
    "id": "a",
    "name": "A",
    "network": {"class": "UMambaBot", "configuration": "3d_fullres"},
    "channels": [{"name": "CT"}],
    "labels": [{"value": 1, "key": "liver", "name": "Liver", "color": [1, 2, 3]}],
    "orientation": "native",
    "origin": "nnunetv2",
    "files": {"plans.json": SHA},
}


def test_every_field_survives_writing(tmp_path):
    (tmp_path / "card.json").write_bytes(card_bytes(FULL))
    assert read_card(tmp_path) == FULL


def test_every_field_of_the_contract_is_written():
    raw = json.loads(card_bytes(FULL))
    assert raw["schema"] == "umamba-card/1"
    schema = json.loads((cards.Path(cards.__file__).with_name("card.schema.json")).read_text())
    assert set(raw) == set(schema["properties"])
    assert raw["network"] == {
        "class": "UMambaEnc",
        "generation": "current",
        "configuration": "2d",
        "previous_stage": "cells-lowres",
    }
    assert raw["labels"][0]["terminology"]["region"] == ["99X", "1", "Slide"]
    assert raw["instances"] == {"boundary": 2, "interior": 1, "certainty": 0.9, "smallest": 20}
    assert Instances(boundary=2, interior=1).as_dict() == {"boundary": 2, "interior": 1}
    Draft202012Validator.check_schema(schema)


def test_the_least_card():
    card = parse_card(LEAST)
    assert (card.mirror, card.mirror_axes, card.instances, card.field_of_view) == (True, (), None, None)
    assert card.network == CardNetwork("UMambaBot", None, "3d_fullres", None)
    assert parse_card(LEAST | {"origin": "u-mamba"}).mirror is False
    assert "licence" not in card.as_dict()


def test_fields_of_later_versions_are_left_alone():
    assert parse_card(LEAST | {"weather": "fine"}).id == "a"


@pytest.mark.parametrize("key", sorted(LEAST))
def test_required_fields(key):
    raw = {name: value for name, value in LEAST.items() if name != key}
    with pytest.raises(ModelError, match=key):
        parse_card(raw)


WRONG = {
    "schema": ("umamba-card/2", "schema"),
    "id": ("Liver CT", "id"),
    "id with a line break": ("liver\n", "id"),
    "name with an escape": ("a\x1b[31m", "name"),
    "name empty": ("", "name"),
    "name number": (5, "name"),
    "network class": ({"class": "os.system", "configuration": "2d"}, r"network\.class"),
    "network further": ({"class": "UMambaBot", "configuration": "2d", "x": 1}, "network"),
    "network generation": (
        {"class": "UMambaBot", "configuration": "2d", "generation": "new"},
        r"network\.generation",
    ),
    "network previous": (
        {"class": "UMambaBot", "configuration": "2d", "previous_stage": "../a"},
        r"network\.previous_stage",
    ),
    "network itself": ({"class": "UMambaBot", "configuration": "2d", "previous_stage": "a"}, "itself"),
    "channels": ([], "channels"),
    "channels object": ({}, "channels"),
    "labels": ([], "labels"),
    "labels value": ([LEAST["labels"][0] | {"value": 0}], r"labels\[0\]\.value"),
    "labels large value": ([LEAST["labels"][0] | {"value": 65_536}], r"labels\[0\]\.value"),
    "labels key": ([LEAST["labels"][0] | {"key": "7"}], r"labels\[0\]\.key"),
    "labels key comma": ([LEAST["labels"][0] | {"key": "a,b"}], r"labels\[0\]\.key"),
    "labels color": ([LEAST["labels"][0] | {"color": [1, 2, 256]}], r"labels\[0\]\.color\[2\]"),
    "labels code": (
        [LEAST["labels"][0] | {"terminology": {"category": ["a", "b", "c"], "type": ["a", "b"]}}],
        r"labels\[0\]\.terminology\.type",
    ),
    "labels same value": ([LEAST["labels"][0], LEAST["labels"][0] | {"key": "b"}], "value 1 stands twice"),
    "labels same key": ([LEAST["labels"][0], LEAST["labels"][0] | {"value": 2}], "key 'liver' stands twice"),
    "orientation": ("RRS", "orientation"),
    "orientation small": ("ras", "orientation"),
    "origin": ("monai", "origin"),
    "field_of_view": ([1, 2], "field_of_view"),
    "field_of_view zero": ([1, 2, 0], "field_of_view"),
    "instances": ({"boundary": 1}, "instances"),
    "instances unknown": ({"boundary": 1, "interior": 9}, "instances"),
    "instances alike": ({"boundary": 1, "interior": 1}, "instances: boundary and interior are both 1"),
    "instances doubtful": ({"boundary": 1, "interior": 2, "certainty": 0.4}, "instances"),
    "instances certain": ({"boundary": 1, "interior": 2, "certainty": 1}, "instances"),
    "instances small": ({"boundary": 1, "interior": 2, "smallest": -1}, "instances"),
    "mirror": ("yes", "mirror"),
    "mirror_axes": ([3], "mirror_axes"),
    "mirror_axes twice": ([0, 0], "mirror_axes"),
    "grey_repeat": (1, "grey_repeat"),
    "accuracy": ([{"label": "liver", "metric": "Dice", "mean": "high"}], r"accuracy\[0\]\.mean"),
    "training": ({"hospital": "x"}, "training"),
    "commercial_use": ("no", "commercial_use"),
    "citation": ("a", "citation"),
    "files": ({}, "files"),
    "files path": ({"../plans.json": SHA}, "files"),
    "files hash": ({"plans.json": SHA[:-1]}, "files"),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_the_wrong_field_is_named(case):
    value, said = WRONG[case]
    with pytest.raises(ModelError, match=said) as refusal:
        parse_card(copy.deepcopy(LEAST) | {case.split()[0]: value})
    assert "\n" not in str(refusal.value)


def test_a_wrong_card_is_not_written():
    with pytest.raises(ModelError, match="origin"):
        card_bytes(dataclasses.replace(FULL, origin="elsewhere"))


def test_a_card_that_is_no_card(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(tmp_path)
    for content in (b"", b"[]", b"{", b"\xff", b'{"a": 1, "a": 2}', b'{"schema": NaN}'):
        (tmp_path / "card.json").write_bytes(content)
        with pytest.raises(ModelError, match=r"card\.json"):
            read_card(tmp_path)


def test_a_card_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "MAX_CARD_BYTES", 10)
    (tmp_path / "card.json").write_bytes(card_bytes(FULL))
    with pytest.raises(ModelError, match="too large"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    "model_id", ["", "A", "a_b", "-a", "a-", "a--b", "a/b", "..", "con", "com1", "a\n", "a" * 101]
)
def test_ids_that_cannot_name_a_folder(model_id):
    with pytest.raises(ModelError, match="id"):
        check_id(model_id)


@pytest.mark.parametrize("model_id", ["a", "liver-ct", "7", "con-1", "a" * 100])
def test_ids(model_id):
    assert check_id(model_id) == model_id


def test_the_48_orientations_and_no_others():
    possible = {
        "".join(letters)
        for axes in itertools.permutations(("RL", "AP", "SI"))
        for letters in itertools.product(*axes)
    }
    for letters in map("".join, itertools.product("RLAPSI", repeat=3)):
        if letters in possible:
            assert check_orientation(letters) == letters
            assert parse_card(LEAST | {"orientation": letters}).orientation == letters
        else:
            with pytest.raises(ModelError, match="orientation"):
                check_orientation(letters)
            with pytest.raises(ModelError, match="orientation"):
                parse_card(LEAST | {"orientation": letters})
    assert check_orientation("native") == "native"


def test_reading_cards_and_listing_models_loads_no_torch(tmp_path):
    folder = tmp_path / "models" / FULL.id
    folder.mkdir(parents=True)
    (folder / "card.json").write_bytes(card_bytes(FULL))
    code = (
        "import sys; from umamba import models; print([m.id for m in models.list()]);"
        "models.find('cells-2d'); models.problems(); models.get; print('torch' in sys.modules)"
    )
    environment = {"UMAMBA_HOME": str(tmp_path), "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    listed, torch_loaded = run.stdout.splitlines()
    assert FULL.id in listed
    assert torch_loaded == "False"
