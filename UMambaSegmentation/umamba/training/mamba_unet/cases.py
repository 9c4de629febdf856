"""Cases as Mamba-UNet's published training stores them: whole volumes from 0 to 1, at their own size."""

from __future__ import annotations

from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

from umamba.inference.acdc import to_unit


class WholeVolumeTo01(DefaultPreprocessor):  # type: ignore[misc]
    """In the place of nnU-Net's: neither crop nor spacing; every channel by its least and largest value."""

    def run_case_npy(
        self,
        data: np.ndarray,
        seg: np.ndarray,
        properties: dict[str, Any],
        plans_manager: Any,  # noqa: ANN401
        configuration_manager: Any,  # noqa: ANN401
        dataset_json: Any,  # noqa: ANN401
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Volumes (C, Z, Y, X) float32 and labels (1, Z, Y, X), in the plans' order of axes."""
        axes = [0, *(axis + 1 for axis in plans_manager.transpose_forward)]
        volumes = data.transpose(axes)
        unit = [to_unit(volume, float(volume.min()), float(volume.max())) for volume in volumes]
        return np.stack(unit), seg.transpose(axes), {"spacing": properties["spacing"]}
