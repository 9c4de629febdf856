"""`umamba.evaluate`: figures of cases, their means, what is said, and work in several processes."""

import csv
import json
import math

import numpy as np
import pytest

import umamba
from umamba.evaluation.api import evaluate

# Sums in another order.
ROUNDING = 1e-12
SPACING = (1.0, 1.0, 3.0)


def block(size, value=1, at=2):
    values = np.zeros((8, 12, 12), np.uint8)
    values[at : at + 3, at : at + 3, at : at + size] = value
    return values


@pytest.fixture
def three(desk):
    """Three cases: right, half too large, and one in which only the reference has label 2."""
    desk.put("a.nii.gz", block(4), block(4), SPACING)
    desk.put("b.nii.gz", block(4), block(6), SPACING)
    desk.put("c.nii.gz", block(4) + block(2, 2, at=5), block(4), SPACING)
    return desk


def test_figures_of_a_label_by_hand(three):
    done = evaluate(three.reference, three.prediction, tolerance_mm=1)
    row = done.cases[1].rows["1"]
    voxels = 8 * 12 * 12
    assert row["Dice"] == 2 * 36 / (36 + 54)
    assert row["IoU"] == 36 / 54
    assert row["accuracy"] == (voxels - 18) / voxels
    assert (row["precision"], row["sensitivity"]) == (36 / 54, 1.0)
    assert row["specificity"] == (voxels - 54) / (voxels - 36)
    assert (row["HD"], row["HD95"]) == (2.0, 2.0)  # one side lies two voxels of 1 mm further out
    assert 0 < row["ASD"] < 1
    assert 0.5 < row["NSD"] < 1
    assert (row["reference_voxels"], row["prediction_voxels"]) == (36, 54)
    assert row["reference_ml"] == pytest.approx(36 * 3 / 1000, rel=ROUNDING)
    assert done.unit == "mm"


def test_a_larger_tolerance_forgives_more(three):
    at = {mm: evaluate(three.reference, three.prediction, tolerance_mm=mm).mean["NSD"] for mm in (0, 1, 2)}
    assert at[0] < at[1] < at[2]
    mixed = evaluate(three.reference, three.prediction, tolerance_mm={"1": 0, "": 2})
    assert {name: facts["tolerance"] for name, facts in mixed.labels.items()} == {"1": 0, "2": 2}
    first = evaluate(three.reference, three.prediction, tolerance_mm=0).cases[1].rows["1"]
    assert mixed.cases[1].rows["1"]["NSD"] == first["NSD"]


def test_means_leave_out_what_is_not_defined(three):
    done = evaluate(three.reference, three.prediction)
    dice = [1.0, 72 / 90, 1.0]
    assert done.mean["labels"]["1"]["Dice"] == pytest.approx(sum(dice) / 3, rel=ROUNDING)
    assert done.sd["labels"]["1"]["Dice"] == pytest.approx(np.std(dice, ddof=1), rel=ROUNDING)
    assert done.median["labels"]["1"]["Dice"] == 1.0
    # Label 2 is in case c only, and in its reference only.
    assert done.mean["labels"]["2"]["Dice"] == 0
    assert done.mean["labels"]["2"]["HD95"] is None
    assert (
        done.counted["labels"]["2"] | {"Dice": 1, "NSD": 1, "HD95": 0, "accuracy": 3}
        == done.counted["labels"]["2"]
    )
    assert done.sd["labels"]["2"]["Dice"] is None
    assert done.mean["Dice"] == pytest.approx((sum(dice) / 3 + 0) / 2, rel=ROUNDING)
    assert done.cases[0].own["Dice"] == 1
    assert done.cases[2].own["Dice"] == 0.5
    (warning,) = done.warnings
    assert warning.startswith("labels that one of the two maps lacks: 2 in 1 of 3 cases")


def test_flat_images_have_lines_for_surfaces(desk):
    reference, prediction = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    reference[2:6, 2:6] = 1
    prediction[2:6, 3:7] = 1
    desk.put("a.png", reference, prediction)
    done = evaluate(desk.reference, desk.prediction, tolerance_mm=0)
    row = done.cases[0].rows["1"]
    assert (row["HD"], done.unit, row["reference_ml"]) == (1.0, "px", None)
    # Each outline has 12 straight pieces and 4 corners; 6 and 2 of them lie on the other's, above and below.
    corner = math.sqrt(2) / 2
    assert row["NSD"] == pytest.approx((6 + 2 * corner) / (12 + 4 * corner), rel=ROUNDING)


def test_objects(desk):
    reference, prediction = np.zeros((20, 20), np.uint16), np.zeros((20, 20), np.uint16)
    for number, (row, column) in enumerate([(1, 1), (1, 10), (10, 1)], start=1):
        reference[row : row + 4, column : column + 4] = 1000 + number
    prediction[1:5, 1:5] = 7
    prediction[1:5, 12:16] = 8  # half of it: IoU 1/3
    desk.put("a.tif", reference, prediction)
    desk.put("empty.tif", 0 * reference, 0 * prediction)
    done = evaluate(desk.reference, desk.prediction, instances=True, iou=(0.5, 0.3))
    assert done.cases[0].rows["0.5"] | {"TP": 1, "FP": 1, "FN": 2, "F1": 2 / 5} == done.cases[0].rows["0.5"]
    assert done.cases[0].rows["0.3"] | {"TP": 2, "FP": 0, "FN": 1, "F1": 4 / 5} == done.cases[0].rows["0.3"]
    assert done.cases[1].rows["0.5"]["F1"] is None
    assert done.mean["F1"] == done.mean["thresholds"]["0.5"]["F1"] == 2 / 5
    assert done.cases[0].own["Dice"] == 2 * (16 + 8) / (48 + 32)
    inner = evaluate(desk.reference, desk.prediction, instances=True, border=2)
    assert inner.cases[0].rows["0.5"]["FN"] == 0


def test_processes_give_the_same(three):
    alone = evaluate(three.reference, three.prediction)
    several = evaluate(three.reference, three.prediction, jobs=2)
    assert several.as_dict() == alone.as_dict()


def test_progress_and_stopping(three):
    seen = []
    evaluate(three.reference, three.prediction, progress=seen.append)
    assert [(step.stage, step.done, step.total) for step in seen] == [("evaluate", n, 3) for n in range(4)]
    for jobs in (1, 2):
        with pytest.raises(umamba.Cancelled):
            evaluate(three.reference, three.prediction, jobs=jobs, cancel=lambda: True)


def test_an_error_in_a_process_comes_through(three):
    three.put("b.nii.gz", None, block(4)[:4], SPACING)
    for jobs in (1, 2):
        with pytest.raises(umamba.InputError, match="case b: the reference has 12 x 12 x 8 voxels"):
            evaluate(three.reference, three.prediction, jobs=jobs)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"convention": "dice"}, "unknown convention 'dice'; choose default, umamba-abdomen"),
        ({"convention": "mamba-unet", "instances": True}, "mamba-unet measures labels, not instances"),
        ({"convention": "mamba-unet", "tolerance_mm": 2}, "a tolerance has no part in the convention"),
        ({"convention": "umamba-abdomen", "model": "x"}, "a model's labels have no part"),
        ({"instances": True, "tolerance_mm": 2}, "no part in the convention default of objects"),
        ({"iou": 0.5}, "are for objects; add instances"),
        ({"border": 2}, "are for objects; add instances"),
        ({"instances": True, "iou": 1.5}, "least IoU 1.5: a number above 0"),
        ({"instances": True, "iou": ()}, "no least IoU is given"),
        ({"instances": True, "border": -1}, "border of -1 pixels"),
        ({"tolerance_mm": -1}, "tolerance -1 mm"),
        ({"tolerance_mm": {"liver": 1}}, "tolerance for 'liver': there is no such label; no names are known"),
        ({"jobs": 0}, "0 processes were asked for"),
    ],
)
def test_options_that_do_not_go_together(three, options, part):
    with pytest.raises(umamba.InputError, match=part):
        evaluate(three.reference, three.prediction, **options)


def test_an_instance_map_is_not_taken_for_labels(desk):
    numbers = np.arange(900, dtype=np.uint16).reshape(30, 30)
    desk.put("a.png", numbers, numbers)
    with pytest.raises(umamba.InputError, match=r"case a: 899 different values found.*--instances"):
        evaluate(desk.reference, desk.prediction)


def test_cells_want_maps_of_classes(desk):
    numbers = np.arange(100, dtype=np.uint8).reshape(10, 10)
    desk.put("a.png", numbers, numbers)
    with pytest.raises(umamba.InputError, match="case a: the prediction holds the value 99"):
        evaluate(desk.reference, desk.prediction, convention="umamba-cells")
    desk.put("a.png", numbers, None)
    (desk.reference / "a.png").unlink()
    (desk.prediction / "a.png").unlink()
    desk.put("v.nii.gz", block(3), block(3))
    with pytest.raises(umamba.InputError, match=r"case v: .*for flat images; a volume was given"):
        evaluate(desk.reference, desk.prediction, convention="umamba-cells")


def test_values_beyond_16_bits(desk):
    large = block(4).astype(np.uint32) * 70_000
    desk.put("a.nrrd", large, large)
    assert evaluate(desk.reference, desk.prediction).mean["labels"]["70000"]["Dice"] == 1


def test_files(three, tmp_path):
    done = umamba.evaluate(three.reference, three.prediction)
    done.write(tmp_path / "figures.json")
    done.write(tmp_path / "figures.csv")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [case["case"] for case in figures["cases"]] == ["a", "b", "c"]
    assert figures["cases"][1]["labels"]["1"]["Dice"] == 0.8
    assert figures["mean"]["labels"]["2"]["HD95"] is None
    assert figures["mean"]["Dice"] == done.mean["Dice"]
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["label"]) for row in rows] == [(c, v) for c in "abc" for v in "12"]
    assert (rows[2]["Dice"], rows[5]["HD95"], rows[5]["reference_voxels"]) == ("0.8", "", "18")
    with pytest.raises(umamba.InputError, match="exists already"):
        done.write(tmp_path / "figures.csv")
    with pytest.raises(umamba.InputError, match=r"written as \.json, \.csv or \.png"):
        done.write(tmp_path / "figures.xlsx")
