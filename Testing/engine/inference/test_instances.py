"""Interior and boundary classes become numbered instances."""

import numpy as np

from umamba.inference.instances import number_instances

INTERIOR, BOUNDARY = 1, 2


def numbered(rows: list[str]) -> list[str]:
    classes = np.array([[int(c) for c in row] for row in rows], dtype=np.uint8)[None]
    out = number_instances(classes, INTERIOR, BOUNDARY)
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
