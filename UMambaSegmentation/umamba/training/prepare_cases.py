"""Cases as nnU-Net's trainer reads them: cropped, normalised, resampled, stored whole or not at all."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.evaluation.workers import run_all
from umamba.events import Monitor
from umamba.imaging.files import MEGABYTE, check_space, reason
from umamba.training.dataset.raw import Case, RawDataset
from umamba.training.planning.presets import PREPROCESSOR

STAGE = "preprocess"
_UNWRITTEN = "NDArray"  # in what Blosc2 says of a file that it cannot write
# nnU-Net's files of a case; the last one moved tells that all are there.
_IMAGE, _LABELS, _PROPERTIES = ".b2nd", "_seg.b2nd", ".pkl"
_ENDINGS = (_IMAGE, _LABELS, _PROPERTIES)
# Bytes of a voxel, at most: float32 of each channel, int16 of the labels. They are packed, noise hardly.
_CHANNEL_BYTES, _LABEL_BYTES = 4, 2


def preprocess_cases(
    raw: RawDataset,
    folder: Path,
    plans: Mapping[str, Any],
    configuration: str,
    fingerprint: Mapping[str, Any],
    monitor: Monitor,
    processes: int,
) -> None:
    """Preprocess by nnU-Net each case that is not in `folder` yet.

    Args:
        raw: The dataset.
        folder: The configuration's data, in nnU-Net's layout; made where it is missing.
        plans, configuration: Whose spacing and normalisation.
        fingerprint: For an estimate of the space that is needed.
        monitor: Is told of each case in the stage "preprocess", and may cancel; whole cases stay.
        processes: Processes to work with; with 1 all is done in this one.

    Raises:
        InputError: The disk has too little room, or a process died.
    """
    missing = [(number, case) for number, case in enumerate(raw.cases) if not _is_whole(folder, case.name)]
    monitor.step(STAGE, len(raw.cases) - len(missing), len(raw.cases))
    if not missing:
        return
    beside = folder.with_name(f"{folder.name}.writing")
    shutil.rmtree(beside, ignore_errors=True)  # what a killed run left
    folder.mkdir(parents=True, exist_ok=True)
    sizes = _stored_bytes(plans, configuration, fingerprint, raw.channel_count)
    check_space(folder, sum(sizes[number] for number, _ in missing))
    beside.mkdir()
    try:
        tasks = [(case, beside, folder, plans, configuration, raw.description) for _, case in missing]
        done = len(raw.cases) - len(missing)
        for _ in run_all(preprocess_case, tasks, processes, monitor.check):
            done += 1
            monitor.step(STAGE, done, len(raw.cases))
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def preprocess_case(
    case: Case,
    beside: Path,
    folder: Path,
    plans: dict[str, Any],
    configuration: str,
    description: dict[str, Any],
) -> None:
    """Preprocess one case into `beside` and move it, whole, into `folder`."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    with _saying_what_cannot_be_written(folder):
        _preprocessor(plans["configurations"][configuration]).run_case_save(
            str(beside / case.name),
            [str(path) for path in case.images],
            str(case.label),
            manager,
            manager.get_configuration(configuration),
            description,
        )
        for ending in _ENDINGS:
            (beside / f"{case.name}{ending}").replace(folder / f"{case.name}{ending}")


@contextmanager
def _saying_what_cannot_be_written(folder: Path) -> Iterator[None]:
    """Tell a write that fails from other faults.

    Raises:
        InputError: A case could not be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError):
            why = reason(error)
        elif _UNWRITTEN in str(error):  # Blosc2 does not pass on what the system said
            why = f"{shutil.disk_usage(folder).free / MEGABYTE:.0f} MB are free on the disk"
        else:
            raise
        raise InputError(
            f"{folder.name}: a preprocessed case could not be written ({why}); make room or allow larger "
            "files there, then run the same command again: whole cases are kept"
        ) from error


def _preprocessor(entry: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The one that a configuration names: a preset's, or nnU-Net's."""
    if entry.get("preprocessor_name") == PREPROCESSOR:
        from umamba.training.mamba_unet.cases import WholeVolumeTo01

        return WholeVolumeTo01(verbose=False)
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    return DefaultPreprocessor(verbose=False)


def _is_whole(folder: Path, name: str) -> bool:
    return all((folder / f"{name}{ending}").is_file() for ending in _ENDINGS)


def _stored_bytes(
    plans: Mapping[str, Any], configuration: str, fingerprint: Mapping[str, Any], channels: int
) -> list[int]:
    """An upper estimate of the space that each case takes."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    spacing = PlansManager(dict(plans)).get_configuration(configuration).spacing
    order = plans["transpose_forward"]
    voxel_bytes = channels * _CHANNEL_BYTES + _LABEL_BYTES
    sizes = []
    for shape, own in zip(fingerprint["shapes_after_crop"], fingerprint["spacings"], strict=True):
        current = [own[axis] for axis in order]
        target = [current[0], *spacing] if len(spacing) < len(current) else spacing
        scale = math.prod(current) / math.prod(target)
        sizes.append(math.ceil(math.prod(shape) * scale) * voxel_bytes)
    return sizes
