"""Whether Triton can compile and run a kernel on this computer: it is asked by one that adds two numbers."""

from __future__ import annotations

import os

import torch
import triton.language as tl

from umamba.ops.triton_jit import kernel, launch

_INTERPRETER = "TRITON_INTERPRET"


@kernel()
def _add(left: tl.tensor, right: tl.tensor, total: tl.tensor) -> None:
    tl.store(total, tl.load(left) + tl.load(right))


def problem() -> str | None:
    """Why it cannot, in a few words, or None. The first time this takes a second or two.

    Whether there is a C compiler, which Triton needs on Linux, and whether driver, GPU and Triton suit each
    other, only the attempt tells.
    """
    if os.environ.get(_INTERPRETER, "0") not in ("", "0"):
        return f"its compiler is switched off ({_INTERPRETER})"
    if torch.version.cuda is None:
        return "this PyTorch is not built for CUDA"
    try:
        device = torch.device("cuda", torch.cuda.current_device())
        left, right = torch.ones(1, device=device), torch.full((1,), 2.0, device=device)
        total = torch.zeros(1, device=device)
        launch(_add, 1, device, left, right, total)
        found = total.item()
    except Exception as error:  # compiler, driver and GPU may raise anything
        return f"it cannot run a kernel: {' '.join(str(error).split()) or type(error).__name__}"
    return None if found == 3 else f"its kernels compute wrongly (1 + 2 = {found:g})"
