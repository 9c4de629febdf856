"""Objects found: against an optimal assignment, and small cases by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from umamba.evaluation.objects import Found, match, without_border

EXAMPLES = 60
instances = arrays(np.uint16, (6, 7), elements=st.sampled_from([0, 1, 2, 5, 9, 60000]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(reference=instances, prediction=instances, least=st.sampled_from([0.1, 0.3, 0.5, 0.75, 1.0]))
def test_as_many_pairs_as_an_optimal_assignment_makes(reference, prediction, least):
    numbers = [[value for value in np.unique(array) if value] for array in (reference, prediction)]
    iou = np.array(
        [
            [
                np.sum((reference == a) & (prediction == b)) / np.sum((reference == a) | (prediction == b))
                for b in numbers[1]
            ]
            for a in numbers[0]
        ]
    ).reshape(len(numbers[0]), len(numbers[1]))
    good = iou >= least
    pairs = int(good[linear_sum_assignment(-good.astype(int))].sum())
    found = match(reference, prediction, least)
    assert found == Found(pairs, len(numbers[1]) - pairs, len(numbers[0]) - pairs)


def test_scores_by_hand():
    assert Found(3, 1, 2).scores() == {
        "F1": 6 / 9,
        "precision": 3 / 4,
        "recall": 3 / 5,
        "TP": 3,
        "FP": 1,
        "FN": 2,
    }
    assert Found(0, 0, 0).scores()["F1"] is None
    assert Found(0, 0, 2).scores()["F1"] == 0


def test_an_iou_of_exactly_the_threshold_counts():
    reference, prediction = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    reference[0, :3] = 1
    prediction[0, 1:] = 1  # 2 of 4
    assert match(reference, prediction, 0.5) == Found(1, 0, 0)
    assert match(reference, prediction, 0.51) == Found(0, 1, 1)


@pytest.mark.parametrize(("width", "left"), [(0, {1, 2, 3}), (1, {2, 3}), (2, {3}), (9, set())])
def test_objects_at_the_border_are_left_out_whole(width, left):
    image = np.zeros((1, 9, 9), np.uint8)
    image[0, 0:3, 4] = 1
    image[0, 1:3, 1:3] = 2
    image[0, 4:7, 4:7] = 3
    assert set(np.unique(without_border(image, width))) - {0} == left
