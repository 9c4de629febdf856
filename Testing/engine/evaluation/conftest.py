"""Label maps as files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk


class Desk:
    """Two folders, one for references and one for predictions, and a way to fill them."""

    def __init__(self, folder: Path) -> None:
        self.reference = folder / "references"
        self.prediction = folder / "predictions"
        self.reference.mkdir()
        self.prediction.mkdir()

    def put(
        self,
        name: str,
        reference: np.ndarray | None,
        prediction: np.ndarray | None,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        """Write (Z, Y, X) arrays, or (Y, X) as PNG or TIFF; `spacing` is x, y, z, mm."""
        for folder, values in ((self.reference, reference), (self.prediction, prediction)):
            if values is not None:
                write_labels(folder / name, values, spacing)


def write_labels(path: Path, values: np.ndarray, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> Path:
    image = sitk.GetImageFromArray(values)
    if values.ndim == 3:
        image.SetSpacing([float(mm) for mm in spacing])
    sitk.WriteImage(image, path)
    return path


@pytest.fixture
def desk(tmp_path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def write():
    return write_labels
