"""How fast the scan and the convolution are on a GPU: our Triton kernels, mamba_ssm's CUDA kernels, PyTorch.

    python Testing/benchmarks/bench_scan_gpu.py [--dtype float32] [--backends triton,mamba_ssm,torch]
        [--seconds 1] [--shapes 2x64x1720320,2x640x210]

For each stage of U-Mamba's 3D networks (batch x channels x tokens) it prints the median time of the forward
pass and of forward and backward together, the memory above inputs and outputs at the peak, and the share of
the memory's bandwidth: the bytes that any implementation must read and write, by the time and by the
bandwidth that a plain copy reaches in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from umamba.ops import backends, causal_conv1d, selective_scan

# Batch, channels and tokens at the stages of a 3D U-Mamba_Enc with a patch of 40 x 224 x 192 voxels.
SHAPES = (
    (2, 64, 1_720_320),
    (1, 64, 1_720_320),
    (2, 128, 215_040),
    (2, 256, 26_880),
    (2, 512, 3_360),
    (2, 640, 840),
    (2, 640, 210),
    (1, 640, 210),
)
STATES, WIDTH = 16, 4
COPY_BYTES = 2**30
SCANS = ("triton", "mamba_ssm", "torch")
CONVOLUTIONS = ("triton", "causal_conv1d", "torch")
MIN_ROUNDS, MAX_ROUNDS = 3, 200


@dataclass(frozen=True)
class Measured:
    """seconds: the median.   extra_bytes: the peak above what was there and what came out."""

    seconds: float
    extra_bytes: int


def scan_arguments(batch: int, channels: int, tokens: int, dtype: torch.dtype) -> list[Tensor]:
    """u, delta, A, B, C, D, z, delta_bias on the GPU, with the magnitudes of a trained Mamba."""
    generator = torch.Generator("cuda").manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device="cuda").to(dtype)

    rates = -torch.arange(1, STATES + 1.0, device="cuda").repeat(channels, 1)
    return [
        normal(batch, channels, tokens),
        normal(batch, channels, tokens) * 0.5 - 3,
        rates,
        normal(batch, STATES, tokens),
        normal(batch, STATES, tokens),
        torch.ones(channels, device="cuda"),
        normal(batch, channels, tokens),
        torch.zeros(channels, device="cuda"),
    ]


def measured(call: Callable[[], object], seconds: float) -> Measured:
    """The median of as many calls as fit into `seconds`, after one to warm up."""
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    result = call()
    torch.cuda.synchronize()
    extra = torch.cuda.max_memory_allocated() - max(before, torch.cuda.memory_allocated())
    del result
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < MIN_ROUNDS or (time.perf_counter() - begin < seconds and len(times) < MAX_ROUNDS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return Measured(statistics.median(times), extra)


def copy_bandwidth() -> float:
    """Bytes a second that a copy within the GPU's memory reads and writes."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / measured(lambda: target.copy_(source), 0.2).seconds


def _bytes(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _both(
    forward: Callable[[list[Tensor]], Tensor], inputs: list[Tensor], seconds: float
) -> tuple[Measured, Measured]:
    """Forward alone, and forward and backward."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    upstream = torch.ones_like(inputs[0])

    def alone() -> Tensor:
        with torch.inference_mode():
            return forward(inputs)

    def both() -> None:
        for leaf in leaves:
            leaf.grad = None
        forward(leaves).backward(upstream)

    return measured(alone, seconds), measured(both, seconds)


def _line(
    name: str, results: tuple[Measured, Measured], least_bytes: tuple[int, int], bandwidth: float
) -> str:
    columns = [f"  {name:<14}"]
    for result, least in zip(results, least_bytes, strict=True):
        share = least / result.seconds / bandwidth
        columns.append(f"{result.seconds * 1e3:>10.3f} ms {result.extra_bytes / 1e6:>9.1f} MB {share:>6.1%}")
    return " |".join(columns)


def bench(
    operator: str,
    names: tuple[str, ...],
    shapes: tuple[tuple[int, int, int], ...],
    dtype: torch.dtype,
    seconds: float,
) -> dict[str, dict[str, list[float]]]:
    """Measure and print. Returns {shape: {backend: [forward, forward and backward, in seconds]}}."""
    bandwidth = copy_bandwidth()
    print(f"{operator}, {dtype}; a copy moves {bandwidth / 1e12:.2f} TB/s")
    print(
        f"  {'':<14} |{'forward':>13} {'memory':>12} {'share':>6} |{'with backward':>13} {'memory':>12} share"
    )
    found: dict[str, dict[str, list[float]]] = {}
    for batch, channels, tokens in shapes:
        shape = f"{batch}x{channels}x{tokens}"
        print(f"  {shape}")
        found[shape] = {}
        inputs = scan_arguments(batch, channels, tokens, dtype)
        if operator == "causal_conv1d":
            weight = torch.randn(channels, WIDTH, device="cuda")
            inputs = [inputs[0], weight, torch.zeros(channels, device="cuda")]
        tokenwise = [tensor for tensor in inputs if tensor.dim() == 3]
        # Forward: read all, write the output. Backward: read all and the gradient, write as many gradients.
        forward_bytes = _bytes(tokenwise) + _bytes(inputs[:1])
        least = (forward_bytes, 3 * _bytes(tokenwise) + 2 * _bytes(inputs[:1]))
        for name in names:
            why_not = backends()[name]
            if why_not is not None:
                print(f"  {name:<14} | {why_not}")
                continue
            try:
                results = _both(lambda values, name=name: _call(operator, values, name), inputs, seconds)
            except torch.cuda.OutOfMemoryError:
                print(f"  {name:<14} | out of memory")
                torch.cuda.empty_cache()
                continue
            found[shape][name] = [result.seconds for result in results]
            print(_line(name, results, least, bandwidth))
        del inputs, tokenwise
        torch.cuda.empty_cache()
    return found


def _call(operator: str, values: list[Tensor], backend: str) -> Tensor:
    if operator == "causal_conv1d":
        return causal_conv1d(*values, activation="silu", backend=backend)
    return selective_scan(*values, True, backend=backend)


def main() -> None:
    """Measure what is asked for, or say why nothing can be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--backends", default=",".join(SCANS))
    parser.add_argument("--shapes", default=",".join("x".join(map(str, shape)) for shape in SHAPES))
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("bench_scan_gpu: there is no NVIDIA GPU that PyTorch can use: nothing was measured")
    print(torch.cuda.get_device_name(), f"torch {torch.__version__}")
    shapes = tuple(tuple(map(int, shape.split("x"))) for shape in options.shapes.split(","))
    dtype = getattr(torch, options.dtype)
    bench("selective_scan", tuple(options.backends.split(",")), shapes, dtype, options.seconds)
    bench("causal_conv1d", CONVOLUTIONS, shapes, dtype, options.seconds)


if __name__ == "__main__":
    main()
