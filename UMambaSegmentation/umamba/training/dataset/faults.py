"""One line for many faulty cases."""

from __future__ import annotations

from collections.abc import Sequence

from umamba.errors import InputError
from umamba.evaluation.pairs import some


def raise_first(faults: Sequence[tuple[str, str]]) -> None:
    """Raise for the first fault and count the others.

    Args:
        faults: Name of a case and what is wrong with it and what to do; at most one of each case.

    Raises:
        InputError: There is a fault.
    """
    if not faults:
        return
    (name, fault), *others = faults
    line = f"case {name}: {fault}"
    if others:
        have = "case has a fault" if len(others) == 1 else "cases have faults"
        line += f" ({len(others)} more {have}: {some([other for other, _ in others])})"
    raise InputError(line)
