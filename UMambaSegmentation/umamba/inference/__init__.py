"""From image to labels: the pipeline, its plan, and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umamba.inference.api import plan, segment
    from umamba.inference.steps import logits, preprocess

__all__ = ["logits", "plan", "preprocess", "segment"]

_LAZY = {
    "logits": "umamba.inference.steps",
    "plan": "umamba.inference.api",
    "preprocess": "umamba.inference.steps",
    "segment": "umamba.inference.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'umamba.inference' has no attribute {name!r}")
