"""Prints how close the engine comes to the stored results of the published code.

    python Testing/benchmarks/parity.py ../shared/oracle

For every group: the number of cases, and the worst error as a share of its tolerance,
|a - b| <= atol + rtol |b| (1 or less is within). End to end, the share of equal voxels is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

import umamba
from umamba import nn, ops
from umamba.nn.mamba import Mamba
from umamba.nn.mamba_layer import MambaLayer
from umamba.plans import load_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RESULTS = {
    "e2e_801": "nnUNetTrainerUMambaBot__nnUNetPlans__3d_fullres",
    "e2e_802": "nnUNetTrainerUMambaEnc__nnUNetPlans__2d",
    "e2e_804": "nnUNetTrainer__nnUNetPlans__3d_fullres",
}


@dataclass(frozen=True)
class Row:
    """One line of the table: what was compared, over how many cases, and the worst share."""

    name: str
    cases: int
    worst: float
    remark: str = ""


Arrays = Mapping[str, np.ndarray]
Errors = Iterator[float]


def share(found: Any, stored: np.ndarray, tolerance: Mapping[str, float]) -> float:
    """Worst error as a share of the tolerance."""
    values = found.detach().float().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    if values.shape != stored.shape:
        return float("inf")
    values, stored = values.astype(np.float64), stored.astype(np.float64)
    scale = np.abs(stored).max() if stored.size else 0.0
    limit = tolerance.get("atol", 0) + tolerance.get("atol_fraction_of_max", 0) * scale
    limit = limit + tolerance.get("rtol", 0) * np.abs(stored)
    return float(np.max(np.abs(values - stored) / np.maximum(limit, np.finfo(np.float64).tiny)))


def cases_of(folder: Path) -> Iterator[tuple[dict[str, Any], Arrays]]:
    """Each case of a folder's manifest with its arrays."""
    for case in json.loads((folder / "manifest.json").read_text())["cases"]:
        with np.load(folder / case["file"]) as arrays:
            yield case, dict(arrays)


def collect(name: str, folder: Path, compare: Callable[[dict[str, Any], Arrays], Errors]) -> Row:
    """Worst share over all cases of a folder."""
    shares = [max(compare(case, arrays)) for case, arrays in cases_of(folder)]
    return Row(name, len(shares), max(shares))


def weights_of(arrays: Arrays) -> dict[str, torch.Tensor]:
    """The stored weights of a module, by their keys in its state dict."""
    return {key[2:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("w.")}


def scan_errors(backend: str) -> Callable[[dict[str, Any], Arrays], Errors]:
    """Outputs, last states and (where the backend has them) gradients of the selective scan."""

    def compare(case: dict[str, Any], arrays: Arrays) -> Errors:
        dtype = DTYPES[case["dtype"]]
        tensors: dict[str, torch.Tensor | None] = {}
        for key in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias"):
            array = arrays.get(key)
            tensor = None if array is None else torch.from_numpy(array.astype(np.float32))
            per_token = key in ("u", "delta", "z") or (key in "BC" and array is not None and array.ndim > 2)
            tensors[key] = tensor.to(dtype) if tensor is not None and per_token else tensor
            if tensor is not None and case["grad"]:
                tensors[key] = tensor.requires_grad_()
        found = ops.selective_scan(
            **tensors,
            delta_softplus=case["delta_softplus"],
            return_last_state=case["return_last_state"],
            backend=backend,
        )
        out = found[0] if case["return_last_state"] else found
        yield share(out, arrays["out"], case["tolerance"])
        if case["return_last_state"]:
            yield share(found[1], arrays["last_state"], case["tolerance"])
        if case["grad"]:
            out.backward(torch.from_numpy(arrays["grad_out"]))
            for key, tensor in tensors.items():
                if tensor is not None and f"d{key}" in arrays:
                    yield share(tensor.grad, arrays[f"d{key}"], case["grad_tolerance"])

    return compare


def conv_errors(backend: str) -> Callable[[dict[str, Any], Arrays], Errors]:
    """Outputs and final states of the causal convolution."""

    def compare(case: dict[str, Any], arrays: Arrays) -> Errors:
        dtype = DTYPES[case["dtype"]]
        named = {key: torch.from_numpy(value.astype(np.float32)) for key, value in arrays.items()}
        found = ops.causal_conv1d(
            named["x"].to(dtype),
            named["weight"].to(dtype),
            named["bias"].to(dtype) if "bias" in named else None,
            initial_states=named["initial_states"].to(dtype) if "initial_states" in named else None,
            return_final_states=case["return_final_states"],
            activation=case["activation"],
            backend=backend,
        )
        out = found[0] if case["return_final_states"] else found
        yield share(out, arrays["out"], case["tolerance"])
        if case["return_final_states"]:
            yield share(found[1], arrays["final_states"], case["tolerance"])

    return compare


def block_errors(case: dict[str, Any], arrays: Arrays) -> Errors:
    """A whole Mamba block."""
    block = Mamba(case["d_model"]).eval()
    block.load_state_dict(
        {key[2:]: torch.from_numpy(value) for key, value in arrays.items() if key[:2] == "w."}
    )
    tokens = torch.from_numpy(arrays["x"]).transpose(1, 2)
    with torch.no_grad():
        yield share(block.advance(tokens)[0].transpose(1, 2), arrays["y"], case["tolerance"])


def layer_errors(case: dict[str, Any], arrays: Arrays) -> Errors:
    """LayerNorm and Mamba over a feature map."""
    layer = MambaLayer(case["dim"], channel_tokens=bool(case["channel_token"])).eval()
    layer.load_state_dict(
        {key[2:]: torch.from_numpy(value) for key, value in arrays.items() if key[:2] == "w."}
    )
    with torch.no_grad():
        yield share(layer(torch.from_numpy(arrays["x"])), arrays["y"], case["tolerance"])


def network_errors(folder: Path) -> Callable[[dict[str, Any], Arrays], Errors]:
    """Logits and all heads of whole networks."""

    def compare(case: dict[str, Any], arrays: Arrays) -> Errors:
        network = nn.build_network(
            load_json(folder / case["plans"]),
            case["configuration"],
            load_json(folder / case["dataset"]),
            network=case["network"],
            generation=case["generation"] if case["generation"] in ("current", "legacy") else "current",
            deep_supervision=True,
        ).eval()
        nn.load_weights(network, weights_of(arrays))
        x = torch.from_numpy(arrays["x"])
        with torch.no_grad():
            heads = network(x)
            network.deep_supervision = False
            yield share(network(x), arrays["logits"], case["tolerance"])
        for index, head in enumerate(heads):
            stored = arrays["logits"] if index == 0 else arrays[f"head.{index}"]
            yield share(head, stored, case["activation_tolerance"])

    return compare


def end_to_end(oracle: Path, name: str) -> list[Row]:
    """Network input, logits and labels of the stored runs, from the genuine checkpoints."""
    folder = oracle / name
    inputs, logits, agreements = [], [], []
    for case, arrays in cases_of(folder):
        model = folder / (case.get("results_folder") or RESULTS[name])
        images = [folder / path for path in case["inputs"]]
        options = {"folds": case.get("folds", "all"), "mirror": case["mirror"]}
        result = umamba.segment(images, model, device="cpu", **options)
        agreements.append(float(np.mean(result.labels == arrays["segmentation"])))
        previous = None
        if case.get("previous_stage"):
            previous = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / case["previous_stage"])))
        data = umamba.inference.preprocess(images, model, previous)
        if "preprocessed" in arrays:
            channels = len(arrays["preprocessed"])
            inputs.append(
                share(data.data[:channels], arrays["preprocessed"], case["tolerance"]["preprocessed"])
            )
        found = umamba.inference.logits(data, model, **options)
        tolerance = case["tolerance"]["logits_sliding_fp32acc"]
        logits.append(share(found, arrays["logits_sliding_fp32acc"], tolerance))
    equal = f"labels {100 * min(agreements):.4f} % equal at least (99.95 wanted)"
    return [
        Row(f"{name}: network input", len(inputs), max(inputs)),
        Row(f"{name}: logits", len(logits), max(logits), equal),
    ]


def rows(oracle: Path) -> Iterator[Row]:
    """All lines of the table."""
    for backend, problem in ops.backends().items():
        if problem is None:
            yield from _operator_rows(oracle, backend)
    yield collect("Mamba block", oracle / "mamba_block", block_errors)
    yield collect("U-Mamba layer", oracle / "umamba_mambalayer", layer_errors)
    yield collect("networks, all heads", oracle / "networks", network_errors(oracle / "networks"))
    for name in ("e2e_801", "e2e_802", "e2e_803", "e2e_804"):
        yield from end_to_end(oracle, name)


def _operator_rows(oracle: Path, backend: str) -> Iterator[Row]:
    if backend != "causal_conv1d":
        yield collect(f"selective scan, {backend}", oracle / "selective_scan", scan_errors(backend))
    if backend != "mamba_ssm":
        yield collect(f"causal conv1d, {backend}", oracle / "causal_conv1d", conv_errors(backend))


def main() -> int:
    """Print the table; exit status 1 when anything is out of its tolerance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("oracle", type=Path, help="the folder with the stored results")
    oracle = parser.parse_args().oracle
    print(f"{'compared':34} {'cases':>5}  {'worst error / tolerance':>23}")
    worst = 0.0
    for row in rows(oracle):
        worst = max(worst, row.worst)
        print(f"{row.name:34} {row.cases:5}  {row.worst:23.3f}  {row.remark}", flush=True)
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
