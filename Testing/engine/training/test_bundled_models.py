"""The bundled models: whole folders, true cards, right labels on cases that they never saw."""

import importlib
import statistics
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
import SimpleITK

import umamba
from umamba.models.card import Card
from umamba.models.verification import verify_folder

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "Resources" / "Models"
RECIPES = ROOT / "Resources" / "Recipes"
IDS = sorted(folder.name for folder in MODELS.iterdir() if folder.is_dir())


class Promise(NamedTuple):
    """What is said of a model: its least accuracy, its data's folder, its licence, the work to cite."""

    least: float
    data: str
    licence: str
    commercial_use: bool
    cited: str
    tried_cases: int  # as many as take some seconds


PROMISES = {
    "abdomen-mr": Promise(0.80, "abdomen-mr", "CC-BY-NC-SA-4.0", False, "10.1016/j.media.2020.101950", 1),
    "hippocampus-mr": Promise(0.85, "hippocampus", "CC-BY-SA-4.0", True, "10.1038/s41467-022-30695-9", 4),
    "heart-cine-lv": Promise(0.93, "heart-cine-lv", "CC0-1.0", True, "hdl:10380/3070", 2),
    "nuclei": Promise(0.75, "nuclei", "CC0-1.0", True, "10.1038/s41592-019-0612-7", 2),
}
# The mean of so few cases scatters around the card's mean of all: four of its standard errors.
STANDARD_ERRORS = 4.0
MOST_BYTES = 15_000_000


@pytest.fixture(params=IDS)
def folder(request) -> Path:
    return MODELS / request.param


@pytest.fixture
def card(folder) -> Card:
    return umamba.models.get(folder).card


@pytest.fixture
def module(folder, monkeypatch) -> ModuleType:
    """The model's recipe."""
    monkeypatch.syspath_prepend(str(RECIPES))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module(folder.name.replace("-", "_"))


def test_every_model_makes_its_promise_here():
    assert set(IDS) == set(PROMISES)


def test_the_folder_is_whole(folder):
    verified = verify_folder(folder)
    assert verified.folds == ("0",)
    assert {"LICENSE", "preview.png", "plans.json", "dataset.json"} < set(verified.files)
    assert verified.size_bytes < MOST_BYTES


def test_the_card_says_where_the_model_comes_from_and_what_it_may(card, folder):
    assert card.id == folder.name
    assert card.origin == "umamba"
    promise = PROMISES[card.id]
    assert (card.licence, card.commercial_use) == (promise.licence, promise.commercial_use)
    assert any(promise.cited in citation for citation in card.citation)
    assert card.limits is not None
    assert "Research use only" in card.limits
    assert {"data", "cases", "steps", "machine", "date", "recipe"} == set(card.training)


def test_the_measured_accuracy_keeps_the_promise(card, module):
    recipe = module.RECIPE
    assert card.accuracy
    assert all(entry.metric == recipe.metric for entry in card.accuracy)
    of_all = [entry for entry in card.accuracy if "mean" in entry.label] or card.accuracy
    least = min(entry.mean for entry in of_all)
    assert least >= PROMISES[card.id].least


def test_cases_that_the_training_never_saw(card, folder, module, shared_data, tmp_path):
    recipe = module.RECIPE
    promise = PROMISES[card.id]
    data = shared_data / promise.data
    every = recipe.cases(data, tmp_path)
    training, held_out = recipe.split(every)
    assert not set(held_out) & set(training)
    assert card.training["cases"] <= len(set(training))
    cases = [case for case in every if case.name in held_out]
    keys = {label.value: label.key for label in card.labels}
    # From the first to the last: the kinds of a model's cases lie one after the other.
    spread = np.linspace(0, len(cases) - 1, promise.tried_cases).round().astype(int)
    tried = [cases[index] for index in spread]
    columns: dict[str, list[float]] = {}
    for case in tried:
        found = umamba.segment(list(case.images), folder).labels
        wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(recipe.reference(data, case))))
        for name, value in recipe.score(found, wanted.reshape(found.shape), case, keys).items():
            columns.setdefault(name, []).append(value)
    promised = {entry.label: entry for entry in card.accuracy}
    for name, values in columns.items():
        slack = STANDARD_ERRORS * promised[name].sd / len(values) ** 0.5
        assert statistics.fmean(values) == pytest.approx(promised[name].mean, abs=slack)
