"""How the training's messages and names write sizes."""

from __future__ import annotations

from collections.abc import Iterable


def by(values: Iterable[float], sign: str = " x ") -> str:
    """ "40 x 56 x 0.5"."""
    return sign.join(f"{value:g}" for value in values)
