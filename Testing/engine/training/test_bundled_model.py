"""The bundled hippocampus model: a whole folder, a true card, right labels on cases it never saw."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import SimpleITK

import umamba
from umamba.models.card import Card
from umamba.models.verification import verify_folder

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "Resources" / "Models" / "hippocampus-mr"
RECIPE = ROOT / "Resources" / "Recipes" / "hippocampus_mr.py"

LEAST_DICE = 0.85  # what the model was promised to reach over both labels
TRIED_CASES = 4
# The mean of so few cases scatters around the card's mean of all: four of its standard errors.
STANDARD_ERRORS = 4.0
MOST_BYTES = 6_000_000  # half-precision weights of a narrow network


@pytest.fixture(scope="module")
def card() -> Card:
    return umamba.models.get(FOLDER).card


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location(RECIPE.stem, RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_folder_is_whole() -> None:
    verified = verify_folder(FOLDER)
    assert verified.folds == ("0",)
    assert {"LICENSE", "preview.png", "plans.json", "dataset.json"} < set(verified.files)
    assert verified.size_bytes < MOST_BYTES


def test_the_card_says_where_the_model_comes_from_and_what_it_may(card: Card) -> None:
    assert card.id == FOLDER.name
    assert card.origin == "umamba"
    assert card.orientation == "RAS"
    assert card.licence == "CC-BY-SA-4.0"
    assert card.commercial_use is True
    assert any("10.1038/s41467-022-30695-9" in citation for citation in card.citation)
    assert card.limits is not None
    assert "not a medical device" in card.limits
    assert {"data", "cases", "steps", "machine", "date", "recipe"} == set(card.training)
    for label in card.labels:
        assert label.terminology is not None
        assert label.terminology.type == ("SCT", "5366008", "Hippocampus")


def test_the_measured_accuracy_keeps_the_promise(card: Card, recipe: ModuleType) -> None:
    measured = {entry.label: entry for entry in card.accuracy}
    assert [label.key for label in card.labels] == ["anterior", "posterior"]
    assert set(measured) == {"anterior", "posterior", "mean of all labels"}
    assert measured["mean of all labels"].mean >= LEAST_DICE
    assert all(entry.cases == recipe.HELD_OUT and entry.metric == "Dice" for entry in measured.values())


def test_cases_that_the_training_never_saw(card: Card, recipe: ModuleType, shared_data: Path) -> None:
    data = shared_data / "hippocampus"
    training, watched, held_out = recipe.split(data)
    assert not set(held_out) & {*training, *watched}
    assert card.training["cases"] == len(training)
    cases = [case for case in recipe.cases(data) if case.name in held_out][:TRIED_CASES]
    scores = []
    for case in cases:
        found = umamba.segment(list(case.images), FOLDER).labels
        wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(case.label)))
        for label in card.labels:
            both = ((found == label.value) & (wanted == label.value)).sum()
            scores.append(2 * both / ((found == label.value).sum() + (wanted == label.value).sum()))
    expected = next(entry for entry in card.accuracy if entry.label == "mean of all labels")
    assert expected.sd is not None
    slack = STANDARD_ERRORS * expected.sd / len(cases) ** 0.5
    assert sum(scores) / len(scores) == pytest.approx(expected.mean, abs=slack)
