"""The Triton backend on CPU tensors, by Triton's own interpreter, in a process of its own.

Triton decides when it is first imported whether it compiles or interprets: hence the process, in which
nothing has imported it before.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace, TracebackType
from typing import Any

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor | None]


class Interpreter:
    """Calls `umamba.ops` with the Triton backend in another process, which a `with` block ends."""

    def __init__(self) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), initializer=_start)

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.shutdown()

    def __call__(
        self,
        operator: str,
        arguments: Tensors,
        upstream: Tensors | None = None,
        settings: Mapping[str, int] | None = None,
        **options: object,
    ) -> dict[str, Tensor]:
        """Call an operator of `umamba.ops`.

        Args:
            operator: "selective_scan" or "causal_conv1d".
            arguments: Its tensors by name.
            upstream: The gradients of "out" and, if it is returned, of "last"; without it none are computed.
            settings: Constants of the backend to change for this call: {"scan_triton.SHORT_TOKENS": 16}.
            options: Its other arguments.

        Returns:
            "out", "last" if a state is returned, and the gradient of each argument as "d" + its name.
        """
        task = _packed((operator, dict(arguments), upstream, dict(settings or {}), options))
        return _unpacked(self._process.submit(_run, task).result())


def _packed(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _unpacked(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def _start() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, for infinities that a test wants
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(
        True
    )  # fills new memory with NaN: none may be read before it is written
    import triton
    from triton.runtime import interpreter

    interpreter.ScanOps.generic_scan = _scan_by_doubling
    # For each call of a kernel and of its parts it puts its functions into the language: once will do here.
    put_in, seen, there = interpreter._patch_lang, set(), set()

    def put_in_once(function: Any) -> Any:
        names = function.__globals__
        if id(names) not in seen:
            seen.add(id(names))
            language = {
                id(value)
                for value in names.values()
                if value is triton.language or value is triton.language.core
            }
            if not language <= there:
                put_in(function)
                there.update(language)
        return SimpleNamespace(restore=lambda: None)

    interpreter._patch_lang = put_in_once

    from umamba.ops import conv_triton, registry, scan_triton

    backends = {registry.SCAN: scan_triton.scan, registry.CONV: conv_triton.convolve}
    registry.load = lambda operator, *_: backends[operator]


def _scan_by_doubling(scan: Any, inputs: Any) -> list[Any]:
    """What the interpreter does element by element: all at once, over runs of 1, 2, 4 ... elements.

    That is hundreds of times faster, and it joins runs of elements as a GPU does, whose lanes hold runs.
    """
    import numpy as np

    def tensors(arrays: list[Any]) -> list[Any]:
        return [scan.to_tensor(np.ascontiguousarray(a), v.dtype) for a, v in zip(arrays, inputs, strict=True)]

    now = [value.handle.data for value in inputs]
    length = now[0].shape[scan.axis]
    place = np.arange(length).reshape([-1 if axis == scan.axis else 1 for axis in range(now[0].ndim)])
    reach = 1
    while reach < length:
        before = [np.roll(array, reach, scan.axis) for array in now]
        joined = scan.combine_fn.fn(*tensors(before), *tensors(now))
        now = [np.where(place < reach, a, v.handle.data) for a, v in zip(now, joined, strict=True)]
        reach *= 2
    return tensors(now)


def _run(task: bytes) -> bytes:
    import importlib
    from unittest import mock

    from umamba import ops

    operator, arguments, upstream, settings, options = _unpacked(task)
    leaves = {
        name: value if value is None else value.requires_grad_(upstream is not None)
        for name, value in arguments.items()
    }
    changed = []
    for name, value in settings.items():
        module, constant = name.split(".")
        changed.append(mock.patch.object(importlib.import_module(f"umamba.ops.{module}"), constant, value))
    for change in changed:
        change.start()
    try:
        result = getattr(ops, operator)(**leaves, **options)
        values = dict(zip(("out", "last"), result if isinstance(result, tuple) else (result,), strict=False))
        found = {name: value.detach() for name, value in values.items()}
        if upstream is not None:
            wanted = [name for name in values if upstream.get(name) is not None]
            torch.autograd.backward([values[name] for name in wanted], [upstream[name] for name in wanted])
            found |= {f"d{name}": leaf.grad for name, leaf in leaves.items() if leaf is not None}
    finally:
        for change in changed:
            change.stop()
    return _packed(found)
