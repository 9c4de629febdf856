"""Mamba-UNet over three axes: its blocks against formulas in float64, whole networks trained and measured."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from umamba.nn import MambaUNet
from umamba.nn.mamba_unet_layers import PatchExpand, PatchMerging
from umamba.nn.vss import VSSBlock

SIZES = {
    "dims": [16, 32, 64],
    "depths": [1, 2, 1],
    "patch_size": [1, 2, 2],
    "strides": [[1, 2, 2], [2, 2, 2]],
}
# float32 sums over some hundred tokens against the same in float64, relative to the largest value.
ACCURACY = 2e-5
ROUNDING = 1e-4
# Maps of D channels that the finest block holds at once (see test_mamba_unet.py), and pieces.
MAPS, SLACK_BYTES = 4, 40 * 2**20
# The order in which each path visits the axes, slowest first, from the description in the module.
ORDERS = ((0, 1, 2), (2, 0, 1), (1, 2, 0))


def by_formula(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """A VSS block over (B, Z, Y, X, C), token by token, from the published formulas."""
    w = {name.removeprefix("self_attention."): value for name, value in weights.items()}
    batch, *size, features = x.shape
    tokens = functional.layer_norm(x, (features,), w["ln_1.weight"], w["ln_1.bias"], 1e-5)
    u, z = (tokens @ w["in_proj.weight"].T).chunk(2, -1)
    inner = u.shape[-1]
    u = functional.conv3d(u.movedim(-1, 1), w["conv3d.weight"], w["conv3d.bias"], padding=1, groups=inner)
    u = functional.silu(u).movedim(1, -1)
    total = torch.zeros_like(u)
    for path in range(6):
        order = ORDERS[path % 3]
        line = u.permute(0, *(1 + axis for axis in order), 4).reshape(batch, -1, inner)
        line = line.flip(1) if path >= 3 else line
        y = scan_by_formula(line, w, path)
        y = y.flip(1) if path >= 3 else y
        ordered = y.view(batch, *(size[axis] for axis in order), inner)
        total = total + ordered.permute(0, *(1 + order.index(axis) for axis in range(3)), 4)
    total = functional.layer_norm(total, (inner,), w["out_norm.weight"], w["out_norm.bias"], 1e-5)
    return x + (total * functional.silu(z)) @ w["out_proj.weight"].T


def scan_by_formula(line: Tensor, w: dict[str, Tensor], path: int) -> Tensor:
    """h_t = exp(d_t A) h_{t-1} + d_t s_t B_t and o_t = <h_t, C_t> + D s_t, over (B, L, D)."""
    inner = line.shape[2]
    states, rank = w["A_logs"].shape[1], w["dt_projs_weight"].shape[2]
    rows = slice(path * inner, (path + 1) * inner)
    dt, B, C = (line @ w["x_proj_weight"][path].T).split([rank, states, states], -1)
    delta = functional.softplus(dt @ w["dt_projs_weight"][path].T + w["dt_projs_bias"][path])
    A, skip = -torch.exp(w["A_logs"][rows]), w["Ds"][rows]
    state = line.new_zeros(line.shape[0], inner, states)
    out = []
    for t in range(line.shape[1]):
        step, value = delta[:, t, :, None], line[:, t, :, None]
        state = torch.exp(step * A) * state + step * value * B[:, t, None]
        out.append((state * C[:, t, None]).sum(-1) + skip * line[:, t])
    return torch.stack(out, 1)


def near(found: Tensor, wanted: Tensor, what: str = "") -> None:
    torch.testing.assert_close(
        found.double(),
        wanted,
        rtol=0,
        atol=ACCURACY * wanted.abs().max().item(),
        msg=lambda m: f"{what}: {m}",
    )


def test_a_block_and_its_gradients_against_the_formulas():
    torch.manual_seed(2)
    block = VSSBlock(6, 3, states=4, rank=2).eval()
    with torch.no_grad():  # so that every path and channel counts
        for parameter in block.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    weights = {name: value.detach().double().requires_grad_() for name, value in block.named_parameters()}
    x = torch.randn(2, 3, 4, 5, 6)
    exact_x = x.double().requires_grad_()
    x.requires_grad_()
    found, wanted = block(x), by_formula(exact_x, weights)
    near(found, wanted, "output")
    with torch.inference_mode():
        near(block(x), wanted, "output in inference")
    grad = torch.randn(found.shape)
    found.backward(grad)
    wanted.backward(grad.double())
    near(x.grad, exact_x.grad, "input")
    for name, parameter in block.named_parameters():
        near(parameter.grad, weights[name].grad, name)


def test_merging_and_expanding_by_hand():
    merging, expanding = PatchMerging(1, (1, 2, 2)), PatchExpand(4, 1, (1, 2, 2))
    seen: list[Tensor] = []
    merging.reduction.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    with torch.no_grad():
        merging.norm.weight.fill_(1)
        expanding.expand.weight.copy_(torch.eye(4))
        # One slice, two rows, two columns: the rows of a stride run fastest among the merged.
        merging(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])[None, ..., None])
        enlarged = expanding._enlarge(torch.tensor([10.0, 20.0, 30.0, 40.0]).view(1, 1, 1, 1, 4))
    assert seen[0].flatten().argsort().tolist() == [0, 2, 1, 3]
    # Among the enlarged, the columns do.
    assert enlarged.flatten(1).tolist() == [[10, 20, 30, 40]]
    assert enlarged.shape == (1, 1, 2, 2, 1)


def test_networks_run_alike_with_and_without_gradients():
    torch.manual_seed(3)
    network = MambaUNet(2, 3, **SIZES).eval()
    assert network.total_stride == (2, 8, 8)
    x = torch.randn(2, 2, 4, 16, 24)
    whole = network(x)
    assert whole.shape == (2, 3, 4, 16, 24)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), whole, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("patch", [[1, 4, 4], [2, 2, 2], [2, 4, 4]])
def test_a_training_lowers_the_loss_and_reaches_every_parameter(patch):
    torch.manual_seed(4)
    network = MambaUNet(1, 2, dims=[8, 16], depths=[1, 1], patch_size=patch).train()
    network.apply(network.initialize)
    x = torch.randn(2, 1, 4, 16, 16)
    label = (functional.avg_pool3d(x, 3, 1, 1) > 0)[:, 0].long()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(x), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
    assert all(bool(p.grad.any()) for p in network.parameters())
    assert losses[-1] < losses[0]


def test_memory_does_not_grow_with_the_states(live_bytes):
    size, features = (16, 96, 96), 48
    network = MambaUNet(1, 3, dims=[features, 2 * features], depths=[1, 1], patch_size=[1, 2, 2]).eval()
    with torch.inference_mode(), live_bytes:
        network(torch.zeros(1, 1, *size))
    map_bytes = 4 * math.prod(size) // 4 * 2 * features
    assert live_bytes.peak < MAPS * map_bytes + SLACK_BYTES
    assert MAPS * map_bytes + SLACK_BYTES < 16 * map_bytes  # what one path's states would take
