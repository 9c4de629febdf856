"""Images as the pipeline holds them."""

from __future__ import annotations

import numpy as np
import pytest

from umamba.imaging.image import Geometry, Image
from umamba.inference.inputs import narrowed

GRID = Geometry((2, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int32, (-1024, 3071), np.int16),
        (np.int64, (-32768, 32767), np.int16),
        (np.uint32, (0, 32768), np.uint32),
        (np.int32, (-32769, 0), np.int32),
        (np.uint16, (0, 5), np.uint16),
        (np.float32, (1, 2), np.float32),
    ],
)
def test_wide_integers_are_held_in_sixteen_bits_where_they_fit(
    dtype: type, values: tuple[int, int], expected: type
) -> None:
    held = narrowed(Image(np.array([[values]], dtype=dtype), GRID)).data
    assert held.dtype == expected
    assert tuple(held[0, 0].tolist()) == values
