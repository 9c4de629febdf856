"""Cases kept as arrays: HDF5 or NPZ files with the entries `image` and `label`, whole or slice by slice."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from umamba.errors import InputError
from umamba.evaluation.pairs import some
from umamba.imaging.files import checked_input
from umamba.imaging.image import Geometry, Image
from umamba.imaging.write import write_labels, write_values

IMAGE, LABEL = "image", "label"
_ENTRIES = (IMAGE, LABEL)
# Decoded. A file of a few bytes may declare any size; the largest published volume has 0.2 GB.
_LARGEST_BYTES = 8_000_000_000
_AXES = {2: "a slice (Y, X)", 3: "a volume (Z, Y, X)"}
_NUMBERS = "iufb"  # numpy's kinds: integers, floats, truth values


@dataclass(frozen=True)
class ArrayCase:
    """A volume in one file, or slices in the order in which they lie upon each other.

    Attributes:
        paths: One file with (Z, Y, X) arrays, or one for each slice with (Y, X) arrays.
        sliced: Whether these are slices.
        spacing: Along x, y, z in mm; the files have none.
        square: Whether all slices are known to be square, which tells a volume that lies on its side.
    """

    paths: tuple[Path, ...]
    sliced: bool
    spacing: tuple[float, float, float]
    square: bool = False

    @property
    def labelled(self) -> bool:
        """Whether there is a label map: every such file has one."""
        return True

    def write(self, image: Path, label: Path, values: frozenset[int]) -> None:
        """Write float32 and uint8 volumes on a grid without origin and turn, as `CaseFiles.write`."""
        voxels, labels = self._read(values)
        grid = _grid(voxels.shape, self.spacing)
        write_values(image, voxels, Image(voxels, grid))
        write_labels(label, labels.astype(np.uint8), Image(labels, grid))

    def _read(self, values: frozenset[int]) -> tuple[np.ndarray, np.ndarray]:
        """Both (Z, Y, X): float32, and the file's own numbers."""
        if not self.sliced:
            voxels, labels = read_pair(self.paths[0], 3, values)
            self._check_order(voxels.shape)
            return voxels, labels
        pairs = [read_pair(path, 2, values) for path in self.paths]
        for path, (plane, _) in zip(self.paths, pairs, strict=True):
            if plane.shape != pairs[0][0].shape:
                raise InputError(
                    f"{path.name}: {_size(plane.shape)} pixels, {self.paths[0].name} of the same case has "
                    f"{_size(pairs[0][0].shape)}; copy the files again"
                )
        return np.stack([plane for plane, _ in pairs]), np.stack([plane for _, plane in pairs])

    def _check_order(self, shape: tuple[int, ...]) -> None:
        if self.square and shape[0] == shape[1] != shape[2]:
            raise InputError(
                f"{self.paths[0].name}: is {_size(shape)}, with the slices on the last axis; (Z, Y, X) is "
                "wanted, as in the published files: move the last axis to the front"
            )


def read_pair(path: Path, axes: int, values: frozenset[int]) -> tuple[np.ndarray, np.ndarray]:
    """Read the image and the label map of a file, HDF5 (.h5) or NPZ.

    Args:
        path: The file.
        axes: How many axes both must have, 2 or 3.
        values: Those that the label map may hold.

    Returns:
        The image as float32, the label map with its own numbers.

    Raises:
        InputError: It cannot be read, lacks an entry, or its arrays are not such a pair.
    """
    checked_input(path)
    voxels, labels = _read_hdf5(path) if path.suffix == ".h5" else _read_npz(path)
    if voxels.ndim != axes:
        raise InputError(
            f"{path.name}: {IMAGE} is {_size(voxels.shape)}, {_AXES[axes]} is wanted; copy the file again, "
            "or choose the right layout"
        )
    if voxels.shape != labels.shape:
        raise InputError(
            f"{path.name}: {IMAGE} is {_size(voxels.shape)} and {LABEL} {_size(labels.shape)}; both must "
            "have the same shape: copy the file again"
        )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused
        voxels = voxels.astype(np.float32, copy=False)
    if not np.isfinite(voxels).all():
        raise InputError(f"{path.name}: {IMAGE} holds NaN or infinite values; copy the file again")
    _check_values(labels, values, path.name)
    return voxels, labels


def _read_hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise InputError(
            "HDF5 files need h5py, which is not installed: pip install 'umamba[train]'"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            entries = {name: file[name] for name in file if isinstance(file[name], h5py.Dataset)}
            return _pair(path, entries, lambda entry: entry.nbytes)
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path.name}: cannot be read as HDF5; copy or download it again") from error


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path) as file, zipfile.ZipFile(path) as packed:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in packed.infolist()}
            return _pair(path, {name: name for name in file.files}, sizes.__getitem__, file.__getitem__)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name}: cannot be read as NPZ; copy or download it again") from error


def _pair(
    path: Path,
    entries: Mapping[str, Any],
    size_bytes: Callable[[Any], int],
    load: Callable[[Any], Any] = lambda entry: entry[()],
) -> tuple[np.ndarray, np.ndarray]:
    """Load both entries, neither of which may be larger than any image."""
    missing = [name for name in _ENTRIES if name not in entries]
    if missing:
        raise InputError(
            f"{path.name}: has no entry {' and no entry '.join(missing)}, it has "
            f"{some(sorted(entries)) or 'none'}; {IMAGE} and {LABEL} are wanted"
        )
    arrays = []
    for name in _ENTRIES:
        if size_bytes(entries[name]) > _LARGEST_BYTES:
            raise InputError(
                f"{path.name}: {name} would take {size_bytes(entries[name]) / 1e9:.0f} GB, "
                f"{_LARGEST_BYTES / 1e9:.0f} GB is the most; no published image is so large"
            )
        array = np.asarray(load(entries[name]))
        if array.dtype.kind not in _NUMBERS or not array.size:
            raise InputError(f"{path.name}: {name} holds no numbers; copy the file again")
        arrays.append(array)
    return arrays[0], arrays[1]


def _check_values(labels: np.ndarray, values: frozenset[int], name: str) -> None:
    found = np.unique(labels)
    strange = [f"{value:g}" for value in found.tolist() if value not in values]
    if strange:
        raise InputError(
            f"{name}: {LABEL} holds {some(strange)}; {min(values)} to {max(values)} are wanted, as in the "
            "published files: number the labels so"
        )


def _grid(shape: tuple[int, ...], spacing: tuple[float, float, float]) -> Geometry:
    size = (shape[2], shape[1], shape[0])
    return Geometry(size, spacing, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if math.prod(shape) and shape else str(shape)
