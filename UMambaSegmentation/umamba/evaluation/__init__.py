"""Segmentations held against references: overlap, distances, volumes, objects; tables and a plot of them.

Importing this package loads nothing else; `umamba.evaluate` is its face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umamba.evaluation.api import evaluate
    from umamba.evaluation.result import Evaluation

__all__ = ["Evaluation", "evaluate"]

_LAZY = {"Evaluation": "umamba.evaluation.result", "evaluate": "umamba.evaluation.api"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'umamba.evaluation' has no attribute {name!r}")
