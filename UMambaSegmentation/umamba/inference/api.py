"""`segment` and `plan`: the two functions that everything else calls."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from umamba.errors import InputError
from umamba.events import CancelCallback, Monitor, ProgressCallback
from umamba.inference.request import GIGABYTE, Request
from umamba.inference.result import Result
from umamba.inference.run import prepare, run
from umamba.inference.runplan import RunPlan
from umamba.inference.session import LoadedModel
from umamba.models.model import Model


def segment(
    image: Any,  # noqa: ANN401
    model: str | Path | Model | LoadedModel,
    *,
    device: str = "auto",
    labels: str | Sequence[str | int] | None = None,
    roi: Sequence[float] | None = None,
    around: Sequence[float] | None = None,
    folds: str | int | Sequence[str | int] = "all",
    mirror: bool | None = None,
    step: float = 0.5,
    max_memory: float | None = None,
    threads: int | None = None,
    series: str | None = None,
    uncertainty: bool = False,
    probabilities: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
    on_plan: Any = None,  # noqa: ANN401
) -> Result:
    """Segment an image.

    Args:
        image: Path (a folder is a DICOM series), `umamba.Image` or `SimpleITK.Image`; a list with one of
            these per channel, in the card's order, for several channels.
        model: Id, model folder, results folder of nnU-Net or U-Mamba, or a loaded model.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        labels: Keys or values to keep; the others become 0.
        roi: X0, X1, Y0, Y1, Z0, Z1 in mm, LPS. Voxels whose centres lie inside are cut out before
            anything else; the result has the full grid, 0 outside.
        around: X, Y, Z in mm, LPS: a region of the card's field of view (else of one patch) around it.
        folds: "all" or the folds to average.
        mirror: Test-time mirroring; None takes the card's default.
        step: Window distance as a fraction of the patch.
        max_memory: Largest resident memory of this process, GB (1e9 bytes).
        threads: CPU threads.
        series: UID of a series, for a DICOM folder with several.
        uncertainty: Also give the entropy of the softmax.
        probabilities: Also give probabilities as nnU-Net saves them.
        progress: Called with `umamba.events.Progress`, from this thread.
        cancel: Asked often; when it returns True the run stops within one tile.
        on_plan: Called once with the `RunPlan` before the computation starts.

    Raises:
        InputError: The image, the model or an option is wrong; nothing was computed.
        Cancelled: `cancel` said so.
    """
    request = _request(device, labels, roi, around, folds, mirror, step, max_memory, threads)
    request = request.with_extras(uncertainty, probabilities)
    monitor = Monitor(progress, cancel)
    prepared = prepare(image, model, request, monitor, series)
    if on_plan is not None:
        on_plan(prepared.plan)
    return run(prepared, monitor)


def plan(
    image: Any,  # noqa: ANN401
    model: str | Path | Model | LoadedModel,
    *,
    device: str = "auto",
    labels: str | Sequence[str | int] | None = None,
    roi: Sequence[float] | None = None,
    around: Sequence[float] | None = None,
    folds: str | int | Sequence[str | int] = "all",
    mirror: bool | None = None,
    step: float = 0.5,
    max_memory: float | None = None,
    threads: int | None = None,
    series: str | None = None,
    uncertainty: bool = False,
    probabilities: bool = False,
    cancel: CancelCallback | None = None,
) -> RunPlan:
    """What `segment` would take with the same arguments; reads the image, computes nothing.

    Raises:
        InputError: As `segment`.
    """
    request = _request(device, labels, roi, around, folds, mirror, step, max_memory, threads)
    request = request.with_extras(uncertainty, probabilities)
    return prepare(image, model, request, Monitor(cancel=cancel), series).plan


def _request(
    device: str,
    labels: str | Sequence[str | int] | None,
    roi: Sequence[float] | None,
    around: Sequence[float] | None,
    folds: str | int | Sequence[str | int],
    mirror: bool | None,
    step: float,
    max_memory: float | None,
    threads: int | None,
) -> Request:
    limit = None if max_memory is None else _numbers("max_memory", [max_memory])[0]
    return Request(
        device=device,
        labels=None if labels is None else tuple(labels.split(",") if isinstance(labels, str) else labels),
        roi=None if roi is None else _numbers("roi", roi),
        around=None if around is None else _numbers("around", around),
        folds=_folds(folds),
        mirror=mirror,
        step=_numbers("step", [step])[0],
        max_memory_bytes=None if limit is None else int(limit * GIGABYTE),
        threads=None if threads is None else int(_numbers("threads", [threads])[0]),
    )


def _numbers(option: str, values: Sequence[float]) -> tuple[float, ...]:
    """Finite numbers; InputError naming the option otherwise."""
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        found = ()
    if not found or not all(isfinite(value) for value in found):
        raise InputError(f"{option}: finite numbers are wanted, found {str(values)[:60]}")
    return found


def _folds(folds: str | int | Sequence[str | int]) -> str | tuple[str, ...]:
    """ "all", or the folds as texts."""
    asked = folds.split(",") if isinstance(folds, str) else [folds] if isinstance(folds, int) else folds
    names = tuple(str(fold).strip() for fold in asked)
    return "all" if names == ("all",) else names
