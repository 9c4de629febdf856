"""What works on this computer and how fast: a few lines for a person, or a dictionary for a program."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil

from umamba.version import __version__

if TYPE_CHECKING:
    import torch

# The only variables of the environment that change what the engine does.
SETTINGS = ("UMAMBA_HOME", "UMAMBA_CACHE", "UMAMBA_DEVICE", "UMAMBA_OFFLINE")
GIGABYTE = 1_000_000_000
# (channels, length, states): enough to keep every core busy, little enough for a tenth of a second.
SCAN_SHAPE = {"cpu": (64, 4_096, 16), "cuda": (128, 65_536, 16)}
REPEATS = 3


@dataclass(frozen=True)
class Device:
    """A place to compute: its name for `--device`, what a person calls it, and how fast it is.

    scan_ns: Nanoseconds for one state element (token x channel x state) of the selective scan.
    """

    device: str
    name: str
    memory_bytes: int
    scan_backend: str
    scan_ns: float
    convolution_gflops: float

    def line(self) -> str:
        """The device for a person."""
        memory = "" if self.device == "cpu" else f", {self.memory_bytes / GIGABYTE:.1f} GB"
        scan = f"scan ({self.scan_backend}) {self.scan_ns:.2g} ns per state element"
        return (
            f"{self.device}: {self.name}{memory}; {scan}, convolution {self.convolution_gflops:.3g} GFLOP/s"
        )


@dataclass(frozen=True)
class Report:
    """Everything `umamba doctor` says.

    Attributes:
        devices: Those that can be used; the first is what "auto" takes.
        no_gpu: Why there is no GPU among them, or "".
        backends: Each backend of the scan and the convolution, with None or the reason why it cannot run.
        models: Ids of the models found.
        models_folder: Where `models install` and `models import` put them.
        settings: The UMAMBA_ variables that are set.
    """

    version: str
    python: str
    torch: str
    system: str
    cores: int
    threads: int
    memory_bytes: int
    free_bytes: int
    devices: tuple[Device, ...]
    no_gpu: str
    backends: dict[str, str | None]
    models: tuple[str, ...]
    models_folder: str
    settings: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **asdict(self),
            "devices": [asdict(device) for device in self.devices],
            "models": list(self.models),
        }

    def lines(self) -> list[str]:
        """The report for a person."""
        rows = [
            ("engine", f"umamba {self.version}, Python {self.python}, PyTorch {self.torch}, {self.system}"),
            (
                "computer",
                f"{self.cores} cores, {self.threads} used; {self.memory_bytes / GIGABYTE:.1f} GB of memory, "
                f"{self.free_bytes / GIGABYTE:.1f} GB free",
            ),
        ]
        rows += [("device", device.line()) for device in self.devices]
        if self.no_gpu:
            rows.append(("no GPU", self.no_gpu))
        works = [name for name, why_not in self.backends.items() if why_not is None]
        rows.append(("backends", ", ".join(works)))
        rows += [("", f"not {name}: {why}") for name, why in self.backends.items() if why is not None]
        rows.append(("models", f"{', '.join(self.models) or 'none yet'} (in {self.models_folder})"))
        if self.settings:
            rows.append(("settings", ", ".join(f"{name}={value}" for name, value in self.settings.items())))
        return [f"{title:<10}{text}" for title, text in rows]


def examine() -> Report:
    """Look at this computer and measure it, in about a second after the libraries are loaded.

    The very first time on a computer the scan's kernels are compiled, which takes longer; they are kept.
    """
    import torch

    from umamba import ops
    from umamba.inference.device import choose_device
    from umamba.models import store

    first = choose_device("auto")
    chosen = [first.torch]
    if first.torch.type != "cpu":
        chosen.append(torch.device("cpu"))
    memory = psutil.virtual_memory()
    return Report(
        version=__version__,
        python=platform.python_version(),
        torch=str(torch.__version__),
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=memory.total,
        free_bytes=memory.available,
        devices=tuple(_measure(device) for device in chosen),
        no_gpu=first.note,
        backends=ops.backends(),
        models=tuple(model.id for model in store.list_models()),
        models_folder=str(store.store_folder()),
        settings={name: os.environ[name] for name in SETTINGS if name in os.environ},
    )


def _measure(device: torch.device) -> Device:
    import torch

    from umamba import ops
    from umamba.inference.device import choose_device
    from umamba.inference.speed import measure_speed

    found = choose_device(str(device))
    total = (
        torch.cuda.get_device_properties(device).total_memory
        if device.type == "cuda"
        else psutil.virtual_memory().total
    )
    return Device(
        device=str(device),
        name=found.name,
        memory_bytes=int(total),
        scan_backend=ops.chosen(device)["selective_scan"],
        scan_ns=_scan_nanoseconds(device),
        convolution_gflops=measure_speed(device).flops / 1e9,
    )


def _scan_nanoseconds(device: torch.device) -> float:
    """The best of a few scans, divided by their state elements."""
    import torch

    from umamba import ops

    channels, length, states = SCAN_SHAPE.get(device.type, SCAN_SHAPE["cpu"])
    with torch.inference_mode():
        u = torch.ones((1, channels, length), device=device)
        b = torch.ones((1, states, length), device=device)
        a = -torch.ones((channels, states), device=device)

        def seconds() -> float:
            start = time.perf_counter()
            out: Any = ops.selective_scan(u, u, a, b, b)
            float(out[0, 0, -1])  # waits for the device
            return time.perf_counter() - start

        seconds()  # compiles, or loads what was compiled
        best = min(seconds() for _ in range(REPEATS))
    return best / (channels * length * states) * 1e9
