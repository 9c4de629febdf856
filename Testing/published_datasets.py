"""Published datasets in small: the same folders, names, entries and lists, with other voxels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np

from dataset_builders import write_volume

SIZE = (3, 9, 8)  # (Z, Y, X)
ACDC_VALUES = 4
SYNAPSE_VALUES = 9
CT_SIZE = (3, 8, 8)
FRAME_SPACING = (1.5, 1.5, 8.0)  # x, y, z in mm


def voxels(name: str, shape: tuple[int, ...] = SIZE) -> np.ndarray:
    """Values from 0 to 1, float32, of a case."""
    return _generator(name).random(shape, dtype=np.float32)


def labels(name: str, shape: tuple[int, ...] = SIZE, values: int = ACDC_VALUES) -> np.ndarray:
    """All values at least once, uint8, of a case."""
    found = _generator(name).integers(0, values, shape).astype(np.uint8)
    found.flat[:values] = np.arange(values)
    return found


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


def write_h5(path: Path, **entries: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in entries.items():
            file.create_dataset(name, data=array, compression="gzip")


def write_npz(path: Path, **entries: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **entries)


def write_list(path: Path, names: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def both_phases(patients: Iterable[int]) -> list[str]:
    """Cases as SSL4MIS names them: end diastole and end systole are frames 1 and 2."""
    return [f"patient{patient:03d}_frame{frame:02d}" for patient in patients for frame in (1, 2)]


def acdc_arrays(
    folder: Path,
    train: Sequence[int] = (4, 3),
    held: Sequence[int] = (2,),
    test: Sequence[int] = (1,),
) -> Path:
    """SSL4MIS's ACDC: all volumes, the training's slices, all lists; slices unsorted as published."""
    for name in both_phases([*train, *held, *test]):
        write_h5(folder / "data" / f"{name}.h5", image=voxels(name), label=labels(name))
    slices = []
    for name in both_phases(train):
        for z in (2, 0, 1):
            slices.append(f"{name}_slice_{z + 1}")
            path = folder / "data" / "slices" / f"{slices[-1]}.h5"
            write_h5(path, image=voxels(name)[z], label=labels(name)[z], scribble=labels(name)[z])
    write_list(folder / "train_slices.list", slices)
    for file, patients in {"train": train, "val": held, "test": test}.items():
        write_list(folder / f"{file}.list", both_phases(patients))
    return folder


def synapse(folder: Path, train: Sequence[int] = (5, 6), test: Sequence[int] = (1,)) -> Path:
    """TransUNet's Synapse, float label maps as published; its lists lie in the repository's own folder."""
    names = [f"case{number:04d}" for number in train]
    slices = []
    for name in names:
        image, label = voxels(name, CT_SIZE), labels(name, CT_SIZE, SYNAPSE_VALUES).astype(np.float32)
        for z in range(CT_SIZE[0]):
            slices.append(f"{name}_slice{z:03d}")
            write_npz(folder / "train_npz" / f"{slices[-1]}.npz", image=image[z], label=label[z])
    tests = [f"case{number:04d}" for number in test]
    for name in tests:
        image, label = voxels(name, CT_SIZE), labels(name, CT_SIZE, SYNAPSE_VALUES).astype(np.float32)
        write_h5(folder / "test_vol_h5" / f"{name}.npy.h5", image=image, label=label)
    write_list(folder / "lists" / "lists_Synapse" / "train.txt", slices)
    write_list(folder / "lists" / "lists_Synapse" / "test_vol.txt", tests)
    return folder


def frames_of(patient: int) -> tuple[int, int]:
    """End diastole and end systole: the second frame differs between patients."""
    return 1, 8 + patient


def acdc_challenge(folder: Path, train: Sequence[int] = (1, 2, 3), test: Sequence[int] = (101,)) -> Path:
    """The challenge's ACDC: Info.cfg, the sequence, two frames and their label maps for each patient."""
    for part, patients in {"training": train, "testing": test}.items():
        for patient in patients:
            _write_patient(folder / part / f"patient{patient:03d}", patient)
    (folder / "MANDATORY_CITATION.md").write_text("Bernard et al.", encoding="utf-8")
    return folder


def _write_patient(folder: Path, number: int) -> None:
    first, second = frames_of(number)
    for frame in (first, second):
        name = f"{folder.name}_frame{frame:02d}"
        image = (1000 * voxels(name)).astype(np.int16)
        write_volume(folder / f"{name}.nii.gz", image, FRAME_SPACING)
        write_volume(folder / f"{name}_gt.nii.gz", labels(name), FRAME_SPACING)
    (folder / f"{folder.name}_4d.nii.gz").write_bytes(b"the sequence is not read")
    info = f"ED: {first}\nES: {second}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
    (folder / "Info.cfg").write_text(info, encoding="utf-8")
