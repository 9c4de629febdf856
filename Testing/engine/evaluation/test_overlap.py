"""Ratios of counted voxels."""

from umamba.evaluation.overlap import Counts


def test_ratios_by_hand():
    ratios = Counts(true_positive=6, false_positive=2, false_negative=4, true_negative=88).ratios()
    assert ratios == {
        "Dice": 12 / 18,
        "IoU": 6 / 12,
        "accuracy": 94 / 100,
        "precision": 6 / 8,
        "sensitivity": 6 / 10,
        "specificity": 88 / 90,
    }


def test_what_divides_by_nothing_is_not_defined():
    undefined = {
        name: {key for key, value in counts.ratios().items() if value is None}
        for name, counts in {
            "both empty": Counts(0, 0, 0, 9),
            "no prediction": Counts(0, 0, 4, 5),
            "no reference": Counts(0, 4, 0, 5),
            "all": Counts(9, 0, 0, 0),
        }.items()
    }
    assert undefined == {
        "both empty": {"Dice", "IoU", "precision", "sensitivity"},
        "no prediction": {"precision"},
        "no reference": {"sensitivity"},
        "all": {"specificity"},
    }
