"""All that only a GPU can show about the scan and the convolution, in one run: checks, then the benchmark.

    python Testing/benchmarks/gpu_checks.py [--oracle FOLDER] [--quick] [--no-bench] [--output FILE.json]

Checks of the Triton backend: every case of the oracle on the GPU, gradients included; every way that the work
can be cut against the torch backend; the networks' own shapes against other backends; the same bits each
time; tensors of more than 2^31 numbers; a Mamba layer under mixed precision, whose gradients must be finite.
Then `bench_scan_gpu`. Ends with status 1 if a check failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import bench_scan_gpu
import numpy as np
import torch
from torch import Tensor

from umamba.nn.mamba_layer import MambaLayer
from umamba.ops import backends, causal_conv1d, chosen, selective_scan

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "oracle"
DEVICE = torch.device("cuda")
SCAN_ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
CONV_ARGUMENTS = ("x", "weight", "bias", "initial_states")

# Of the largest value: float32 sums of the same terms in another order, and powers to two units in the last
# place. Sums over some million tokens that nearly cancel.
SAME_BUT_FOR_ORDER, SAME_BUT_FOR_LONG_SUM = 2e-5, 1e-3
# One unit in the last place of bfloat16, where two roundings may fall apart.
BFLOAT16_STEP = 2**-7
# A number of numbers that 32 bits do not count, and the bytes that a scan of them takes.
BEYOND_32_BITS = (2, 640, 1_720_320)
BEYOND_32_BITS_BYTES = 30e9
SMALL = {"SHORT_TOKENS": 16, "MIN_TILE_TOKENS": 32}
CUTS: dict[str, dict[str, int]] = {
    "as it is": {},
    "tiles of some blocks": SMALL,
    "tiles of one block": SMALL | {"MIN_TILE_TOKENS": 16},
    "one tile": SMALL | {"ENOUGH_PROGRAMS": 1, "MAX_TILE_TOKENS": 2**20},
    "programs with all channels": SMALL | {"ENOUGH_PROGRAMS": 1, "MAX_TILE_TOKENS": 32},
    "little scratch": SMALL | {"SCRATCH_NUMBERS": 5000},
    "few channels in a block": SMALL | {"BLOCK_NUMBERS": 64},
    "long blocks": {"SHORT_TOKENS": 16, "LONG_BLOCK_TOKENS": 64, "BLOCK_NUMBERS": 512},
}


class Report:
    """What was checked, by name, with the largest error as a share of its limit."""

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}
        self.faults: list[str] = []

    def check(self, name: str, call: Callable[[], float]) -> None:
        """Run a check, which returns the error as a share of what is allowed; above 1 it has failed."""
        begin = time.perf_counter()
        try:
            share = call()
            torch.cuda.synchronize()
            fault = "" if share <= 1 else f"{share:.3g} times what is allowed"
        except Exception as error:
            share, fault = float("nan"), f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        self.shares[name] = share
        print(f"{'FAILED' if fault else 'ok':<7}{name:<70} {fault or f'{share:.2g}'}", flush=True)
        seconds = time.perf_counter() - begin
        if fault:
            self.faults.append(f"{name}: {fault} ({seconds:.1f} s)")


def _share(found: Tensor, wanted: Tensor, fraction_of_max: float) -> float:
    assert found.shape == wanted.shape, f"shape {tuple(found.shape)}, wanted {tuple(wanted.shape)}"
    if wanted.numel() == 0:
        return 0.0
    wanted = wanted.to(found.device)
    error = (found.float() - wanted.float()).abs().max().item()
    limit = fraction_of_max * max(wanted.float().abs().max().item(), 1e-3)
    return error / limit if error == error else float("inf")


def _stored_share(found: Tensor, wanted: Tensor, rtol: float, atol: float) -> float:
    difference = (found.float().cpu() - wanted.float()).abs() / (atol + rtol * wanted.float().abs())
    worst = difference.max().item() if difference.numel() else 0.0
    return worst if worst == worst else float("inf")


def _cases(oracle: Path, operator: str) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
    folder = oracle / operator
    for case in json.loads((folder / "manifest.json").read_text())["cases"]:
        with np.load(folder / case["file"]) as file:
            yield case, {key: torch.from_numpy(file[key]) for key in file.files}


def _oracle_scan(case: dict[str, Any], stored: dict[str, Tensor], backend: str) -> float:
    arguments = {key: stored[key].to(DEVICE) for key in SCAN_ARGUMENTS if key in stored}
    for key in ("u", "delta", "z", "B", "C"):  # A, D, bias and constant B, C stay float32
        if key in arguments and (key not in ("B", "C") or arguments[key].dim() > 2):
            arguments[key] = arguments[key].to(getattr(torch, case["dtype"]))
    leaves = {key: value.requires_grad_(case["grad"]) for key, value in arguments.items()}
    out, last = selective_scan(
        **leaves, delta_softplus=case["delta_softplus"], return_last_state=True, backend=backend
    )
    shares = [_stored_share(out.detach(), stored["out"], **case["tolerance"])]
    if case["return_last_state"]:
        shares.append(_stored_share(last.detach(), stored["last_state"], **case["tolerance"]))
    if case["grad"]:
        out.backward(stored["grad_out"].to(DEVICE))
        limits = case["grad_tolerance"]
        for key, leaf in leaves.items():
            wanted = stored[f"d{key}"]
            atol = limits["atol_fraction_of_max"] * wanted.abs().max().item()
            shares.append(_stored_share(leaf.grad, wanted, limits["rtol"], atol))
    return max(shares)


def _oracle_conv(case: dict[str, Any], stored: dict[str, Tensor], backend: str) -> float:
    stored = {key: value.to(getattr(torch, case["dtype"])) for key, value in stored.items()}
    result = causal_conv1d(
        **{key: stored[key].to(DEVICE) for key in CONV_ARGUMENTS if key in stored},
        return_final_states=case["return_final_states"],
        activation=case["activation"],
        backend=backend,
    )
    out, final = result if case["return_final_states"] else (result, None)
    if final is not None and not torch.equal(final.cpu(), stored["final_states"]):
        return float("inf")
    return _stored_share(out, stored["out"], **case["tolerance"])


def _random_scan(
    batch: int,
    channels: int,
    tokens: int,
    states: int = 16,
    groups: tuple[int, int] = (1, 1),
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """groups: those of B and of C, 0 for a constant matrix."""
    generator = torch.Generator().manual_seed(tokens)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(DEVICE)

    B, C = (normal(batch, n, states, tokens).to(dtype) if n else normal(channels, states) for n in groups)
    return {
        "u": normal(batch, channels, tokens).to(dtype),
        "delta": (normal(batch, channels, tokens) - 1).to(dtype),
        "A": -torch.exp(normal(channels, states)),
        "B": B,
        "C": C,
        "D": normal(channels),
        "z": normal(batch, channels, tokens).to(dtype),
        "delta_bias": normal(channels),
        "initial_state": normal(batch, channels, states),
    }


def _run(operator: Callable[..., Any], arguments: dict[str, Tensor], **options: object) -> dict[str, Tensor]:
    """The output and the gradients of all arguments."""
    leaves = {key: value.detach().clone().requires_grad_() for key, value in arguments.items()}
    result = operator(**leaves, **options)
    out = result[0] if isinstance(result, tuple) else result
    loss = (out.float() * torch.linspace(-1, 1, out.numel(), device=out.device).view_as(out)).sum()
    if isinstance(result, tuple):
        loss = loss + result[1].float().square().sum()
    loss.backward()
    return {"out": out.detach(), **{key: leaf.grad for key, leaf in leaves.items()}}


def _scan(arguments: dict[str, Tensor], backend: str) -> dict[str, Tensor]:
    return _run(selective_scan, arguments, delta_softplus=True, return_last_state=True, backend=backend)


def _against(arguments: dict[str, Tensor], other: str, limit: float) -> float:
    """The Triton scan against another backend; one that runs on the CPU gets the arguments there."""
    theirs = {key: value.cpu() for key, value in arguments.items()} if other == "numba" else arguments
    wanted = _scan(theirs, other)
    found = _scan(arguments, "triton")
    return max(_share(found[key], wanted[key], limit) for key in wanted)


def _cut(settings: dict[str, int], groups: tuple[int, int], tokens: int) -> float:
    with ExitStack() as stack:
        for name, value in settings.items():
            stack.enter_context(mock.patch(f"umamba.ops.scan_triton.{name}", value))
        arguments = _random_scan(2, 24, tokens, states=5, groups=groups)
        return _against(arguments, "torch", SAME_BUT_FOR_ORDER)


def _conv(tokens: int, width: int, with_states: bool) -> float:
    generator = torch.Generator().manual_seed(tokens)
    shapes = {"x": (2, 48, tokens), "weight": (48, width), "bias": (48,)}
    if with_states:
        shapes["initial_states"] = (2, 48, width - 1)
    arguments = {key: torch.randn(shape, generator=generator).to(DEVICE) for key, shape in shapes.items()}
    found, wanted = (
        _run(causal_conv1d, arguments, activation="silu", backend=name) for name in ("triton", "torch")
    )
    return max(_share(found[key], wanted[key], SAME_BUT_FOR_LONG_SUM) for key in wanted)


def _same_bits() -> float:
    arguments = _random_scan(2, 96, 5000, groups=(2, 1))
    results = [_scan(arguments, "triton") for _ in range(3)]
    same = all(torch.equal(other[key], results[0][key]) for other in results[1:] for key in other)
    return 0.0 if same else float("inf")


def _beyond_32_bits() -> float:
    """The last channel of the last batch entry, alone and among all."""
    batch, channels, tokens = BEYOND_32_BITS
    if torch.cuda.mem_get_info()[0] < BEYOND_32_BITS_BYTES:
        print("       (the GPU's memory is too small for it: not checked)")
        return 0.0
    with torch.inference_mode():
        u = torch.randn(batch, channels, tokens, device=DEVICE, dtype=torch.bfloat16)
        B = torch.randn(batch, 16, tokens, device=DEVICE, dtype=torch.bfloat16)
        A = -torch.rand(channels, 16, device=DEVICE)
        out = selective_scan(u, u, A, B, B, delta_softplus=True, backend="triton")
        some = u[-1:, -32:].contiguous()
        wanted = selective_scan(some, some, A[-32:], B[-1:], B[-1:], delta_softplus=True, backend="triton")
        share = _share(out[-1:, -32:], wanted, BFLOAT16_STEP)
        weight = torch.randn(channels, 4, device=DEVICE)
        convolved = causal_conv1d(u, weight, activation="silu", backend="triton")
        wanted = causal_conv1d(some, weight[-32:], activation="silu", backend="triton")
        return max(share, _share(convolved[-1:, -32:], wanted, BFLOAT16_STEP))


def _mixed_precision(dtype: torch.dtype, scale: float) -> float:
    """A Mamba layer on inputs of a size that half precision could not square; with autocast and without."""
    assert chosen("cuda")["selective_scan"] == "triton", chosen("cuda")
    torch.manual_seed(0)
    layer = MambaLayer(32).to(DEVICE)
    x = torch.randn(2, 32, 16, 24, 24, device=DEVICE) * scale
    gradients = []
    for enabled in (False, True):
        layer.zero_grad()
        leaf = x.clone().requires_grad_()
        with torch.autocast("cuda", dtype, enabled=enabled):
            out = layer(leaf)
        assert out.dtype == torch.float32
        out.square().mean().backward()
        found = [out.detach(), leaf.grad, *(parameter.grad for parameter in layer.parameters())]
        if not all(value.isfinite().all() for value in found):
            return float("inf")
        gradients.append(found)
    return max(_share(a, b, SAME_BUT_FOR_ORDER) for a, b in zip(*gradients, strict=True))


def _check_all(report: Report, oracle: Path, quick: bool) -> None:
    if oracle.is_dir():
        for case, stored in _cases(oracle, "selective_scan"):
            for name in ("triton", "torch"):
                report.check(
                    f"oracle scan {case['name']}, {name}",
                    lambda case=case, stored=stored, name=name: _oracle_scan(case, stored, name),
                )
        for case, stored in _cases(oracle, "causal_conv1d"):
            report.check(
                f"oracle convolution {case['name']}",
                lambda case=case, stored=stored: _oracle_conv(case, stored, "triton"),
            )
    else:
        report.faults.append(f"oracle: there is no folder {oracle}; name it with --oracle")
    for name, settings in CUTS.items():
        for groups in [(1, 1)] if quick else [(1, 1), (0, 2), (3, 0), (2, 3)]:
            report.check(
                f"cut: {name}, groups {groups}", lambda s=settings, groups=groups: _cut(s, groups, 330)
            )
            report.check(
                f"cut: {name}, groups {groups}, aligned",
                lambda s=settings, groups=groups: _cut(s, groups, 320),
            )
    for tokens, width, states in [
        (1, 4, True),
        (210, 4, False),
        (4096, 4, True),
        (1000, 3, True),
        (64, 2, True),
    ]:
        report.check(
            f"convolution of {tokens} tokens, width {width}",
            lambda tokens=tokens, width=width, states=states: _conv(tokens, width, states),
        )
    for shape in [(2, 640, 210), (2, 640, 840), (1, 128, 26_880)]:
        report.check(
            f"scan of {shape} against numba on the CPU",
            lambda shape=shape: _against(_random_scan(*shape), "numba", SAME_BUT_FOR_LONG_SUM),
        )
    if not quick:
        report.check(
            "scan of (1, 64, 1720320) against torch",
            lambda: _against(_random_scan(1, 64, 1_720_320), "torch", SAME_BUT_FOR_LONG_SUM),
        )
        report.check("more numbers than 32 bits count", _beyond_32_bits)
    report.check("the same bits three times", _same_bits)
    for dtype in (torch.float16, torch.bfloat16):
        for scale in (1.0, 1e4):
            report.check(
                f"Mamba layer under autocast to {dtype}, inputs of {scale:g}",
                lambda dtype=dtype, scale=scale: _mixed_precision(dtype, scale),
            )


def main() -> None:
    """Check, measure, and say what failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--oracle", type=Path, default=ORACLE)
    parser.add_argument("--quick", action="store_true", help="without the largest shapes")
    parser.add_argument("--no-bench", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each measurement of the benchmark")
    parser.add_argument("--output", type=Path, help="a JSON file with all numbers")
    options = parser.parse_args()
    # Fills new memory with NaN: none may be read before it is written.
    torch.use_deterministic_algorithms(True, warn_only=True)
    if not torch.cuda.is_available():
        raise SystemExit("gpu_checks: there is no NVIDIA GPU that PyTorch can use: nothing was checked")
    begin = time.perf_counter()
    found = backends()
    ready = time.perf_counter() - begin
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; backends tried in {ready:.1f} s")
    for name, why_not in found.items():
        print(f"  {name}: {why_not or 'runs'}")
    if found["triton"] is not None:
        raise SystemExit(f"gpu_checks: the Triton backend cannot run here: {found['triton']}")
    report = Report()
    _check_all(report, options.oracle, options.quick)
    print(f"{len(report.shares)} checks in {time.perf_counter() - begin:.0f} s, {len(report.faults)} failed")
    times: dict[str, Any] = {}
    torch.use_deterministic_algorithms(False)
    if not options.no_bench:
        shapes = bench_scan_gpu.SHAPES[2:] if options.quick else bench_scan_gpu.SHAPES
        for operator, names in (
            ("selective_scan", bench_scan_gpu.SCANS),
            ("causal_conv1d", bench_scan_gpu.CONVOLUTIONS),
        ):
            times[operator] = bench_scan_gpu.bench(operator, names, shapes, torch.float32, options.seconds)
    if options.output is not None:
        numbers = {"gpu": torch.cuda.get_device_name(), "shares": report.shares, "seconds": times}
        options.output.write_text(json.dumps(numbers | {"faults": report.faults}, indent=1))
    for fault in report.faults:
        print(f"FAILED {fault}", file=sys.stderr)
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
