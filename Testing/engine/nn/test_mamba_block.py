"""The Mamba block against the published one: outputs, gradients, token by token, start values."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from umamba.nn.mamba import CONV_WIDTH, STATE_SIZE, Mamba
from umamba.nn.operators import initialize_convolution

NAMES = ("d8_l30", "d32_l77_odd", "d64_l128", "d8_l1", "d18_l40_ranktwo")
# Sums over all tokens in another order: float32's rounding, some ten times the outputs' own tolerance.
GRADIENT_TOLERANCE = 5e-5
# The same recurrence in other pieces, in float32.
STEP_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def cases(oracle):
    folder = oracle / "mamba_block"
    entries = json.loads((folder / "manifest.json").read_text())["cases"]
    return {entry["name"]: (entry, dict(np.load(folder / entry["file"]))) for entry in entries}


def load(entry, arrays) -> Mamba:
    block = Mamba(entry["d_model"])
    weights = {k[2:]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("w.")}
    block.load_state_dict(weights, strict=True)
    return block


@pytest.mark.parametrize("name", NAMES)
def test_output(cases, name):
    entry, arrays = cases[name]
    tolerance = entry["tolerance"]
    block = load(entry, arrays)
    recorded = block(torch.from_numpy(arrays["x"]))
    np.testing.assert_allclose(recorded.detach().numpy(), arrays["y"], tolerance["rtol"], tolerance["atol"])
    with torch.inference_mode():
        plain = block(torch.from_numpy(arrays["x"]))
    np.testing.assert_allclose(plain.numpy(), arrays["y"], tolerance["rtol"], tolerance["atol"])


def test_gradients(cases):
    entry, arrays = cases["d32_l77_odd"]
    block = load(entry, arrays)
    x = torch.from_numpy(arrays["x"]).requires_grad_()
    block(x).backward(torch.from_numpy(arrays["grad_out"]))
    found = {"grad_x": x.grad} | {f"grad_w.{name}": p.grad for name, p in block.named_parameters()}
    for name, gradient in found.items():
        wanted = arrays[name]
        np.testing.assert_allclose(
            gradient.numpy(), wanted, rtol=0, atol=GRADIENT_TOLERANCE * np.abs(wanted).max(), err_msg=name
        )


@torch.inference_mode()
def test_token_by_token(cases):
    entry, arrays = cases["d8_l30"]
    block = load(entry, arrays).eval()
    tokens = torch.from_numpy(arrays["x"]).transpose(1, 2)
    state = block.first_state(tokens.shape[0], tokens.device)
    outputs = []
    for t in range(tokens.shape[2]):
        out, state = block.advance(tokens[:, :, t : t + 1], state)
        outputs.append(out)
    y = torch.cat(outputs, 2).transpose(1, 2)
    np.testing.assert_allclose(y.numpy(), arrays["step.y"], rtol=0, atol=STEP_TOLERANCE)
    np.testing.assert_allclose(state.ssm.numpy(), arrays["step.ssm_state"], rtol=0, atol=STEP_TOLERANCE)
    # The published state holds the present input too; what the next token needs are the last three.
    kept = arrays["step.conv_state"][:, :, -(CONV_WIDTH - 1) :]
    np.testing.assert_allclose(state.conv.numpy(), kept, rtol=0, atol=STEP_TOLERANCE)


@pytest.mark.parametrize("features", [1, 8, 17, 64])
def test_number_of_parameters_and_rank(features):
    block = Mamba(features)
    inner, rank = 2 * features, -(-features // 16)
    expected = (
        3 * features * inner
        + inner * (CONV_WIDTH + 1)
        + inner * (rank + 2 * STATE_SIZE)
        + inner * rank
        + inner
        + inner * STATE_SIZE
        + inner
    )
    assert block.rank == rank
    assert sum(parameter.numel() for parameter in block.parameters()) == expected


def test_start_values():
    torch.manual_seed(0)
    block = Mamba(64)
    block.apply(initialize_convolution)  # generic initialisation must not touch any of it
    log_of_rows = torch.log(torch.arange(1.0, STATE_SIZE + 1))
    assert torch.equal(block.A_log, log_of_rows.expand_as(block.A_log))
    assert torch.equal(block.D, torch.ones_like(block.D))
    bound = block.rank**-0.5
    assert block.dt_proj.weight.abs().max() <= bound
    step = torch.nn.functional.softplus(block.dt_proj.bias)
    rounding = 1e-6
    assert step.min() >= 1e-3 - rounding
    assert step.max() <= 1e-1 + rounding
    # Spread evenly in the logarithm between 1e-3 and 1e-1: half of them below 1e-2.
    assert 0.3 < (step < 1e-2).float().mean() < 0.7
    assert block.conv1d.bias.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_gives_float32(dtype):
    torch.manual_seed(1)
    block = Mamba(8)
    tokens = torch.randn(2, 9, 8).to(dtype)
    assert torch.equal(block(tokens), block(tokens.float()))
    assert block(tokens).dtype == torch.float32


def test_autocast_does_not_reach_inside():
    torch.manual_seed(2)
    block = Mamba(8)
    tokens = torch.randn(1, 20, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = block(tokens)
    assert torch.equal(inside, block(tokens))
