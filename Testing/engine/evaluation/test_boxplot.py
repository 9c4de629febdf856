"""The plot: what a box shows, and that it comes out of any evaluation."""

import numpy as np
import pytest
from PIL import Image as Picture

from umamba.evaluation.api import evaluate
from umamba.evaluation.boxplot import FILL, MOST_ROWS, ROW, _plain, _ticks, box_of


def test_a_box_by_hand():
    box = box_of([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (box.lower, box.median, box.upper) == (2.0, 3.0, 4.0)
    assert (box.low, box.high) == (1.0, 4.0)  # 100 lies further out than 1.5 boxes
    assert box_of([0.5]).low == box_of([0.5]).high == 0.5


@pytest.mark.parametrize(
    ("values", "is_share", "ticks"),
    [
        ([0.82, 0.95], True, [0.8, 0.85, 0.9, 0.95, 1.0]),
        ([0.0, 1.0], True, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([1.0], True, [0.8, 1.0]),
        ([3.0, 17.0], False, [0.0, 5.0, 10.0, 15.0, 20.0]),
        ([0.0], False, [0.0, 0.2]),
    ],
)
def test_a_scale_holds_all_values_at_round_numbers(values, is_share, ticks):
    assert _ticks(values, is_share) == pytest.approx(ticks)


def test_names_without_latin_letters():
    assert _plain("Niere, groß", 3) == "Niere, gross"
    assert _plain("肝臓", 3) == "row 3"


def colours(path):
    with Picture.open(path) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}, picture.size


def test_a_plot_has_boxes_for_what_is_defined(desk, tmp_path):
    random = np.random.default_rng(0)
    for name in "abcde":
        truth = (random.random((4, 9, 9)) < 0.5).astype(np.uint8)
        desk.put(f"{name}.nii.gz", truth, np.roll(truth, 1, axis=2))
    evaluate(desk.reference, desk.prediction).write(tmp_path / "plot.png")
    found, _ = colours(tmp_path / "plot.png")
    assert FILL in found


def test_a_plot_of_nothing_says_so(desk, tmp_path):
    desk.put("a.nii.gz", np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint8))
    done = evaluate(desk.reference, desk.prediction)
    assert done.mean == {**dict.fromkeys(done.convention.own), "labels": {}}
    done.write(tmp_path / "plot.png")
    assert FILL not in colours(tmp_path / "plot.png")[0]


def test_a_plot_of_very_many_labels_stays_a_picture(desk, tmp_path):
    values = np.arange(MOST_ROWS + 50, dtype=np.uint16).reshape(1, 10, -1)
    desk.put("a.nii.gz", values, values)
    evaluate(desk.reference, desk.prediction).write(tmp_path / "plot.png")
    assert colours(tmp_path / "plot.png")[1][1] < (MOST_ROWS + 10) * ROW
