"""Interior and boundary classes become numbered instances."""

import numpy as np
import pytest

from umamba import ModelError
from umamba.inference.instances import certain_interior, number_instances
from umamba.models.card import Instances

BACKGROUND, INTERIOR, BOUNDARY = range(3)
CERTAINTY = 0.9


def numbered(rows: list[str], smallest: int = 0) -> list[str]:
    classes = np.array([[int(c) for c in row] for row in rows], dtype=np.uint8)[None]
    out = number_instances(classes, Instances(BOUNDARY, INTERIOR, smallest=smallest))
    assert out.dtype == np.uint16
    return ["".join(str(value) for value in row) for row in out[0]]


def test_two_cells_share_their_touching_boundary() -> None:
    assert numbered(["0000000", "2122122", "0000000"]) == ["0000000", "1112222", "0000000"]


def test_boundary_without_interior_is_dropped() -> None:
    assert numbered(["220001", "220000"]) == ["000001", "000000"]


def test_diagonal_interiors_are_one_cell() -> None:
    assert numbered(["100", "010", "000"]) == ["100", "010", "000"]


def test_boundary_goes_to_its_own_group_only() -> None:
    """The boundary in the last column is nearer to nothing but its own cell, across a gap of background."""
    assert numbered(["1001", "2002", "2002"]) == ["1002", "1002", "1002"]


def test_empty_image_has_no_instance() -> None:
    assert numbered(["000", "000"]) == ["000", "000"]


def test_small_objects_are_left_out_with_their_boundary() -> None:
    rows = ["1022201", "0021201", "0022201", "0000002"]
    assert numbered(rows) == ["1033302", "0033302", "0033302", "0000002"]
    assert numbered(rows, smallest=4) == ["0022201", "0022201", "0022201", "0000001"]
    assert numbered(rows, smallest=5) == ["0011100", "0011100", "0011100", "0000000"]


def test_specks_that_are_left_out_do_not_count_as_too_many() -> None:
    classes = np.zeros((1, 600, 600), np.uint8)
    classes[0, ::2, ::2] = INTERIOR
    classes[0, :5, :5] = INTERIOR
    with pytest.raises(ModelError, match="a label map holds at most 65535"):
        number_instances(classes, Instances(BOUNDARY, INTERIOR))
    out = number_instances(classes, Instances(BOUNDARY, INTERIOR, smallest=2))
    assert (out.dtype, out.max(), (out > 0).sum()) == (np.uint16, 1, 25)


def test_doubtful_interior_is_boundary() -> None:
    shares = np.array([0.49, 0.6, 0.89, 0.91, 1.0])
    probabilities = np.zeros((3, 1, 6), np.float32)
    probabilities[INTERIOR, 0, :5] = 0.8 * shares
    probabilities[BOUNDARY, 0, :5] = 0.8 * (1 - shares) + 1e-7
    probabilities[BACKGROUND] = 1 - probabilities[1:].sum(axis=0) + 1e-7
    logits = np.log(np.maximum(probabilities, 1e-7))
    labels = logits.argmax(axis=0)
    assert labels.tolist() == [[BOUNDARY, INTERIOR, INTERIOR, INTERIOR, INTERIOR, BACKGROUND]]
    certain_interior(labels, logits, Instances(BOUNDARY, INTERIOR, CERTAINTY))
    assert labels.tolist() == [[BOUNDARY, BOUNDARY, BOUNDARY, INTERIOR, INTERIOR, BACKGROUND]]
