"""`umamba train`: from a folder of images and labels to a trained and validated network."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from umamba import messages
from umamba.cli.outputs import check_folder
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
from umamba.cli.train_texts import introduction, result, summary
from umamba.errors import Cancelled, InputError
from umamba.events import Monitor

if TYPE_CHECKING:
    from umamba.evaluation.result import Evaluation
    from umamba.inference.device import Device
    from umamba.training.dataset.raw import RawDataset
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
# Where a dataset's own files lie, plain or in nnU-Net's layout.
DATA_FOLDERS = ("images", "labels", "imagesTr", "labelsTr")


@dataclass(frozen=True)
class Request:
    """One call of the command.

    Attributes:
        options: As they were typed.
        settings: Of the training, new or begun before.
        dataset: nnU-Net's name of what it is trained on.
        folders: Where it lies.
        device: Where it runs.
    """

    options: argparse.Namespace
    settings: Settings
    dataset: str
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
            with _begun(request, job):
                _train(request, job, report, stop)
                evaluation = _validate(request, job, report, stop)
    except (Cancelled, KeyboardInterrupt):
        return _stopped(job, report)
    seconds = time.monotonic() - started
    report.event({"event": "result", **result(job, evaluation), "seconds": round(seconds, 2)})
    report.line("\n".join(summary(job, evaluation, seconds)))
    return 0


def _request(options: argparse.Namespace) -> Request:
    """Check all that can be known before the work begins.

    Raises:
        InputError: Something about the options, the folder or the device is wrong.
    """
    from umamba.training.run import check_sharing, require_nnunet

    require_nnunet()
    from umamba.imaging.files import checked_input
    from umamba.training.dataset.raw import dataset_name
    from umamba.training.folders import TrainingFolders
    from umamba.training.pretrained import check_given, lasting_name
    from umamba.training.settings import begun_training, new_training

    folder: Path = options.output
    if options.resume and options.pretrained is not None:
        raise InputError(
            "--pretrained begins a training and --resume goes on with one; leave one of them away"
        )
    dataset = dataset_name(checked_input(options.dataset).absolute())
    _check_output(folder, options.dataset)
    folders, asked = TrainingFolders(folder), asked_settings(options)
    if options.resume:
        settings = begun_training(folders, dataset, asked).settings
    else:
        settings = new_training(folders, dataset, asked)
    if settings.batch_size is not None:
        check_sharing(settings.batch_size, options.devices, settings.preset)
    if options.pretrained is not None:
        check_given(options.pretrained, settings.network)
        settings = replace(settings, pretrained=lasting_name(options.pretrained))
    return Request(options, settings, dataset, folders, _device(options))


def _check_output(folder: Path, dataset: Path) -> None:
    """Refuse a folder that cannot be filled, or that would mix with the dataset's files.

    Raises:
        InputError: It is the dataset or one of its folders, a file, or cannot be made or written.
    """
    check_folder(OUTPUT_OPTION, folder, parents=True)
    place, source = Path(os.path.realpath(folder)), Path(os.path.realpath(dataset))
    if place == source:
        raise InputError(f"{OUTPUT_OPTION} {folder} is the dataset; give another folder")
    for name in DATA_FOLDERS:
        if place.is_relative_to(os.path.realpath(source / name)):
            raise InputError(f"{OUTPUT_OPTION} {folder} lies in the dataset's {name}; give another folder")


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
    """Check, plan and preprocess the dataset."""
    from umamba.inference.run import cpu_threads
    from umamba.training.prepare import prepare
    from umamba.training.pretrained import check_pretrained
    from umamba.training.run import Job, check_devices

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
    check_devices(job, options.devices)
    if settings.pretrained is not None and not options.resume:
        check_pretrained(settings.pretrained, job.plans(), job.configuration)
    report.line("\n".join(introduction(settings, job, raw)))
    return job


@contextmanager
def _begun(request: Request, job: Job) -> Iterator[None]:
    """Keep what the training was asked to be, and other processes out of its fold until the block ends.

    Raises:
        InputError: Another process trains it, or has begun it since this one looked.
    """
    from umamba.training.locks import only_training
    from umamba.training.settings import new_training, write_settings

    with only_training(job.fold_folder):
        if not request.options.resume:
            new_training(request.folders, request.dataset, asked_settings(request.options))
        write_settings(job.fold_folder, request.settings)
        yield


def _open(request: Request, monitor: Monitor) -> RawDataset:
    from umamba.training.dataset.raw import open_dataset

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


def _train(request: Request, job: Job, report: Report, stop: Stop) -> None:
    from umamba.inference.run import cpu_threads
    from umamba.training.run import train_job

    with cpu_threads(request.options.threads), displayed(report, job.schedule.epochs) as display:
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
