"""Published datasets written as nnU-Net's: `umamba convert`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from umamba.errors import InputError
from umamba.events import Monitor
from umamba.imaging.files import checked_input, reason, write_json
from umamba.training.convert.cases import TEST, TRAIN, VALIDATION, PublishedDataset
from umamba.training.dataset.raw import DATASET_FILE, dataset_name, open_dataset
from umamba.training.dataset.splits import SPLITS_FILE

if TYPE_CHECKING:
    from umamba.training.convert.slices import Spacing

STAGE = "convert"
ENDING = ".nii.gz"
_FIRST_CHANNEL = "_0000"
_GROUPS_FILE = "groups.json"  # cases by patient, for folds that are drawn (umamba.training.dataset.splits)


def _read_acdc(source: Path, lists: Path | None, spacing: Spacing | None) -> PublishedDataset:
    from umamba.training.convert.acdc import NAME, read_challenge

    if spacing is not None:
        raise InputError(f"{NAME}: the NIfTI files keep their voxel size; leave out --spacing")
    return read_challenge(source, lists)


def _read_acdc_h5(source: Path, lists: Path | None, spacing: Spacing | None) -> PublishedDataset:
    from umamba.training.convert.slices import ACDC_ARRAYS, read_arrays

    return read_arrays(ACDC_ARRAYS, source, lists, spacing)


def _read_synapse(source: Path, lists: Path | None, spacing: Spacing | None) -> PublishedDataset:
    from umamba.training.convert.slices import SYNAPSE, read_arrays

    return read_arrays(SYNAPSE, source, lists, spacing)


LAYOUTS: Mapping[str, Callable[[Path, Path | None, Spacing | None], PublishedDataset]] = {
    "acdc": _read_acdc,
    "acdc-h5": _read_acdc_h5,
    "synapse": _read_synapse,
}


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        folder: nnU-Net's raw dataset.
        training, validation, test: Numbers of cases; those of validation lie with the training's.
        notes: What the user must know of it, one line each.
    """

    folder: Path
    training: int
    validation: int
    test: int
    notes: tuple[str, ...]


def convert(
    layout: str,
    source: str | Path,
    output: str | Path,
    *,
    name: str | None = None,
    spacing: Spacing | None = None,
    lists: str | Path | None = None,
    monitor: Monitor | None = None,
) -> Conversion:
    """Write a published dataset as nnU-Net's raw dataset; it appears whole or not at all.

    Args:
        layout: One of `LAYOUTS`.
        source: The published dataset's folder.
        output: The folder to put the dataset's folder into; made if it does not exist.
        name: nnU-Net's name of the result, "Dataset501_ACDC"; None: the layout's.
        spacing: Along x, y, z in mm, for files that have none.
        lists: Folder of the lists of cases, where they do not lie with the files.
        monitor: Is told of each case in the stage "convert", and may cancel.

    Raises:
        InputError: Not this layout; a case that cannot be used; an output that exists or cannot be written.
    """
    monitor = monitor or Monitor()
    try:
        published = LAYOUTS[layout](_folder(source), None if lists is None else _folder(lists), spacing)
    except OSError as error:
        raise InputError(f"{Path(source).name}: cannot be read: {reason(error)}; check the folder") from error
    published.check_parts()
    target = Path(output) / _checked_name(name or published.name)
    with _staged(target) as folder:
        _write(published, folder, monitor)
        open_dataset(folder)  # what `umamba train` would refuse must not appear
        monitor.check()
    training, validation, test = (len(published.of(part)) for part in (TRAIN, VALIDATION, TEST))
    return Conversion(target, training, validation, test, published.notes)


def _folder(path: str | Path) -> Path:
    checked = checked_input(path)
    if not checked.is_dir():
        raise InputError(f"{checked.name}: is a file; give the folder of the dataset")
    return checked


def _checked_name(name: str) -> str:
    if dataset_name(Path(name)) != name or Path(name).name != name:
        raise InputError(f"{name!r} is no name of nnU-Net; give one such as Dataset501_ACDC")
    return name


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A folder of the target's name in a hidden place beside it, moved there when the block ends well."""
    parent = target.parent
    made = not parent.is_dir()
    hidden = None
    try:
        if target.is_symlink() or target.exists():
            raise InputError(f"{target}: exists already; choose another folder, or another name with --name")
        parent.mkdir(exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=".umamba-", dir=parent))
        staged = hidden / target.name
        staged.mkdir()
        yield staged
        staged.rename(target)  # never onto a folder with something in it
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {reason(error)}; choose another folder") from error
    finally:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
        if made and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def _write(published: PublishedDataset, folder: Path, monitor: Monitor) -> None:
    values = frozenset(published.labels.values())
    for part in ("Tr", "Ts"):
        (folder / f"images{part}").mkdir()
        (folder / f"labels{part}").mkdir()
    for done, case in enumerate(published.cases):
        monitor.step(STAGE, done, len(published.cases))
        part = "Ts" if case.part == TEST else "Tr"
        image = folder / f"images{part}" / f"{case.name}{_FIRST_CHANNEL}{ENDING}"
        case.files.write(image, folder / f"labels{part}" / f"{case.name}{ENDING}", values)
    monitor.step(STAGE, len(published.cases), len(published.cases))
    for empty in ("labelsTs", "imagesTs"):
        if not any((folder / empty).iterdir()):
            (folder / empty).rmdir()
    _describe(published, folder)


def _describe(published: PublishedDataset, folder: Path) -> None:
    """dataset.json, and what keeps patients together: the published folds, or the patient of each case."""
    training = published.of(TRAIN, VALIDATION)
    description = {
        "channel_names": {"0": published.channel},
        "labels": dict(published.labels),
        "numTraining": len(training),
        "file_ending": ENDING,
        "description": published.description,
    }
    write_json(folder / DATASET_FILE, description)
    if held := published.of(VALIDATION):
        fold = {"train": [case.name for case in published.of(TRAIN)], "val": [case.name for case in held]}
        write_json(folder / SPLITS_FILE, [fold])
    elif len({case.patient for case in training}) < len(training):
        write_json(folder / _GROUPS_FILE, {case.name: case.patient for case in training})
