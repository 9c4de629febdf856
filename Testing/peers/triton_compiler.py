"""Triton's compiler without a GPU: what it makes of our kernels, down to machine code.

    python -m peers.triton_compiler 80 float32

compiles what one forward and one backward pass launch, for a GPU of that compute capability, and prints a
JSON list with the name and the intermediate code (PTX) of each. Triton asks its driver for the GPU; here a
stand-in answers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch


class _Driver:
    """Of Triton's driver what compiling needs."""

    def __init__(self, capability: int) -> None:
        self._capability = capability

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self._capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def compiled(capability: int, dtype: torch.dtype) -> list[dict[str, str]]:
    """The kernels of a scan and a convolution in the shapes of a network, gradients included."""
    import triton

    from umamba.ops import conv_triton, registry, scan_triton

    triton.runtime.driver.set_active(_Driver(capability))
    found: list[dict[str, str]] = []

    def compile_only(
        kernel: Any,
        programs: int,
        device: torch.device,
        *arguments: object,
        warps: int = 1,
        **constants: object,
    ) -> None:
        result = kernel.warmup(
            *arguments, grid=(programs,), num_warps=warps, enable_fp_fusion=True, **constants
        )
        assert result.asm["cubin"], "the assembler gave nothing"
        found.append({"name": kernel.__name__, "ptx": result.asm["ptx"]})

    scan_triton.launch = conv_triton.launch = compile_only  # type: ignore[attr-defined]
    backends = {registry.SCAN: scan_triton.scan, registry.CONV: conv_triton.convolve}
    registry.load = lambda operator, *_: backends[operator]  # type: ignore[assignment]
    _run_mamba(dtype)
    return found


def _run_mamba(dtype: torch.dtype, channels: int = 64, tokens: int = 4096, states: int = 16) -> None:
    from umamba.ops import causal_conv1d, selective_scan

    def tensor(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype, requires_grad=True)

    u, delta, z = (tensor(1, channels, tokens, dtype=dtype) for _ in range(3))
    B, C = (tensor(1, states, tokens, dtype=dtype) for _ in range(2))
    D, bias, weight = tensor(channels), tensor(channels), tensor(channels, 4)
    past = tensor(1, channels, 3, dtype=dtype)
    x = causal_conv1d(u, weight, bias, initial_states=past, activation="silu")
    selective_scan(x, delta, tensor(channels, states), B, C, D, z, bias, True).sum().backward()


if __name__ == "__main__":
    print(json.dumps(compiled(int(sys.argv[1]), getattr(torch, sys.argv[2]))))
