"""A person's own words in the card of an import, and what an import would give."""

import json
import shutil

import pytest

from umamba import models
from umamba.errors import InputError
from umamba.models.card import CardChannel, Terminology
from umamba.models.edits import CardEdits
from umamba.models.importer import import_results, inspect_results

CODES = {
    "category": ["SCT", "123037004", "Anatomical Structure"],
    "type": ["SCT", "10200004", "Liver"],
    "modifier": None,
}


def labels_of(card):
    return {label.value: label for label in card.labels}


@pytest.fixture
def copy(results_804, tmp_path):
    """The results folder, to be changed."""
    folder = tmp_path / results_804.name
    shutil.copytree(results_804, folder)
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(0o755)
    return folder


@pytest.fixture
def plain(results_804):
    """The card without changes."""
    return inspect_results(results_804).card


def test_an_inspection_is_the_card_that_an_import_stores(results_804, home):
    found = inspect_results(results_804)
    assert not (home / "models").exists()
    stored = models.find(import_results(results_804).id).card
    assert found.card.as_dict() | {"files": dict(stored.files)} == stored.as_dict()
    assert found.card.files == {}
    assert (found.report.id, found.report.stored) == (stored.id, False)
    json.dumps(found.card.as_dict())


def test_a_cascade_is_inspected_as_its_second_stage(oracle):
    found = inspect_results(oracle / "e2e_803")
    assert found.card.network.previous_stage == found.report.previous_stage.id
    first = found.report.previous_stage
    assert set(first.notes) <= {note.removeprefix(f"{first.id}: ") for note in found.report.all_notes}


def test_changes_are_stored_and_the_training_stays_as_it_was(results_804, plain):
    value = plain.labels[-1].value
    edits = CardEdits(
        channels=[{"name": "Portal venous", "description": "contrast after 70 s"}],
        labels=[{"value": value, "name": "Left lobe", "color": [1, 2, 3], "terminology": CODES}],
    )
    stored = models.find(import_results(results_804, name="My liver", orientation="LPS", edits=edits).id)
    card = stored.card
    assert (card.name, card.orientation) == ("My liver", "LPS")
    assert card.channels == (CardChannel("Portal venous", "contrast after 70 s"),)
    changed = labels_of(card)[value]
    assert (changed.key, changed.name, changed.color) == ("left_lobe", "Left lobe", (1, 2, 3))
    assert changed.terminology == Terminology(tuple(CODES["category"]), tuple(CODES["type"]))
    others = {label for label in card.labels if label.value != value}
    assert others == {label for label in plain.labels if label.value != value}
    before = json.loads((results_804 / "dataset.json").read_text())
    assert json.loads((stored.folder / "dataset.json").read_text()) == before
    models.verify(stored.id)


def test_a_run_goes_by_the_new_names(oracle, results_804):
    from umamba import plan

    report = import_results(
        results_804, edits=CardEdits([{"name": "Portal"}], [{"value": 1, "name": "Left lobe"}])
    )
    image = oracle / "e2e_804" / "input" / "case_a_0000.nii.gz"
    plan(f"portal={image}", report.id, labels=["left_lobe"], folds="0")
    with pytest.raises(InputError, match=r"it takes 1 channel \(Portal"):
        plan(f"CT={image}", report.id)


def test_both_stages_of_a_cascade_are_changed(oracle):
    report = import_results(oracle / "e2e_803", edits=CardEdits(labels=[{"value": 1, "name": "Tumour"}]))
    for stage in (report, report.previous_stage):
        assert labels_of(models.find(stage.id).card)[1].name == "Tumour"


def test_the_measurements_follow_their_labels(copy, plain):
    values = [label.value for label in plain.labels]
    summary = {"metric_per_case": [{"metrics": {str(value): {"Dice": 0.5} for value in values}}] * 2}
    for fold in ("fold_0", "fold_1"):
        (copy / fold / "validation").mkdir(exist_ok=True)
        (copy / fold / "validation" / "summary.json").write_text(json.dumps(summary))
    edits = CardEdits(labels=[{"value": values[0], "name": "Quite another"}])
    card = models.find(import_results(copy, edits=edits).id).card
    assert [entry.label for entry in card.accuracy] == [label.key for label in card.labels]
    assert card.accuracy[0].label == "quite_another"


@pytest.mark.parametrize(("name", "modality"), [("CT", "CT"), (" mri", "MR"), ("Portal venous", None)])
def test_a_channel_named_for_a_modality_names_the_models(copy, name, modality):
    dataset = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(dataset | {"channel_names": {"0": "zero"}}))
    assert inspect_results(copy).card.modality is None
    edits = CardEdits(channels=[{"name": name}])
    assert models.find(import_results(copy, edits=edits).id).card.modality == modality


def test_channels_need_names_of_their_own(oracle):
    edits = CardEdits(channels=[{"name": "CT"}, {"name": " ct"}])
    with pytest.raises(InputError, match="a name of its own"):
        import_results(oracle / "e2e_802", edits=edits)


def test_equal_names_get_keys_of_their_own(results_804, plain):
    edits = CardEdits(labels=[{"value": label.value, "name": "Lesion"} for label in plain.labels])
    card = models.find(import_results(results_804, edits=edits).id).card
    assert len({label.key for label in card.labels}) == len(card.labels)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (CardEdits(channels=[{"name": "CT"}, {"name": "PET"}]), "channels: 2 found, the model has 1"),
        (CardEdits(channels=["CT"]), "channels: a list of objects"),
        (CardEdits(channels=[{"description": "x"}]), "channels.0.: 'name' is a required property"),
        (CardEdits(channels=[{"name": ""}]), "name"),
        (CardEdits(channels=[{"name": "a", "colour": "red"}]), "colour"),
        (CardEdits(labels=[{"value": 99, "name": "x"}]), "labels: value 99 found"),
        (CardEdits(labels=[{"name": "x"}]), "labels: value None found"),
        (CardEdits(labels=[{"value": True, "name": "x"}]), "labels: value True found"),
        (CardEdits(labels=[{"value": 1}, {"value": 1}]), "the value 1 stands twice"),
        (CardEdits(labels=[{"value": 1, "key": "x"}]), "unknown key 'key'"),
        (CardEdits(labels=[{"value": 1, "name": 7}]), "the name of 1 is 7"),
        (CardEdits(labels=[{"value": 1, "name": "two\nlines"}]), "One line without control characters"),
        (CardEdits(labels=[{"value": 1, "color": [256, 0, 0]}]), "color"),
        (CardEdits(labels=[{"value": 1, "color": [0, 0]}]), "color"),
        (CardEdits(labels=[{"value": 1, "terminology": {"type": CODES["type"]}}]), "category"),
        (CardEdits(labels=[{"value": 1, "terminology": CODES | {"type": ["SCT", "1"]}}]), "type"),
    ],
)
@pytest.mark.usefixtures("nothing_happens")
def test_changes_that_do_not_fit(results_804, edits, said):
    with pytest.raises(InputError, match=said) as caught:
        import_results(results_804, edits=edits)
    assert type(caught.value) is InputError  # the request is wrong, not the model
    assert "\n" not in str(caught.value)
