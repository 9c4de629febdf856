"""The one table of backends, and the choice between them.

A new backend is a file beside these, with a function over the checked arguments, and a row here.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from umamba.errors import InputError

SCAN = "selective_scan"
CONV = "causal_conv1d"

# What a call may need and not every backend has.
INITIAL_STATE = "an initial state"
CONV_STATES = "initial or final states"
WIDE_KERNEL = "a kernel wider than 4 or narrower than 2"


def _always() -> str | None:
    return None


def _import_problem(*modules: str) -> str | None:
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            return f"{error.name} is not installed"
        except Exception as error:  # a broken binary package may raise anything while it loads
            return f"{module} cannot be loaded: {' '.join(str(error).split()) or type(error).__name__}"
    return None


def _cuda_problem(package: str, *modules: str) -> str | None:
    """What is cheap to know first: these packages take seconds to import."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    if not torch.cuda.is_available():
        return "no CUDA device"
    return _import_problem(package, *modules)


def _mamba_ssm_problem() -> str | None:
    # A plain install of mamba_ssm 2.3 has no scan kernel: its binary is the module selective_scan_cuda.
    return _cuda_problem("mamba_ssm", "selective_scan_cuda")


def _causal_conv1d_problem() -> str | None:
    return _cuda_problem("causal_conv1d")


def _numba_problem() -> str | None:
    problem = _import_problem("numba")
    if problem is None and importlib.import_module("numba").config.DISABLE_JIT:
        return "its compiler is switched off (NUMBA_DISABLE_JIT)"
    return problem


def _triton_problem() -> str | None:
    problem = _cuda_problem("triton")
    if problem is None:
        problem = _import_problem("umamba.ops.triton_probe")
    if problem is None:
        problem = importlib.import_module("umamba.ops.triton_probe").problem()
    return problem


@dataclass(frozen=True)
class Backend:
    """A row: where the backend lives, on which device types it runs, and what its operators lack.

    operators: operator -> (module, function), the function taking ScanInputs or ConvInputs.
    why_not: None when it can run on this computer, else the reason in a few words.
    devices: torch device types, or None for all.   automatic: may be taken by "auto".
    """

    name: str
    operators: dict[str, tuple[str, str]]
    why_not: Callable[[], str | None] = _always
    devices: tuple[str, ...] | None = None
    lacks: frozenset[str] = field(default_factory=frozenset)
    automatic: bool = True

    def problem(self, operator: str, device: str, needs: frozenset[str]) -> str | None:
        """Why this backend cannot run `operator` on `device` (a torch device type), or None."""
        if operator not in self.operators:
            return _why_not(self.name) or f"it has no {operator}"
        if self.devices is not None and device not in self.devices:
            return f"it runs on {' and '.join(self.devices)}, not on {device}"
        missing = sorted(needs & self.lacks)
        if missing:
            return f"it does not know {missing[0]}"
        return _why_not(self.name)


# In the order of preference. On NVIDIA GPUs our own kernels come first: they know every form of a call, and
# they cut long sequences into pieces that run at the same time. Those of mamba_ssm give each channel of a
# batch entry one block of threads for its whole length, so that the 64 to 128 channels of U-Mamba's longest
# sequences leave most of a large GPU idle. `Testing/benchmarks/bench_scan_gpu.py` measures all of them.
_TABLE = (
    Backend(
        "triton",
        {SCAN: ("umamba.ops.scan_triton", "scan"), CONV: ("umamba.ops.conv_triton", "convolve")},
        why_not=_triton_problem,
        devices=("cuda",),
    ),
    Backend(
        "mamba_ssm",
        {SCAN: ("umamba.ops.scan_mamba_ssm", "scan")},
        why_not=_mamba_ssm_problem,
        devices=("cuda",),
        lacks=frozenset({INITIAL_STATE}),
    ),
    Backend(
        "causal_conv1d",
        {CONV: ("umamba.ops.conv_causal_conv1d", "convolve")},
        why_not=_causal_conv1d_problem,
        devices=("cuda",),
        lacks=frozenset({CONV_STATES, WIDE_KERNEL}),
    ),
    Backend(
        "numba",
        {SCAN: ("umamba.ops.scan_numba", "scan"), CONV: ("umamba.ops.conv_numba", "convolve")},
        why_not=_numba_problem,
        devices=("cpu",),
    ),
    Backend("torch", {SCAN: ("umamba.ops.scan_torch", "scan"), CONV: ("umamba.ops.conv_torch", "convolve")}),
    Backend(
        "reference",
        {SCAN: ("umamba.ops.scan_reference", "scan"), CONV: ("umamba.ops.conv_reference", "convolve")},
        automatic=False,
    ),
)
_BY_NAME = {backend.name: backend for backend in _TABLE}


@cache
def _why_not(name: str) -> str | None:
    return _BY_NAME[name].why_not()


def backends() -> dict[str, str | None]:
    """Every backend's name, in the order of preference, with None or the reason why it cannot run here."""
    return {backend.name: _why_not(backend.name) for backend in _TABLE}


def chosen(device: str | torch.device = "cpu", *, streamed: bool = False) -> dict[str, str]:
    """The backend that "auto" takes for each operator on `device`.

    streamed: the operators are called piece by piece along L, handing states on.
    """
    kind = torch.device(device).type
    scan_needs = frozenset({INITIAL_STATE}) if streamed else frozenset[str]()
    conv_needs = frozenset({CONV_STATES}) if streamed else frozenset[str]()
    return {SCAN: _choose(SCAN, kind, scan_needs).name, CONV: _choose(CONV, kind, conv_needs).name}


def _choose(operator: str, device: str, needs: frozenset[str]) -> Backend:
    for backend in _TABLE:
        if backend.automatic and backend.problem(operator, device, needs) is None:
            return backend
    raise InputError(f"{operator}: no backend runs on {device}")  # not reached: torch runs everywhere


def load(operator: str, name: str, device: torch.device, needs: frozenset[str]) -> Callable[[Any], Any]:
    """The function that runs `operator` for the backend `name` ("auto": the best for this call).

    Raises InputError for an unknown backend and for one that cannot do this call.
    """
    if name == "auto":
        backend = _choose(operator, device.type, needs)
    else:
        if name not in _BY_NAME:
            known = ", ".join(b.name for b in _TABLE if operator in b.operators)
            raise InputError(f"{operator}: unknown backend {name!r}; choose auto, {known}")
        backend = _BY_NAME[name]
        problem = backend.problem(operator, device.type, needs)
        if problem is not None:
            raise InputError(f"{operator}: backend {name!r} cannot run this: {problem}; take another or auto")
    module, function = backend.operators[operator]
    loaded: Callable[[Any], Any] = getattr(importlib.import_module(module), function)
    return loaded
