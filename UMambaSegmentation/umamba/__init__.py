"""U-Mamba and nnU-Net segmentation on any computer.

Importing this package loads neither torch nor SimpleITK; each name is resolved when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from umamba.errors import Cancelled, InputError, ModelError
from umamba.version import __version__

if TYPE_CHECKING:
    from umamba import evaluation, inference, models, nn, ops
    from umamba.evaluation.api import evaluate
    from umamba.evaluation.result import Evaluation
    from umamba.imaging.image import Geometry, Image
    from umamba.inference.api import plan, segment
    from umamba.inference.result import Result
    from umamba.inference.runplan import RunPlan
    from umamba.models.model import Model

_LAZY = {
    "Evaluation": "umamba.evaluation.result",
    "Geometry": "umamba.imaging.image",
    "Image": "umamba.imaging.image",
    "Model": "umamba.models.model",
    "Result": "umamba.inference.result",
    "RunPlan": "umamba.inference.runplan",
    "evaluate": "umamba.evaluation.api",
    "plan": "umamba.inference.api",
    "segment": "umamba.inference.api",
}
_ROOMS = ("evaluation", "inference", "models", "nn", "ops")

__all__ = [
    "Cancelled",
    "Evaluation",
    "Geometry",
    "Image",
    "InputError",
    "Model",
    "ModelError",
    "Result",
    "RunPlan",
    "__version__",
    "evaluate",
    "evaluation",
    "inference",
    "models",
    "nn",
    "ops",
    "plan",
    "segment",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"umamba.{name}")
    raise AttributeError(f"module 'umamba' has no attribute {name!r}")
