"""The scan against the published code's numbers, against its own formula, and against itself in pieces."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from umamba import InputError
from umamba.ops import selective_scan

BACKENDS = ("reference", "torch", "numba")
FAST_BACKENDS = ("torch", "numba")
CASES = [
    "l1_all",
    "l1_bare",
    "l7_const_bc",
    "l7_constB_tokC_noz",
    "l7_tokB_constC_noD",
    "l7_grouped2",
    "l64_mamba_like",
    "l64_nobias_nosoftplus",
    "l64_bias_nosoftplus",
    "l64_softplus_nobias",
    "l64_grouped4_constC",
    "l64_big_delta",
    "l1000",
    "l1000_nothing",
    "l4096",
    "l4096_grouped1",
    "l64_bf16",
    "l1000_bf16",
    "l64_fp16",
    "l7_fp16_noz_noD",
    "grad_l64_tok",
    "grad_l7_const",
    "grad_l100_grouped_nosoftplus_noz",
    "grad_l257_noD_nobias",
]
ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")

# Of the largest value: two float32 sums of the same few hundred terms in different orders.
SAME_BUT_FOR_ORDER = 2e-5
# Where infinities stand beside them, the finite values have no common scale: compared one by one.
FINITE_PART = 1e-4
# One unit in the last place of bfloat16, where two roundings may fall apart.
BFLOAT16_STEP = 2**-8


def _scan_case(folder: Path, name: str) -> tuple[dict, dict]:
    manifest = json.loads((folder / "manifest.json").read_text())
    case = next(case for case in manifest["cases"] if case["name"] == name)
    with np.load(folder / case["file"]) as stored:
        return case, {key: torch.from_numpy(stored[key]) for key in stored.files}


def _case_arguments(case: dict, stored: dict) -> dict:
    """The arguments in the dtypes of the manifest's note: A, D, bias and constant B, C stay float32."""
    dtype = getattr(torch, case["dtype"])
    arguments = {key: stored[key] for key in ARGUMENTS if key in stored}
    for key in ("u", "delta", "z", "B", "C"):
        if key in arguments and (key not in ("B", "C") or arguments[key].dim() > 2):
            arguments[key] = arguments[key].to(dtype)
    return arguments


def assert_close(
    found: torch.Tensor, wanted: torch.Tensor, fraction_of_max: float = SAME_BUT_FOR_ORDER
) -> None:
    __tracebackhide__ = True
    assert found.shape == wanted.shape
    limit = fraction_of_max * max(wanted.abs().max().item(), 1.0)
    assert (found.float() - wanted.float()).abs().max().item() <= limit


def test_every_case_of_the_oracle_is_tested(oracle: Path) -> None:
    manifest = json.loads((oracle / "selective_scan" / "manifest.json").read_text())
    assert [case["name"] for case in manifest["cases"]] == CASES


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_oracle(oracle: Path, name: str, backend: str) -> None:
    case, stored = _scan_case(oracle / "selective_scan", name)
    arguments = _case_arguments(case, stored)
    leaves = {key: value.requires_grad_(case["grad"]) for key, value in arguments.items()}
    out, state = selective_scan(
        **leaves, delta_softplus=case["delta_softplus"], return_last_state=True, backend=backend
    )
    tolerance = case["tolerance"]
    assert out.dtype == arguments["u"].dtype
    assert state.dtype == torch.float32
    torch.testing.assert_close(out.float(), stored["out"].float(), **tolerance)
    if case["return_last_state"]:
        torch.testing.assert_close(state, stored["last_state"], **tolerance)
    if case["grad"]:
        out.backward(stored["grad_out"])
        for key, leaf in leaves.items():
            wanted = stored[f"d{key}"]
            limits = case["grad_tolerance"]
            atol = limits["atol_fraction_of_max"] * wanted.abs().max().item()
            torch.testing.assert_close(leaf.grad, wanted, rtol=limits["rtol"], atol=atol)


def test_two_tokens_by_hand() -> None:
    """s1 = 2 * 3 * 1 = 6; s2 = exp(-1 * 1) * 6 + 1 * 3 * 2; y = s * 0.5 + 10 u."""
    out, state = selective_scan(
        u=torch.tensor([[[1.0, 2.0]]]),
        delta=torch.tensor([[[2.0, 1.0]]]),
        A=torch.tensor([[-1.0]]),
        B=torch.tensor([[3.0]]),
        C=torch.tensor([[0.5]]),
        D=torch.tensor([10.0]),
        return_last_state=True,
    )
    second = 6 * math.exp(-1) + 6
    torch.testing.assert_close(out, torch.tensor([[[13.0, second / 2 + 20]]]))
    torch.testing.assert_close(state, torch.tensor([[[second]]]))


def _random_arguments(
    seed: int,
    batch: int,
    channels: int,
    tokens: int,
    states: int,
    b_groups: int,
    c_groups: int,
    optional: bool,
) -> dict:
    """b_groups, c_groups: 0 for a constant matrix."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    def matrix(groups: int) -> torch.Tensor:
        return normal(batch, groups, states, tokens) if groups else normal(channels, states)

    arguments = {
        "u": normal(batch, channels, tokens),
        "delta": normal(batch, channels, tokens) - 1,
        "A": -torch.exp(normal(channels, states)),
        "B": matrix(b_groups),
        "C": matrix(c_groups),
    }
    if optional:
        arguments |= {
            "D": normal(channels),
            "z": normal(batch, channels, tokens),
            "delta_bias": normal(channels),
        }
        arguments["initial_state"] = normal(batch, channels, states)
    return arguments


scans = st.builds(
    _random_arguments,
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 2),
    channels=st.sampled_from([2, 6, 12]),
    tokens=st.sampled_from([1, 3, 255, 256, 257, 520]),
    states=st.sampled_from([1, 3, 8, 16, 17]),
    b_groups=st.sampled_from([0, 1, 2]),
    c_groups=st.sampled_from([0, 1, 2]),
    optional=st.booleans(),
)


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@settings(max_examples=20, deadline=None)
@given(arguments=scans, softplus=st.booleans())
def test_outputs_and_gradients_equal_the_reference(backend: str, arguments: dict, softplus: bool) -> None:
    if not softplus:  # a negative step lets the state grow without bound
        arguments = arguments | {
            key: arguments[key].abs() for key in ("delta", "delta_bias") if key in arguments
        }
    results = []
    for name in ("reference", backend):
        leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
        out, state = selective_scan(**leaves, delta_softplus=softplus, return_last_state=True, backend=name)
        weights = torch.linspace(-1, 1, out.numel()).view_as(out)
        ((out * weights).sum() + (state * 0.5).sum()).backward()
        results.append([out.detach(), state.detach(), *(leaf.grad for leaf in leaves.values())])
    for wanted, found in zip(*results, strict=True):
        assert_close(found, wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=15, deadline=None)
@given(arguments=scans, share=st.floats(0, 1))
def test_two_pieces_equal_the_whole(backend: str, arguments: dict, share: float) -> None:
    tokens = arguments["u"].shape[2]
    if tokens == 1:
        return
    cut = min(max(1, int(share * tokens)), tokens - 1)

    def piece(part: slice) -> dict:
        tokenwise = {key: arguments[key][..., part] for key in ("u", "delta", "z") if key in arguments}
        matrices = {key: arguments[key][..., part] for key in "BC" if arguments[key].dim() == 4}
        return arguments | tokenwise | matrices

    options = {"delta_softplus": True, "return_last_state": True, "backend": backend}
    whole, last = selective_scan(**arguments, **options)
    first, state = selective_scan(**piece(slice(0, cut)), **options)
    handed_on = state.clone()
    second, end = selective_scan(**piece(slice(cut, None)) | {"initial_state": state}, **options)
    assert torch.equal(state, handed_on)  # an argument is never written to
    assert_close(torch.cat([first, second], dim=2), whole)
    assert_close(end, last)


def test_numba_gives_the_same_bits_for_any_number_of_threads() -> None:
    arguments = _random_arguments(0, 2, 24, 700, 16, 2, 1, optional=True)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
            out, state = selective_scan(
                **leaves, delta_softplus=True, return_last_state=True, backend="numba"
            )
            (out.square().sum() + state.sum()).backward()
            results.append([out, state, *(leaf.grad for leaf in leaves.values())])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("argument", ["u", "delta", "A", "B", "C", "z", "initial_state"])
def test_what_is_not_finite_is_so_where_the_formula_says(argument: str, value: float, backend: str) -> None:
    arguments = _random_arguments(1, 2, 4, 40, 16, 1, 2, optional=True)
    place = tuple(size // 2 for size in arguments[argument].shape)
    arguments[argument][place] = value
    wanted = selective_scan(**arguments, delta_softplus=True, backend="reference")
    found = selective_scan(**arguments, delta_softplus=True, backend=backend)
    assert torch.equal(found.isnan(), wanted.isnan())
    assert torch.equal(found.isinf(), wanted.isinf())
    assert not wanted[0].isnan().all()
    torch.testing.assert_close(found, wanted, rtol=FINITE_PART, atol=FINITE_PART, equal_nan=True)


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_any_strides_and_dtypes(backend: str, dtype: torch.dtype) -> None:
    """Tokens last but not contiguous, expanded over the batch, and mixed dtypes."""
    arguments = _random_arguments(2, 2, 6, 300, 16, 1, 1, optional=True)
    arguments["u"] = arguments["u"][:1].expand(2, -1, -1).to(dtype)
    wanted = selective_scan(**arguments, delta_softplus=True, backend="reference")
    arguments["delta"] = arguments["delta"].transpose(1, 2).contiguous().transpose(1, 2)
    arguments["z"] = torch.stack([arguments["z"], arguments["z"]], dim=-1)[..., 0]
    arguments["B"] = arguments["B"].transpose(2, 3).contiguous().transpose(2, 3)
    with torch.inference_mode():
        found = selective_scan(**arguments, delta_softplus=True, backend=backend)
    assert found.dtype == dtype
    assert_close(found, wanted, BFLOAT16_STEP if dtype == torch.bfloat16 else SAME_BUT_FOR_ORDER)


def test_autocast_changes_nothing() -> None:
    arguments = _random_arguments(3, 1, 4, 50, 16, 1, 1, optional=True)
    for backend in BACKENDS:
        plain = selective_scan(**arguments, delta_softplus=True, backend=backend)
        with torch.autocast("cpu", torch.bfloat16):
            cast = selective_scan(**arguments, delta_softplus=True, backend=backend)
        assert torch.equal(plain, cast)


@pytest.mark.parametrize("backend", FAST_BACKENDS)
def test_many_chunks_equal_one(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward over chunk borders, which only very long sequences have otherwise."""
    arguments = _random_arguments(4, 2, 6, 1100, 16, 2, 0, optional=True)

    def run() -> list[torch.Tensor]:
        leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
        out, state = selective_scan(**leaves, delta_softplus=True, return_last_state=True, backend=backend)
        (out.square().sum() + state.sum()).backward()
        return [out.detach(), state.detach(), *(leaf.grad for leaf in leaves.values())]

    whole = run()
    if backend == "numba":
        monkeypatch.setattr("umamba.ops.scan_numba.CHUNK_NUMBERS", 1)
        monkeypatch.setattr("umamba.ops.scan_numba_backward.CHUNK_NUMBERS", 1)
    else:
        monkeypatch.setattr("umamba.ops.scan_torch.MAX_CHUNK", 16)
    for found, wanted in zip(run(), whole, strict=True):
        assert_close(found, wanted)


def _valid() -> dict:
    return _random_arguments(5, 2, 6, 7, 4, 1, 0, optional=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"u": torch.zeros(6, 7)}, r"u has shape \(6, 7\), wanted \(batch, D, L\)"),
        ({"u": torch.zeros(2, 6, 0)}, r"u has shape \(2, 6, 0\)"),
        (
            {"u": torch.zeros(2, 6, 7, dtype=torch.int32)},
            "u must be of a real floating dtype, found torch.int32",
        ),
        ({"delta": torch.zeros(2, 6, 8)}, r"delta has shape \(2, 6, 8\), wanted \(2, 6, 7\)"),
        ({"A": torch.zeros(5, 4)}, r"A has shape \(5, 4\), wanted \(6, N\)"),
        ({"A": torch.zeros(6, 4, dtype=torch.complex64)}, "A must be of a real floating dtype"),
        ({"B": torch.zeros(2, 5, 7)}, r"B has shape \(2, 5, 7\), wanted \(2, 4, 7\)"),
        ({"B": torch.zeros(2, 4, 4, 7)}, "B has 4 groups, wanted a divisor of D = 6"),
        ({"C": torch.zeros(6, 5)}, r"C has shape \(6, 5\), wanted \(6, 4\)"),
        ({"C": 1.0}, "C must be a torch.Tensor, found float"),
        ({"D": torch.zeros(7)}, r"D has shape \(7,\), wanted \(6\)"),
        ({"z": torch.zeros(2, 6, 1)}, r"z has shape \(2, 6, 1\), wanted \(2, 6, 7\)"),
        ({"delta_bias": torch.zeros(6, 1)}, r"delta_bias has shape \(6, 1\), wanted \(6\)"),
        ({"initial_state": torch.zeros(2, 6, 5)}, r"initial_state has shape \(2, 6, 5\), wanted \(2, 6, 4\)"),
        ({"z": torch.zeros(2, 6, 7, device="meta")}, "z is on meta, the first argument on cpu"),
    ],
)
def test_a_wrong_argument_is_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        selective_scan(**_valid() | change)
