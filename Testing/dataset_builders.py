"""Small datasets on disk, whole ones to be broken by tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import SimpleITK

SIZE = (10, 14, 12)  # (Z, Y, X)
LABELS = {"background": 0, "core": 1, "rim": 2}
DESCRIPTION: dict[str, Any] = {
    "channel_names": {"0": "MR"},
    "labels": LABELS,
    "file_ending": ".nii.gz",
}


def write_volume(path: Path, voxels: np.ndarray, spacing: Sequence[float] = (1.0, 1.0, 2.0)) -> None:
    """(Z, Y, X) voxels; spacing along x, y, z."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    SimpleITK.WriteImage(image, str(path))


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """(Y, X), (Y, X, 3) or (Y, X, 4) uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)


def label_voxels(seed: int, shape: tuple[int, ...] = SIZE) -> np.ndarray:
    """A core inside a rim, uint8, at a place that the seed decides."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))
    centre = np.array(shape).reshape(-1, *[1] * len(shape)) / 2 + generator.uniform(
        -1, 1, (len(shape), *[1] * len(shape))
    )
    squared = ((grid - centre) ** 2).sum(0)
    return np.where(squared < 2**2, 1, np.where(squared < 4**2, 2, 0)).astype(np.uint8)


def image_voxels(labels: np.ndarray, seed: int) -> np.ndarray:
    """Noise around twice the label, float32."""
    noise = np.random.default_rng(seed).normal(size=labels.shape)
    return (noise + 2 * labels).astype(np.float32)


def nnunet_dataset(
    folder: Path,
    names: Sequence[str],
    *,
    channels: int = 1,
    shape: tuple[int, ...] = SIZE,
    spacing: Sequence[float] = (1.0, 1.0, 2.0),
    **changes: Any,
) -> Path:
    """nnU-Net's raw layout with volumes; `changes` replace fields of dataset.json (None: left out)."""
    for seed, name in enumerate(names):
        labels = label_voxels(seed, shape)
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", labels, spacing)
        for channel in range(channels):
            voxels = image_voxels(labels, 100 * channel + seed)
            write_volume(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz", voxels, spacing)
    described = {
        **DESCRIPTION,
        "channel_names": {str(channel): f"MR{channel}" for channel in range(channels)},
        "numTraining": len(names),
        **changes,
    }
    write_description(folder, {key: value for key, value in described.items() if value is not None})
    return folder


def write_description(folder: Path, content: Any) -> None:
    """dataset.json; a text is written as it is."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "dataset.json").write_text(text, encoding="utf-8")


def picture_folder(folder: Path, names: Sequence[str], *, colours: int = 3, ending: str = ".png") -> Path:
    """A plain folder with images/ and labels/ of 24 x 20 pixels."""
    for seed, name in enumerate(names):
        labels = label_voxels(seed, (24, 20))
        pixels = np.random.default_rng(seed).integers(0, 200, (24, 20, colours)).astype(np.uint8)
        pixels += 20 * labels[..., None]
        write_picture(folder / "images" / f"{name}{ending}", pixels[..., 0] if colours == 1 else pixels)
        write_picture(folder / "labels" / f"{name}{ending}", labels)
    return folder
