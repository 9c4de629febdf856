"""The blocks of Mamba-UNet give what the published ones gave, and scan along the published paths."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from umamba.nn.cross_scan import ScanWeights, cross_scan, cross_scan_streamed, paths, raster_order
from umamba.nn.mamba_unet_layers import PatchEmbed, PatchExpand, PatchMerging
from umamba.nn.vss import DropPath, VSSBlock
from umamba.ops import selective_scan

VSS = (
    "vss_d8_7x9",
    "vss_d16_8x8",
    "vss_d18_5x6_rank2_state4",
    "vss_d32_14x14",
    "vss_d8_1x5",
    "vss_eps_small_input",
)
LAYERS = (
    "embed_d16_28x36",
    "embed_d8_30x37_cut",
    "merge_d8_8x8",
    "merge_d8_7x9_odd",
    "merge_d16_14x6",
    "merge_d8_6x5_odd",
    "expand_d16_7x9",
    "expand_d32_8x8",
    "final_d8_7x9",
    "final_d16_4x4",
)
SHAPES = ("3x4", "7x9", "8x8", "1x5")
# Two ways to sum the same float32 numbers, of magnitude 1.
ROUNDING = 1e-5
# Softplus of its own inverse, in float32.
SOFTPLUS_ERROR = 1e-3
# A mean of 0 or 1 / keep over this many samples has a standard deviation of some 0.005.
SAMPLES, MEAN_ERROR = 10_000, 0.03


class Case:
    """A case of the oracle: manifest entry, arrays, weights."""

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self.entry = entry
        with np.load(folder / entry["file"]) as arrays:
            self.arrays = dict(arrays)
        self.weights = {k[2:]: torch.from_numpy(v) for k, v in self.arrays.items() if k.startswith("w.")}

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def agrees(self, found: Tensor, wanted: str = "y") -> None:
        tolerance = self.entry["tolerance"]
        np.testing.assert_allclose(
            found.detach().numpy(), self.arrays[wanted], tolerance["rtol"], tolerance["atol"]
        )


@pytest.fixture(scope="module")
def blocks(oracle):
    folder = oracle / "mambaunet_blocks"
    entries = {case["name"]: case for case in json.loads((folder / "manifest.json").read_text())["cases"]}
    return lambda name: Case(folder, entries[name])


def built(module: nn.Module, case: Case) -> nn.Module:
    assert list(module.state_dict()) == list(case.weights)
    module.load_state_dict(case.weights, strict=True)
    return module.eval()


def vss_block(case: Case) -> nn.Module:
    states = case.weights["self_attention.A_logs"].shape[1]
    rank = case.weights["self_attention.dt_projs_weight"].shape[2]
    return built(VSSBlock(case.weights["ln_1.weight"].numel(), 2, states=states, rank=rank), case)


def layer(case: Case) -> nn.Module:
    kind = case.entry["kind"]
    if kind == "patch_embed":
        return built(PatchEmbed(3, case.weights["proj.weight"].shape[0], (4, 4)), case)
    if kind == "patch_merging":
        return built(PatchMerging(case.arrays["x"].shape[-1], (2, 2)), case)
    features = case.arrays["x"].shape[-1]
    if kind == "patch_expand":
        return built(PatchExpand(features, features // 2, (2, 2)), case)
    return built(PatchExpand(features, features, (4, 4)), case)


@pytest.mark.parametrize("name", VSS)
def test_vss_blocks_with_and_without_gradients(blocks, name):
    case = blocks(name)
    block = vss_block(case)
    case.agrees(block(case.tensor("x")))
    with torch.inference_mode():
        case.agrees(block(case.tensor("x")))


@pytest.mark.parametrize("backend", ["numba", "torch", "reference"])
def test_every_backend_gives_the_same(blocks, monkeypatch, backend):
    monkeypatch.setattr("umamba.nn.cross_scan.selective_scan", partial(selective_scan, backend=backend))
    case = blocks("vss_d18_5x6_rank2_state4")
    block, x = vss_block(case), case.tensor("x")
    case.agrees(block(x))
    with torch.inference_mode():
        case.agrees(block(x))


def test_the_epsilon_is_the_networks_and_not_the_blocks_own(blocks):
    case = blocks("vss_eps_small_input")
    found = vss_block(case)(case.tensor("x")).detach().numpy()
    tolerance = case.entry["tolerance"]
    assert not np.allclose(found, case.arrays["y_eps1e6"], tolerance["rtol"], tolerance["atol"])


def test_gradients_of_a_block(blocks):
    case = blocks("vss_d8_7x9")
    block, x = vss_block(case), case.tensor("x").requires_grad_()
    block(x).backward(case.tensor("grad_out"))
    tolerance = case.entry["gradient_tolerance"]
    gradients = {"grad_x": x.grad} | {f"grad_w.{name}": p.grad for name, p in block.named_parameters()}
    assert {name for name in case.arrays if name.startswith("grad_") and name != "grad_out"} == set(gradients)
    for name, found in gradients.items():
        wanted = case.arrays[name]
        atol = tolerance["atol_relative_to_max_abs_of_each"] * np.abs(wanted).max()
        np.testing.assert_allclose(found.numpy(), wanted, tolerance["rtol"], atol, err_msg=name)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_between_the_blocks(blocks, name):
    case = blocks(name)
    found = layer(case)(case.tensor("x"))
    assert found.shape == case.tensor("y").shape
    case.agrees(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_paths_visit_the_tokens_in_the_published_order(oracle, shape):
    size = [int(part) for part in shape.split("x")]
    with np.load(oracle / "mambaunet_blocks" / "scan_orders.npz") as arrays:
        wanted = arrays[f"order_{shape}"]
    np.testing.assert_array_equal(visited(size), wanted)


def test_paths_over_three_axes_by_hand():
    # With one row, y counts for nothing: x runs fastest in the first order, z in the two others.
    assert visited([2, 1, 2]).tolist() == [
        [0, 1, 2, 3],
        [0, 2, 1, 3],
        [0, 2, 1, 3],
        [3, 2, 1, 0],
        [3, 1, 2, 0],
        [3, 1, 2, 0],
    ]
    # One slice: row by row, column by column, and row by row again, for z counts for nothing.
    assert visited([1, 2, 3])[:3].tolist() == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [0, 1, 2, 3, 4, 5]]
    # One column: y runs fastest in (x, z, y), z in (y, x, z).
    assert visited([2, 2, 1])[1:3].tolist() == [[0, 1, 2, 3], [0, 2, 1, 3]]


def visited(size: list[int]) -> np.ndarray:
    """Token that each path visits at each step, (paths, L).

    That the scan goes along these paths is seen by letting it count: a scan whose states never decay gives
    for each token how many had been seen when it was reached.
    """
    axes, tokens = len(size), int(np.prod(size))
    orders = []
    for path in range(paths(axes)):
        permutation = raster_order(axes, path % axes)
        order = np.arange(tokens).reshape(size).transpose(permutation).ravel()
        orders.append(order[::-1] if path >= axes else order)
    assert np.array_equal(counted(size), sum(ranks(order) for order in orders))
    return np.array(orders)


def ranks(order: np.ndarray) -> np.ndarray:
    """How many tokens, itself included, had been seen when each was reached."""
    found = np.empty(len(order))
    found[order] = np.arange(1, len(order) + 1)
    return found


def counted(size: list[int]) -> np.ndarray:
    """Sum over all paths of the tokens seen so far, by the scan itself."""
    count = paths(len(size))
    # softplus(0) = ln 2 multiplies B; with N = 1 and next to no decay the state is a plain sum.
    weights = ScanWeights(
        x_proj=torch.tensor([0.0, 1 / np.log(2), 1.0], dtype=torch.float32).view(1, 3, 1).repeat(count, 1, 1),
        dt_proj=torch.zeros(count, 1, 1),
        dt_bias=torch.zeros(count, 1),
        decay=torch.full((count, 1, 1), -1e-12),
        skip=torch.zeros(count, 1),
    )
    ones = torch.ones(1, 1, *size)
    with torch.inference_mode():
        streamed, at_once = cross_scan_streamed(ones, weights), cross_scan(ones, weights)
    np.testing.assert_allclose(streamed, at_once, rtol=ROUNDING)
    return np.round(streamed.numpy().ravel())


@pytest.mark.parametrize("room", [1, 10_000])
@pytest.mark.parametrize("size", [(9, 14), (1, 6), (4, 5, 6), (3, 1, 7)])
def test_pieces_change_nothing(monkeypatch, size, room):
    torch.manual_seed(1)
    block = VSSBlock(8, len(size), states=4, rank=2).eval()
    x = torch.randn(2, *size, 8)
    whole = block(x)
    monkeypatch.setattr("umamba.nn.cross_scan.PIECE_BYTES", room)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), whole, rtol=ROUNDING, atol=ROUNDING)


def test_a_block_leaves_its_input_as_it_was():
    block = VSSBlock(8, 2, states=4, rank=1).eval()
    x = torch.randn(1, 4, 4, 8)
    before = x.clone()
    with torch.inference_mode():
        block(x)
    assert torch.equal(x, before)


def test_start_values():
    torch.manual_seed(0)
    mixer = VSSBlock(96, 2, states=16, rank=6).self_attention
    assert torch.equal(mixer.A_logs[5], torch.arange(1, 17).log())
    assert bool((mixer.Ds == 1).all())
    steps = torch.nn.functional.softplus(mixer.dt_projs_bias)
    assert steps.min() >= 1e-3 * (1 - SOFTPLUS_ERROR)
    assert steps.max() <= 0.1 * (1 + SOFTPLUS_ERROR)
    assert mixer.dt_projs_weight.abs().max() <= 6**-0.5
    assert mixer.x_proj_weight.abs().max() <= 192**-0.5
    assert not torch.equal(mixer.dt_projs_bias[0], mixer.dt_projs_bias[1])


def test_drop_path_keeps_the_mean_and_works_by_sample():
    torch.manual_seed(0)
    drop = DropPath(0.2)
    found = drop(torch.ones(SAMPLES, 3))
    assert set(found.unique().tolist()) == {0.0, 1.25}
    assert bool((found[:, :1] == found).all())
    assert found.mean().item() == pytest.approx(1, abs=MEAN_ERROR)
    assert torch.equal(drop.eval()(found), found)
