"""What one tile costs a network: peak memory and arithmetic, found without computing anything.

The network runs once on PyTorch's meta device, where tensors have shapes but no values, while every tensor's
birth and death is counted.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from umamba.nn.mamba import Mamba
from umamba.nn.vss import VSSBlock


@dataclass(frozen=True)
class TileCost:
    """Cost of one forward pass.

    Attributes:
        peak_bytes: Largest sum of live tensors, input and output included, weights not.
        flops: Multiplications and additions of convolutions and matrix products.
        traffic_bytes: Sum of the sizes of all tensors made: what the memory-bound steps move.
        scan_elements: States of the selective scan, tokens x channels x states.
    """

    peak_bytes: int
    flops: int
    traffic_bytes: int
    scan_elements: int


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of live storages."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self.made = 0
        self.flops = 0
        self._references: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch's compiler is not wanted here, and asking it to stay away would load it."""
        return False

    def track(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._references:
            self._references[key] = 0
            self.live += size
            self.made += size
            self.peak = max(self.peak, self.live)
        self._references[key] += 1
        weakref.finalize(tensor, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._references[key] -= 1
        if not self._references[key]:
            del self._references[key]
            self.live -= size

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.track(leaf)
        self.flops += _flops(func.overloadpacket.__name__, args, out)
        return out


def trace_tile(network: torch.nn.Module, channels: int, patch: Sequence[int]) -> TileCost:
    """Cost of one tile of (1, channels, *patch) float32.

    Args:
        network: A network on the meta device, in evaluation mode.
        channels: Input channels.
        patch: Spatial size of the network's input.
    """
    elements = _ScanElements(network)
    counter = _LiveBytes()
    with torch.inference_mode(), counter:
        tile = torch.empty((1, channels, *patch), device="meta")
        counter.track(tile)
        out = network(tile)
        del out
    elements.remove()
    return TileCost(counter.peak, counter.flops, counter.made, elements.total)


def _flops(operation: str, args: tuple[Any, ...], out: Any) -> int:  # noqa: ANN401
    """Multiplications and additions of a convolution or a matrix product; 0 for everything else."""
    if operation.startswith("conv_transpose"):
        return 2 * int(args[0].numel()) * int(args[1][0].numel())
    if operation.startswith("conv"):
        return 2 * int(out.numel()) * int(args[1][0].numel())
    if operation in ("mm", "bmm", "matmul"):
        return 2 * int(args[0].numel()) * int(args[1].shape[-1])
    return 0


class _ScanElements:
    """Counts tokens x channels x states (x paths) over a network's Mamba and VSS blocks while it runs."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.total = 0
        self._blocks = [module for module in network.modules() if isinstance(module, Mamba)]
        for block in self._blocks:
            # Blocks are advanced piece by piece and not called, so a forward hook would see nothing.
            block.__dict__["advance"] = self._counting(block)
        self._hooks = [
            module.register_forward_pre_hook(self._count_paths)
            for module in network.modules()
            if isinstance(module, VSSBlock)
        ]

    def _count_paths(self, block: VSSBlock, arguments: tuple[torch.Tensor]) -> None:
        tokens = arguments[0].numel() // arguments[0].shape[-1]
        self.total += tokens * block.self_attention.A_logs.numel()

    def _counting(self, block: Mamba) -> Callable[..., Any]:
        advance = block.advance

        def counted(tokens: torch.Tensor, *rest: Any) -> Any:  # noqa: ANN401
            self.total += tokens.shape[0] * tokens.shape[2] * block.A_log.numel()
            return advance(tokens, *rest)

        return counted

    def remove(self) -> None:
        for block in self._blocks:
            del block.__dict__["advance"]
        for hook in self._hooks:
            hook.remove()
