"""What a person can do about a model's fault, where the check that finds it cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from umamba.errors import ModelError

GET_AGAIN = "get the model again from where it came"
AS_WRITTEN = "give a model as U-Mamba or nnU-Net v2 wrote it"
# What stands behind this in a message is the advice.
_MARK = "; "


@contextmanager
def advising(advice: str) -> Iterator[None]:
    """Add the advice to every ModelError of the block that has none of its own."""
    try:
        yield
    except ModelError as error:
        if _MARK in str(error):
            raise
        raise ModelError(f"{error}{_MARK}{advice}") from error.__cause__
