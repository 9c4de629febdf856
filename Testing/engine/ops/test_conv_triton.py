"""The Triton convolution, interpreted on the CPU: against the published code's numbers, and its formula."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from peers.triton_interpreter import Interpreter
from umamba.ops import causal_conv1d

CASES = [
    *("w4_silu", "w4_none", "w3_nobias_silu", "w2_bias_none", "w4_short_L2", "w4_L1", "w4_init_final"),
    *("w3_init_short_L1_final", "w2_init_final", "w4_final_only", "w4_bf16", "w4_fp16"),
]
# Of the largest value. A handful of float32 products in another order.
SAME_BUT_FOR_ORDER = 1e-5
# Several blocks of tokens, and several rows in a block.
SMALL_BLOCKS = {"conv_triton.BLOCK_NUMBERS": 32}


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    __tracebackhide__ = True
    assert found.shape == wanted.shape
    if wanted.numel():
        limit = SAME_BUT_FOR_ORDER * max(wanted.abs().max().item(), 1.0)
        assert (found - wanted).abs().max().item() <= limit


def test_every_case_of_the_oracle_is_tested(oracle: Path) -> None:
    manifest = json.loads((oracle / "causal_conv1d" / "manifest.json").read_text())
    assert [case["name"] for case in manifest["cases"]] == CASES


@pytest.mark.parametrize("name", CASES)
def test_oracle(oracle: Path, interpreted: Interpreter, name: str) -> None:
    manifest = json.loads((oracle / "causal_conv1d" / "manifest.json").read_text())
    case = next(case for case in manifest["cases"] if case["name"] == name)
    with np.load(oracle / "causal_conv1d" / case["file"]) as file:
        stored = {key: torch.from_numpy(file[key]).to(getattr(torch, case["dtype"])) for key in file.files}
    arguments = {key: stored[key] for key in ("x", "weight", "bias", "initial_states") if key in stored}
    options = {key: case[key] for key in ("activation", "return_final_states")}
    found = interpreted("causal_conv1d", arguments, **options)
    assert found["out"].dtype == stored["x"].dtype
    torch.testing.assert_close(found["out"].float(), stored["out"].float(), **case["tolerance"])
    if case["return_final_states"]:
        assert torch.equal(found["last"], stored["final_states"])


def _arguments(tokens: int, width: int, with_states: bool, with_bias: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens + width)
    shapes = {"x": (2, 5, tokens), "weight": (5, width)}
    if with_bias:
        shapes["bias"] = (5,)
    if with_states:
        shapes["initial_states"] = (2, 5, width - 1)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize(("with_states", "with_bias"), [(False, True), (True, False)])
@pytest.mark.parametrize(("tokens", "width"), [(2, 4), (40, 4), (16, 3), (33, 2), (7, 1)])
def test_outputs_and_gradients_equal_the_reference(
    interpreted: Interpreter,
    tokens: int,
    width: int,
    with_states: bool,
    with_bias: bool,
    activation: str | None,
) -> None:
    arguments = _arguments(tokens, width, with_states, with_bias)
    leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
    out = causal_conv1d(**leaves, activation=activation, backend="reference")
    upstream = torch.linspace(-1, 1, out.numel()).view_as(out)
    out.backward(upstream)
    found = interpreted("causal_conv1d", arguments, {"out": upstream}, SMALL_BLOCKS, activation=activation)
    assert_close(found["out"], out.detach())
    for key, leaf in leaves.items():
        assert_close(found[f"d{key}"], torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)


def test_any_strides(interpreted: Interpreter) -> None:
    arguments = _arguments(20, 4, True, True)
    wanted = causal_conv1d(**arguments, backend="reference")
    wide = torch.cat([arguments["x"], torch.full_like(arguments["x"], float("nan"))], dim=1)
    arguments["x"] = wide.chunk(2, dim=1)[0]
    assert_close(interpreted("causal_conv1d", arguments, settings=SMALL_BLOCKS)["out"], wanted)
    arguments["x"] = arguments["x"].transpose(1, 2).contiguous().transpose(1, 2)
    assert_close(interpreted("causal_conv1d", arguments)["out"], wanted)


def test_not_a_number_reaches_its_window_and_no_further(interpreted: Interpreter) -> None:
    arguments = _arguments(20, 4, False, True)
    arguments["x"][0, 1, 7] = float("nan")
    out = interpreted("causal_conv1d", arguments, settings=SMALL_BLOCKS, activation="silu")["out"]
    wanted = torch.zeros(2, 5, 20, dtype=torch.bool)
    wanted[0, 1, 7:11] = True
    assert torch.equal(out.isnan(), wanted)
