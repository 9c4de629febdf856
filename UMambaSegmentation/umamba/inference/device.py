"""Where a run computes: the choice is made once, shown, and recorded."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import torch

from umamba.errors import InputError


@dataclass(frozen=True)
class Device:
    """A place to compute.

    Attributes:
        torch: The device for PyTorch.
        name: What a person calls it, such as "CPU, 2 cores".
        note: Why another one was not taken, or "".
    """

    torch: torch.device
    name: str
    note: str = ""


def choose_device(request: str = "auto") -> Device:
    """Turn "auto", "cpu", "cuda", "cuda:N" or "mps" into a device that works here.

    "auto" takes the first NVIDIA GPU, else the CPU; `UMAMBA_DEVICE` answers in its place when set.

    Raises:
        InputError: An unknown name, or a device that this computer does not have.
    """
    if request == "auto":
        request = os.environ.get("UMAMBA_DEVICE", "auto")
    if request == "auto":
        return _cuda(0) if torch.cuda.is_available() else _cpu(_why_no_gpu())
    if request == "cpu":
        return _cpu("")
    if request == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device mps: no Apple GPU can be used here; take --device cpu")
        return Device(torch.device("mps"), "Apple GPU")
    kind, _, index = request.partition(":")
    if kind == "cuda" and (index.isdecimal() or not index):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = int(index or 0)
        if number >= count:
            have = f"{count} found" if count else _why_no_gpu()
            raise InputError(f"device {request}: no such GPU ({have}); take --device cpu")
        return _cuda(number)
    raise InputError(f"device {request!r} is unknown; auto, cpu, cuda, cuda:N and mps are known")


def _cpu(note: str) -> Device:
    count = torch.get_num_threads()
    return Device(torch.device("cpu"), f"CPU, {count} thread{'s' if count != 1 else ''}", note)


def _cuda(index: int) -> Device:
    return Device(torch.device("cuda", index), f"GPU: {torch.cuda.get_device_name(index)}")


def _why_no_gpu() -> str:
    if torch.version.cuda is None:
        return f"this PyTorch has no CUDA ({platform.system()} build {torch.__version__})"
    return "no NVIDIA GPU with a fitting driver"
