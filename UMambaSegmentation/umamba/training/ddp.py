"""One training on several devices: a process for each, with its share of every batch.

nnU-Net's way (PyTorch's DistributedDataParallel; batch and oversampling shared out by its trainer), through
gloo on CPUs too. The processes meet through a file, so no port is needed. The first writes and reports.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from umamba.errors import InputError
from umamba.events import Monitor
from umamba.training.log import BeginCallback, EpochCallback
from umamba.training.processes import end_with_parent

if TYPE_CHECKING:
    from umamba.training.run import Job

PATIENCE_S = 0.1  # how long a report may lie unread
FAILURE = "failure"
LAST_WORDS_S = 2.0  # for the report of the process that failed, when others failed because of it


def wrap(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """The network, its gradients averaged over the processes in every backward pass."""
    parallel = torch.nn.parallel.DistributedDataParallel
    return parallel(network, device_ids=[device.index] if device.type == "cuda" else None)


def all_agree(flag: bool, device: torch.device) -> bool:
    """Whether `flag` holds in every process."""
    votes = torch.tensor(int(flag), device=device)
    distributed.all_reduce(votes, op=distributed.ReduceOp.MIN)
    return bool(votes)


def train_together(
    job: Job,
    devices: Sequence[str],
    monitor: Monitor,
    on_epoch: EpochCallback | None = None,
    on_begin: BeginCallback | None = None,
) -> None:
    """Train `job` with one process for each device; what the first reports goes to the callbacks.

    Raises:
        InputError: What a process raised, or a process was ended from outside. The others are ended too.
        Cancelled: `monitor` said so.
    """
    tell = {"step": lambda content: monitor.step(*content), "epoch": on_epoch, "begin": on_begin}
    context = _context()
    reports = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        threads = max(1, torch.get_num_threads() // len(devices))
        processes = [
            context.Process(target=_process, args=(rank, job, devices, meeting, threads, reports))
            for rank in range(len(devices))
        ]
        try:
            for process in processes:
                process.start()
            while any(process.exitcode is None for process in processes) or not reports.empty():
                monitor.check()
                failure = _pass_on(reports, tell)
                if failure is not None or any(process.exitcode for process in processes):
                    time.sleep(LAST_WORDS_S)
                    raise _cause(processes, failure or _pass_on(reports, {}))
                time.sleep(PATIENCE_S)
        finally:
            for process in processes:
                if process.pid is not None:  # it was started
                    process.kill()
                    process.join()


def _context() -> Any:  # noqa: ANN401
    """How processes are started: on Linux forked off one that has loaded nnU-Net once, and no GPU."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["umamba.training.trainer"])
    return context


def _pass_on(reports: Any, tell: Mapping[str, Callable[[Any], None] | None]) -> Exception | None:  # noqa: ANN401
    """Pass on what was reported, each kind to its callback; give a failure to the caller."""
    while not reports.empty():
        kind, content = reports.get()
        if kind == FAILURE:
            failure: Exception = content
            return failure
        callback = tell.get(kind)
        if callback is not None:
            callback(content)
    return None


def _cause(processes: Sequence[BaseProcess], failure: Exception | None) -> Exception:
    """Why the training ended: a process that was ended makes the others fail, so that comes first."""
    killed = [number for number, process in enumerate(processes, 1) if (process.exitcode or 0) < 0]
    if failure is not None and not killed:
        return failure
    which = f"process {killed[0]}" if killed else "a process"
    return InputError(
        f"{which} of the {len(processes)} of this training was ended from outside, as the system does when "
        "memory runs out; the last finished epoch is kept: go on with --resume"
    )


class _Reporter(Monitor):
    """Sends the steps of the first process to the parent, where cancel acts."""

    def __init__(self, reports: Any) -> None:  # noqa: ANN401
        super().__init__()
        self._reports = reports

    def step(self, stage: str, done: int, total: int) -> None:
        self._reports.put(("step", (stage, done, total)))


def _process(rank: int, job: Job, devices: Sequence[str], meeting: str, threads: int, reports: Any) -> None:  # noqa: ANN401
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    end_with_parent()
    if not sys.warnoptions:  # those of libraries, as in the parent
        warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    device = torch.device(devices[rank])
    try:
        backend = "nccl" if device.type == "cuda" and distributed.is_nccl_available() else "gloo"
        distributed.init_process_group(backend, init_method=meeting, world_size=len(devices), rank=rank)
        if rank == 0:
            job.run(
                device,
                _Reporter(reports),
                lambda record: reports.put(("epoch", record)),
                lambda text: reports.put(("begin", text)),
            )
        else:
            job.run(device, Monitor())
        distributed.destroy_process_group()
    except InputError as error:
        reports.put((FAILURE, InputError(str(error))))
        raise SystemExit(1) from None
    except Exception as error:
        said = "".join(traceback.format_exception_only(error)).strip()
        reports.put((FAILURE, RuntimeError(said)))
        raise SystemExit(1) from error
