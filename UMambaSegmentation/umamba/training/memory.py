"""Turns a lack of memory in a training into a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from umamba.errors import InputError

# What PyTorch's allocators say when there is no more; only the GPU's have a class of their own.
_ALLOCATORS_SAY = (
    "DefaultCPUAllocator: can't allocate",
    "not enough memory: you tried to allocate",
    "out of memory",
)


@contextmanager
def saying_what_lacks_memory(device: torch.device, batch_size: int) -> Iterator[None]:
    """Raise InputError instead of PyTorch's error when the memory of `device` does not suffice for a step."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not _is_lack(error):
            raise
        smaller = f"a smaller --batch-size (now {batch_size}) or " if batch_size > 1 else ""
        where = "computer's" if device.type == "cpu" else "GPU's"
        raise InputError(
            f"the {where} memory does not suffice for a training step: take {smaller}a narrower network with "
            "--features"
        ) from error


def _is_lack(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _ALLOCATORS_SAY)
