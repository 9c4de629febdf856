"""The Dice that a training measured, as far as its folder still tells."""

import json
import shutil
import statistics
from pathlib import Path

import pytest

from umamba import models
from umamba.models.accuracy import measured_accuracy
from umamba.models.results import read_results

FINAL = "checkpoint_final.pth"
DIGITS = 4  # of a card's numbers


@pytest.fixture
def copy(tmp_path, results_804) -> Path:
    folder = tmp_path / results_804.name
    shutil.copytree(results_804, folder)
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(0o755)
    return folder


def summary(cases: list[dict]) -> str:
    """As nnU-Net writes it: Dice by label for each case, NaN where the label is nowhere."""
    return json.dumps(
        {
            "foreground_mean": {"Dice": 0.5},
            "metric_per_case": [
                {
                    "metrics": {key: {"Dice": dice, "FN": 3} for key, dice in case.items()},
                    "prediction_file": "/data/mueller.nii.gz",
                }
                for case in cases
            ],
        }
    )


def write(folder: Path, fold: str, text: str) -> None:
    path = folder / f"fold_{fold}" / "validation" / "summary.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


NAN = float("nan")
FOLD_0 = [{"1": 0.5, "2": 1.0, "3": NAN, "4": 0.25}, {"1": 0.75, "2": 0.5, "3": 0.5, "4": 0.5}]
FOLD_1 = [{"1": 1.0, "2": 0.0, "3": NAN, "4": 0.75}]


def test_cases_of_all_folds_are_taken_together(copy):
    write(copy, "0", summary(FOLD_0))
    write(copy, "1", summary(FOLD_1))
    found = measured_accuracy(read_results(copy))
    assert [(entry.label, entry.mean, entry.cases) for entry in found] == [
        ("a", 0.75, 3),
        ("b", 0.5, 3),
        ("c", 0.5, 1),  # the cases without it do not count
        ("d", 0.5, 3),
    ]
    assert found[0].sd == round(statistics.stdev([0.5, 0.75, 1.0]), DIGITS)
    assert found[2].sd is None
    assert {(entry.metric, entry.data) for entry in found} == {("Dice", "validation cases of folds 0, 1")}
    stored = models.find(models.import_(copy))
    assert stored.card.accuracy == found
    assert b"mueller" not in (stored.folder / "card.json").read_bytes()


def test_a_missing_fold_says_nothing(copy):
    write(copy, "0", summary(FOLD_0))
    assert measured_accuracy(read_results(copy)) == ()


def test_the_second_best_checkpoint_was_not_the_one_measured(copy):
    write(copy, "0", summary(FOLD_0))
    write(copy, "1", summary(FOLD_1))
    (copy / "fold_1" / FINAL).rename(copy / "fold_1" / "checkpoint_best.pth")
    assert measured_accuracy(read_results(copy)) == ()


def test_fold_all_measured_its_own_training_cases(copy):
    (copy / "fold_0").rename(copy / "fold_all")
    shutil.rmtree(copy / "fold_1")
    write(copy, "all", summary(FOLD_0))
    assert measured_accuracy(read_results(copy)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{",
        '{"metric_per_case": 5}',
        '{"metric_per_case": [1, {"metrics": []}, {"metrics": {"1": {"Dice": "x"}}}]}',
        summary([{"1": 1.5, "2": 0.5, "3": 0.5, "4": 0.5}]),
        "[" * 100_000,
    ],
)
def test_a_summary_that_is_none_says_nothing(copy, text):
    for fold in ("0", "1"):
        write(copy, fold, text)
    assert measured_accuracy(read_results(copy)) == ()


def test_regions_are_measured_by_their_values(tmp_path, results_802):
    folder = tmp_path / results_802.name
    shutil.copytree(results_802, folder)
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(0o755)
    (folder / "fold_all").rename(folder / "fold_0")
    write(folder, "0", summary([{"(1, 2, 3)": 0.5, "(2, 3)": 0.25, "3": 0.75}]))
    found = measured_accuracy(read_results(folder))
    assert [(entry.label, entry.mean) for entry in found] == [("whole", 0.5), ("core", 0.25), ("node", 0.75)]
    assert found[0].data == "validation cases of fold 0"
