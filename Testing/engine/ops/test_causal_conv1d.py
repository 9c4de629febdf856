"""The causal convolution against the published code's numbers, its formula, and itself in pieces."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from umamba import InputError
from umamba.ops import causal_conv1d

BACKENDS = ("reference", "torch", "numba")
FAST_BACKENDS = ("torch", "numba")
CASES = [
    "w4_silu",
    "w4_none",
    "w3_nobias_silu",
    "w2_bias_none",
    "w4_short_L2",
    "w4_L1",
    "w4_init_final",
    "w3_init_short_L1_final",
    "w2_init_final",
    "w4_final_only",
    "w4_bf16",
    "w4_fp16",
]

# Of the largest value. A handful of float32 products in another order.
SAME_BUT_FOR_ORDER = 1e-5
# Gradients of weight and bias: float32 sums over some thousand tokens that nearly cancel.
SAME_BUT_FOR_LONG_SUM = 2e-4


def assert_close(
    found: torch.Tensor, wanted: torch.Tensor, fraction_of_max: float = SAME_BUT_FOR_ORDER
) -> None:
    __tracebackhide__ = True
    assert found.shape == wanted.shape
    if wanted.numel() == 0:
        return
    limit = fraction_of_max * max(wanted.abs().max().item(), 1.0)
    assert (found - wanted).abs().max().item() <= limit


def test_every_case_of_the_oracle_is_tested(oracle: Path) -> None:
    manifest = json.loads((oracle / "causal_conv1d" / "manifest.json").read_text())
    assert [case["name"] for case in manifest["cases"]] == CASES


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_oracle(oracle: Path, name: str, backend: str) -> None:
    folder = oracle / "causal_conv1d"
    manifest = json.loads((folder / "manifest.json").read_text())
    case = next(case for case in manifest["cases"] if case["name"] == name)
    dtype = getattr(torch, case["dtype"])
    with np.load(folder / case["file"]) as file:
        stored = {key: torch.from_numpy(file[key]).to(dtype) for key in file.files}
    result = causal_conv1d(
        stored["x"],
        stored["weight"],
        stored.get("bias"),
        initial_states=stored.get("initial_states"),
        return_final_states=case["return_final_states"],
        activation=case["activation"],
        backend=backend,
    )
    out, final = result if case["return_final_states"] else (result, None)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), stored["out"].float(), **case["tolerance"])
    if final is not None:
        assert torch.equal(final, stored["final_states"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_three_tokens_by_hand(backend: str) -> None:
    """The last tap multiplies the present token: 1, 2 + 10 * 1, 3 + 10 * 2, each plus the bias."""
    out = causal_conv1d(
        torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[10.0, 1.0]]), torch.tensor([0.5]), backend=backend
    )
    assert out.tolist() == [[[1.5, 12.5, 23.5]]]


def _random_arguments(
    seed: int, batch: int, channels: int, tokens: int, width: int, with_states: bool, with_bias: bool
) -> dict:
    generator = torch.Generator().manual_seed(seed)
    arguments = {
        "x": torch.randn(batch, channels, tokens, generator=generator),
        "weight": torch.randn(channels, width, generator=generator),
    }
    if with_bias:
        arguments["bias"] = torch.randn(channels, generator=generator)
    if with_states:
        arguments["initial_states"] = torch.randn(batch, channels, width - 1, generator=generator)
    return arguments


convolutions = st.builds(
    _random_arguments,
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 2),
    channels=st.sampled_from([1, 5, 9]),
    tokens=st.sampled_from([1, 2, 3, 1023, 1024, 1025, 2100]),
    width=st.integers(1, 6),
    with_states=st.booleans(),
    with_bias=st.booleans(),
)


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@settings(max_examples=30, deadline=None)
@given(arguments=convolutions, activation=st.sampled_from([None, "silu", "swish"]))
def test_outputs_and_gradients_equal_the_reference(
    backend: str, arguments: dict, activation: str | None
) -> None:
    results = []
    for name in ("reference", backend):
        leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
        out, final = causal_conv1d(**leaves, return_final_states=True, activation=activation, backend=name)
        weights = torch.sin(torch.arange(out.numel(), dtype=torch.float32)).view_as(out)
        ((out * weights).sum() + final.square().sum()).backward()
        results.append(
            {"out": out.detach(), "final": final, **{key: leaf.grad for key, leaf in leaves.items()}}
        )
    for key, wanted in results[0].items():
        long_sum = key in ("weight", "bias")
        assert_close(results[1][key], wanted, SAME_BUT_FOR_LONG_SUM if long_sum else SAME_BUT_FOR_ORDER)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(arguments=convolutions, share=st.floats(0, 1))
def test_two_pieces_equal_the_whole(backend: str, arguments: dict, share: float) -> None:
    x = arguments["x"]
    if x.shape[2] == 1:
        return
    cut = min(max(1, int(share * x.shape[2])), x.shape[2] - 1)
    options = {"return_final_states": True, "activation": "silu", "backend": backend}
    whole, last = causal_conv1d(**arguments, **options)
    first, states = causal_conv1d(**arguments | {"x": x[..., :cut]}, **options)
    second, end = causal_conv1d(**arguments | {"x": x[..., cut:], "initial_states": states}, **options)
    assert_close(torch.cat([first, second], dim=2), whole)
    assert torch.equal(end, last)


def test_numba_gives_the_same_bits_for_any_number_of_threads() -> None:
    arguments = _random_arguments(0, 2, 9, 2100, 4, True, True)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
            out = causal_conv1d(**leaves, activation="silu", backend="numba")
            out.square().sum().backward()
            results.append([out, *(leaf.grad for leaf in leaves.values())])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_many_chunks_equal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = _random_arguments(1, 2, 5, 100, 4, True, True)
    for dtype in (torch.float32, torch.bfloat16):
        cast = {key: value.to(dtype) for key, value in arguments.items()}
        whole = causal_conv1d(**cast, backend="numba")
        monkeypatch.setattr("umamba.ops.conv_numba.CHUNK", 1)
        assert torch.equal(causal_conv1d(**cast, backend="numba"), whole)
        monkeypatch.undo()


@pytest.mark.parametrize("backend", FAST_BACKENDS)
def test_not_a_number_reaches_its_window_and_no_further(backend: str) -> None:
    arguments = _random_arguments(2, 1, 3, 20, 4, False, True)
    arguments["x"][0, 1, 7] = float("nan")
    out = causal_conv1d(**arguments, activation="silu", backend=backend)
    wanted = torch.zeros(1, 3, 20, dtype=torch.bool)
    wanted[0, 1, 7:11] = True
    assert torch.equal(out.isnan(), wanted)


def test_autocast_changes_nothing() -> None:
    arguments = _random_arguments(3, 1, 4, 50, 4, True, True)
    for backend in BACKENDS:
        plain = causal_conv1d(**arguments, activation="silu", backend=backend)
        with torch.autocast("cpu", torch.bfloat16):
            cast = causal_conv1d(**arguments, activation="silu", backend=backend)
        assert torch.equal(plain, cast)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(4, 7)}, r"x has shape \(4, 7\), wanted \(batch, D, L\)"),
        ({"weight": torch.zeros(3, 4)}, r"weight has shape \(3, 4\), wanted \(4, W\)"),
        ({"weight": torch.zeros(4, 1, 4)}, r"weight has shape \(4, 1, 4\)"),
        ({"bias": torch.zeros(5)}, r"bias has shape \(5,\), wanted \(4\)"),
        (
            {"initial_states": torch.zeros(2, 4, 4)},
            r"initial_states has shape \(2, 4, 4\), wanted \(2, 4, 3\)",
        ),
        ({"activation": "relu"}, "activation is 'relu', wanted None, 'silu' or 'swish'"),
        ({"seq_idx": torch.zeros(2, 7)}, "seq_idx is not supported and must be None, found Tensor"),
        ({"final_states_out": torch.zeros(2, 4, 3)}, "final_states_out is not supported and must be None"),
    ],
)
def test_a_wrong_argument_is_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        causal_conv1d(**_random_arguments(4, 2, 4, 7, 4, True, True) | change)
