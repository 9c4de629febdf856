"""Published networks with their weights and numbers, and a counter of live memory."""

from __future__ import annotations

import json
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from umamba import nn


@dataclass(frozen=True)
class Published:
    """One network of the oracle: its manifest entry, its arrays, its files' folder."""

    entry: dict[str, Any]
    arrays: dict[str, np.ndarray]
    folder: Path

    @property
    def generation(self) -> str | None:
        """None for nnU-Net's own networks."""
        return self.entry["generation"] if self.entry["generation"] in ("current", "legacy") else None

    def plans(self) -> dict[str, Any]:
        return json.loads((self.folder / self.entry["plans"]).read_text())

    def dataset(self) -> dict[str, Any]:
        return json.loads((self.folder / self.entry["dataset"]).read_text())

    def weights(self) -> dict[str, torch.Tensor]:
        return {k[2:]: torch.from_numpy(v) for k, v in self.arrays.items() if k.startswith("w.")}

    def head(self, index: int) -> np.ndarray:
        return self.arrays["logits" if index == 0 else f"head.{index}"]

    def build(self, *, deep_supervision: bool = False, load: bool = True) -> nn.Network:
        network = nn.build_network(
            self.plans(),
            self.entry["configuration"],
            self.dataset(),
            network=self.entry["network"],
            generation=self.generation or "current",
            deep_supervision=deep_supervision,
        ).eval()
        if load:
            nn.load_weights(network, self.weights())
        return network

    def input(self) -> torch.Tensor:
        return torch.from_numpy(self.arrays["x"])


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """These maps are too small for several threads, whose waiting costs more than their work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def published(oracle: Path):
    """Get a network of the oracle by its name."""
    folder = oracle / "networks"
    entries = {case["name"]: case for case in json.loads((folder / "manifest.json").read_text())["cases"]}

    def get(name: str) -> Published:
        with np.load(folder / entries[name]["file"]) as arrays:
            return Published(entries[name], dict(arrays), folder)

    return get


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors made inside the context that live, and the most that ever lived."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = self.largest = 0
        self._references: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        known = {
            leaf.untyped_storage()._cdata for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)
        }
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._track(tensor, known)
        return out

    def _track(self, tensor: torch.Tensor, known: set[int]) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._references:
            if key in known:  # a view of something made outside
                return
            self._references[key] = 0
            self.live += size
            self.peak = max(self.peak, self.live)
            self.largest = max(self.largest, size)
        self._references[key] += 1
        weakref.finalize(tensor, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._references[key] -= 1
        if not self._references[key]:
            del self._references[key]
            self.live -= size


@pytest.fixture
def live_bytes() -> LiveBytes:
    return LiveBytes()
