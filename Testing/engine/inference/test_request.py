"""Options are checked before anything is read."""

import pytest

from umamba import InputError
from umamba.inference.request import Request
from umamba.inference.runplan import human_seconds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0.0}, "step"),
        ({"step": 1.5}, "step"),
        ({"step": float("nan")}, "step"),
        ({"threads": 0}, "threads"),
        ({"max_memory_bytes": 0}, "max_memory"),
        ({"roi": (0, 1, 0, 1, 0, 1), "around": (0, 0, 0)}, "exclude"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (8.4, "8 s"), (170, "3 min"), (4_800, "80 min"), (7_300, "2 h 2 min")]
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text
