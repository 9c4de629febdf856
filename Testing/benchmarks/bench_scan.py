"""How fast the scan's backends are, beside the reference loop in the same run.

    python Testing/benchmarks/bench_scan.py [--tokens 5000] [--channels 128] [--states 16] [--threads N]

Prints, for each backend, the median time of the forward pass and of forward and backward together, the time
for one element of the state, and the ratio to the reference. Trust the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from umamba.ops import backends, selective_scan

ROUNDS = {"reference": 3, "torch": 5, "numba": 15}


def arguments(channels: int, states: int, tokens: int) -> list[torch.Tensor]:
    """u, delta, A, B, C, D, z, delta_bias with the magnitudes of a trained Mamba."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return [
        normal(1, channels, tokens),
        normal(1, channels, tokens) * 0.5 - 3,
        -torch.arange(1, states + 1.0).repeat(channels, 1),
        normal(1, states, tokens),
        normal(1, states, tokens),
        torch.ones(channels),
        normal(1, channels, tokens),
        torch.zeros(channels),
    ]


def median_s(call: Callable[[], object], rounds: int) -> float:
    """The median time of `rounds` calls after one to warm up, in seconds."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(backend: str, inputs: list[torch.Tensor]) -> tuple[float, float]:
    """Seconds for forward, and for forward and backward."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    upstream = torch.ones_like(inputs[0])

    def forward() -> None:
        with torch.inference_mode():
            selective_scan(*inputs, True, backend=backend)

    def both() -> None:
        for leaf in leaves:
            leaf.grad = None
        selective_scan(*leaves, True, backend=backend).backward(upstream)

    rounds = ROUNDS[backend]
    return median_s(forward, rounds), median_s(both, rounds)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=5000)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--states", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    inputs = arguments(options.channels, options.states, options.tokens)
    elements = options.channels * options.states * options.tokens
    print(f"L = {options.tokens}, D = {options.channels}, N = {options.states}, threads = {options.threads}")
    print(f"{'backend':<10} {'forward':>11} {'':>9} {'times':>6} {'with backward':>14} {'':>9} {'times':>6}")
    base: tuple[float, float] | None = None
    for backend in ROUNDS:
        if backends()[backend] is not None:
            print(f"{backend:<10} {backends()[backend]}")
            continue
        times = measure(backend, inputs)
        base = base or times
        print(
            f"{backend:<10}"
            + "".join(
                f" {seconds * 1e3:>{width}.1f} ms {seconds / elements * 1e9:>6.2f} ns {slow / seconds:>6.1f}"
                for seconds, slow, width in zip(times, base, (8, 11), strict=True)
            )
        )


if __name__ == "__main__":
    main()
