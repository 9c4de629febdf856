"""`umamba train`: from a folder of images and labels to a trained and validated network."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba import messages
from umamba.cli.parser import names
from umamba.cli.report import Report
from umamba.cli.stop import Stop
from umamba.cli.streams import error_line
from umamba.cli.train_display import displayed
from umamba.cli.train_options import (
    OUTPUT_OPTION,
    asked_settings,
    fold_number,
    label_values,
    parse,
    plan_options,
)
from umamba.errors import Cancelled, InputError
from umamba.events import Monitor

if TYPE_CHECKING:
    from umamba.evaluation.result import Evaluation
    from umamba.inference.device import Device
    from umamba.training.dataset import RawDataset
    from umamba.training.folders import TrainingFolders
    from umamba.training.run import Job
    from umamba.training.schedule import Schedule
    from umamba.training.settings import Settings

CANCELLED = 130
# Reading and preprocessing: a further process pays off with so many cases.
CASES_PER_PROCESS = 8
# Augmentation: for a GPU as many processes as nnU-Net takes; a CPU that trains needs most cores itself.
MOST_WORKERS = 12
CORES_PER_WORKER = 8


@dataclass(frozen=True)
class Request:
    """One call of the command.

    Attributes:
        options: As they were typed.
        settings: Of the training, new or begun before.
        folders: Where it lies.
        device: Where it runs.
    """

    options: argparse.Namespace
    settings: Settings
    folders: TrainingFolders
    device: Device


def run(words: list[str], stop: Stop) -> int:
    """Prepare the dataset, train, validate; what is done already is not done again."""
    options = parse(words)
    report = Report(options.json, options.quiet)
    started = time.monotonic()
    job: Job | None = None
    try:
        with stop.gently():
            request = _request(options)
            job = _prepare(request, report, stop)
            _train(request, job, report, stop)
            evaluation = _validate(request, job, report, stop)
    except (Cancelled, KeyboardInterrupt):
        return _stopped(job, report)
    seconds = time.monotonic() - started
    report.event({"event": "result", **_result(job, evaluation), "seconds": round(seconds, 2)})
    report.line("\n".join(_summary(job, evaluation, seconds)))
    return 0


def _request(options: argparse.Namespace) -> Request:
    """Check all that can be known before the work begins.

    Raises:
        InputError: Something about the options, the folder or the device is wrong.
    """
    from umamba.training.run import require_nnunet

    require_nnunet()
    from umamba.training.folders import TrainingFolders
    from umamba.training.pretrained import check_given
    from umamba.training.settings import begun_training, new_training

    folder: Path = options.output
    if options.resume and options.pretrained is not None:
        raise InputError(
            "--pretrained begins a training and --resume goes on with one; leave one of them away"
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{OUTPUT_OPTION} {folder} is a file; give a folder")
    if os.path.realpath(folder) == os.path.realpath(options.dataset):
        raise InputError(f"{OUTPUT_OPTION} {folder} is the dataset; give another folder")
    folders, asked = TrainingFolders(folder), asked_settings(options)
    settings = begun_training(folders, asked).settings if options.resume else new_training(folders, asked)
    if options.pretrained is not None:
        check_given(options.pretrained, settings.network)
    return Request(options, settings, folders, _device(options))


def _device(options: argparse.Namespace) -> Device:
    from umamba.inference.device import choose_device
    from umamba.inference.run import cpu_threads

    with cpu_threads(options.threads):  # the device's name tells of them
        device, count = choose_device(options.device), options.devices
    kind = device.torch.type
    if count == 1:
        return device
    if kind == "cpu":
        return replace(device, name=f"{device.name} in {count} processes")
    if kind != "cuda" or ":" in options.device:
        raise InputError(f"--devices {count}: not with --device {options.device}; take cuda, or cpu")
    choose_device(f"cuda:{count - 1}")
    return replace(device, name=f"{count} GPUs, the first {device.name.removeprefix('GPU: ')}")


def _prepare(request: Request, report: Report, stop: Stop) -> Job:
    """Check, plan and preprocess the dataset; keep what the training was asked to be."""
    from umamba.inference.run import cpu_threads
    from umamba.training.prepare import prepare
    from umamba.training.pretrained import check_pretrained
    from umamba.training.run import Job
    from umamba.training.settings import write_settings

    options, settings = request.options, request.settings
    fold = fold_number(settings.fold)
    with cpu_threads(options.threads), report.progress() as show:
        monitor = Monitor(show, stop)
        raw = _open(request, monitor)
        prepared = prepare(
            raw,
            request.folders,
            settings.network,
            settings.configuration,
            options=plan_options(settings.batch_size, settings.features),
            split=options.split,
            fold=fold,
            preset=settings.preset,
            monitor=monitor,
            processes=min(_cores(options), 1 + len(raw.cases) // CASES_PER_PROCESS),
        )
    for warning in prepared.warnings:
        report.warning(warning)
    job = Job(
        request.folders,
        prepared.name,
        prepared.plans_name,
        prepared.configuration,
        fold,
        _schedule(settings),
        _workers(request),
        settings.pretrained,
        settings.preset,
    )
    if settings.pretrained is not None and not options.resume:
        check_pretrained(settings.pretrained, job.plans(), job.configuration)
    report.line("\n".join(_introduction(request, job, raw)))
    write_settings(job.fold_folder, settings)
    return job


def _open(request: Request, monitor: Monitor) -> RawDataset:
    from umamba.training.dataset import open_dataset

    settings = request.settings
    return open_dataset(
        request.options.dataset,
        labels=None if settings.labels is None else label_values(settings.labels),
        channels=None if settings.channels is None else names(settings.channels),
        monitor=monitor,
    )


def _schedule(settings: Settings) -> Schedule:
    from umamba.training.schedule import STEPS_PER_VALIDATION, Schedule

    return Schedule(
        settings.epochs,
        settings.steps,
        validation_steps=max(1, settings.steps // STEPS_PER_VALIDATION),
        seed=settings.seed,
        precision=settings.precision,
    )


def _cores(options: argparse.Namespace) -> int:
    """Cores that this run may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(here, int(options.threads or here))


def _workers(request: Request) -> int:
    """Processes that augment, for each device."""
    options, cores = request.options, _cores(request.options)
    devices: int = options.devices
    if options.workers is not None:
        return int(options.workers)
    if request.device.torch.type == "cpu":
        return min(MOST_WORKERS, cores // CORES_PER_WORKER // devices)
    return max(1, min(MOST_WORKERS, (cores - 1) // devices))


def _introduction(request: Request, job: Job, raw: RawDataset) -> Iterator[str]:
    """What is trained, on what, where: for a person."""
    from umamba.plans import parse_plans

    planned = parse_plans(job.plans()).configuration(job.configuration)
    channels = ", ".join(raw.description["channel_names"].values())
    labels = ", ".join(name for name in raw.description["labels"] if name != "background")
    patch = " x ".join(map(str, planned.patch_size))
    features = planned.architecture.features
    yield f"{raw.name}: {len(raw.cases)} cases; channels {channels}; labels {labels}"
    yield (
        f"{request.settings}: patch {patch}, batch {planned.batch_size}, "
        f"{len(features)} stages of {features[0]} to {max(features)} channels"
    )


def _train(request: Request, job: Job, report: Report, stop: Stop) -> None:
    from umamba.inference.run import cpu_threads
    from umamba.training.run import train_job

    with cpu_threads(request.options.threads), displayed(report) as display:
        train_job(
            job,
            str(request.device.torch),
            request.options.devices,
            Monitor(display.step, stop),
            display.epoch,
            lambda text: display.begin(f"{text}; {request.device.name}"),
        )


def _validate(request: Request, job: Job, report: Report, stop: Stop) -> Evaluation:
    from umamba.training.validation import validate

    with report.progress() as show:
        return validate(
            job.results,
            request.folders,
            job.fold,
            device=str(request.device.torch),
            threads=request.options.threads,
            monitor=Monitor(show, stop),
        )


def _result(job: Job, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "results": str(job.results),
        "fold": job.fold,
        "cases": len(evaluation.cases),
        "dice": _dice(evaluation),
    }


def _dice(evaluation: Evaluation) -> dict[str, float | None]:
    """Mean Dice of each label over the validation cases."""
    if not evaluation.cases:
        return {}
    rows = evaluation.mean[evaluation.convention.rows]
    return {name: figures.get("Dice") for name, figures in rows.items()}


def _summary(job: Job, evaluation: Evaluation, seconds: float) -> Iterator[str]:
    """The validation's table, where everything lies, and what to type next."""
    from umamba.inference.runplan import human_seconds
    from umamba.training.log import CURVES, figure

    dice = _dice(evaluation)
    width = max((len(name) for name in dice), default=0)
    for name, value in dice.items():
        yield f"  {name:<{width}}  Dice {figure(value)}"
    if dice:
        yield f"  means of {len(evaluation.cases)} validation cases"
    yield f"done in {human_seconds(seconds)}; results in {job.results}, curves in fold_{job.fold}/{CURVES}"
    archive = f"{job.name.partition('_')[2].lower()}.zip"
    yield f"next: umamba package {shlex.quote(str(job.results))} {shlex.quote(archive)}"


def _stopped(job: Job | None, report: Report) -> int:
    """Say what is kept and how to go on."""
    from umamba.training.log import read_progress

    again = "the same command with --resume goes on"
    if job is None:
        said = "stopped before the training began; what was prepared is kept, the same command goes on"
    else:
        done, epochs = len(read_progress(job.fold_folder)), job.schedule.epochs
        said = f"stopped after epoch {done} of {epochs}, which is kept; {again}"
        if done in (0, epochs):
            said = f"stopped {'in the validation' if done else 'in the first epoch'}; {again}"
    report.event(messages.error_event(Cancelled(said)))
    error_line(said)
    return CANCELLED
