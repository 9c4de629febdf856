"""The Triton scan, interpreted on the CPU: against the published code's numbers, and however it is cut.

What only a GPU can show, `Testing/benchmarks/gpu_checks.py` checks.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from peers.triton_interpreter import Interpreter
from umamba.ops import selective_scan
from umamba.ops.arguments import ScanInputs

ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
CASES = [
    *("l1_all", "l1_bare", "l7_const_bc", "l7_constB_tokC_noz", "l7_tokB_constC_noD", "l7_grouped2"),
    *("l64_mamba_like", "l64_nobias_nosoftplus", "l64_bias_nosoftplus", "l64_softplus_nobias"),
    *("l64_grouped4_constC", "l64_big_delta", "l1000", "l1000_nothing", "l4096", "l4096_grouped1"),
    *("l64_bf16", "l1000_bf16", "l64_fp16", "l7_fp16_noz_noD"),
    *("grad_l64_tok", "grad_l7_const", "grad_l100_grouped_nosoftplus_noz", "grad_l257_noD_nobias"),
]
# The interpreter's time is a matter of how often an operation is called, not of the numbers it works on: long
# sequences go through it in large blocks, several to a tile.
LARGE_BLOCKS = {
    "scan_triton.LONG_BLOCK_TOKENS": 256,
    "scan_triton.BLOCK_NUMBERS": 2048,
    "scan_triton.MIN_TILE_TOKENS": 512,
}
# Every way that the work can be cut: see the constants.
SMALL_BLOCKS = {"scan_triton.SHORT_TOKENS": 16, "scan_triton.MIN_TILE_TOKENS": 32}
CUTS = {
    "one block": {},
    "tiles of some blocks": SMALL_BLOCKS,
    "tiles of one block": SMALL_BLOCKS | {"scan_triton.MIN_TILE_TOKENS": 16},
    "one tile": SMALL_BLOCKS | {"scan_triton.MIN_TILE_TOKENS": 512},
    "programs with all channels": SMALL_BLOCKS
    | {"scan_triton.BLOCK_NUMBERS": 32, "scan_triton.ENOUGH_PROGRAMS": 1, "scan_triton.MAX_TILE_TOKENS": 32},
    "little scratch": SMALL_BLOCKS | {"scan_triton.SCRATCH_NUMBERS": 500},
    "states handed on in blocks": SMALL_BLOCKS
    | {"scan_triton.MIN_TILE_TOKENS": 16, "scan_triton.HANDED_TILES": 2, "scan_triton.HANDED_LINES": 4},
}

# Of the largest value: two float32 sums of the same few hundred terms in different orders.
SAME_BUT_FOR_ORDER = 2e-5
# Where infinities stand beside them, the finite values have no common scale: compared one by one.
FINITE_PART = 1e-4
# One unit in the last place of a half-precision result: the interpreter cuts off where a GPU rounds.
STEPS = {torch.bfloat16: 2**-7, torch.float16: 2**-10}


def assert_close(found: torch.Tensor, wanted: torch.Tensor, fraction_of_max: float) -> None:
    __tracebackhide__ = True
    assert found.shape == wanted.shape
    limit = fraction_of_max * max(wanted.abs().max().item(), 1.0)
    assert (found.float() - wanted.float()).abs().max().item() <= limit


def test_every_case_of_the_oracle_is_tested(oracle: Path) -> None:
    manifest = json.loads((oracle / "selective_scan" / "manifest.json").read_text())
    assert [case["name"] for case in manifest["cases"]] == CASES


@pytest.mark.parametrize("name", CASES)
def test_oracle(oracle: Path, interpreted: Interpreter, name: str) -> None:
    manifest = json.loads((oracle / "selective_scan" / "manifest.json").read_text())
    case = next(case for case in manifest["cases"] if case["name"] == name)
    with np.load(oracle / "selective_scan" / case["file"]) as file:
        stored = {key: torch.from_numpy(file[key]) for key in file.files}
    arguments = {key: stored[key] for key in ARGUMENTS if key in stored}
    for key in ("u", "delta", "z", "B", "C"):  # A, D, bias and constant B, C stay float32
        if key in arguments and (key not in ("B", "C") or arguments[key].dim() > 2):
            arguments[key] = arguments[key].to(getattr(torch, case["dtype"]))
    found = interpreted(
        "selective_scan",
        arguments,
        {"out": stored["grad_out"]} if case["grad"] else None,
        LARGE_BLOCKS,
        delta_softplus=case["delta_softplus"],
        return_last_state=True,
    )
    assert found["out"].dtype == arguments["u"].dtype
    assert found["last"].dtype == torch.float32
    torch.testing.assert_close(found["out"].float(), stored["out"].float(), **case["tolerance"])
    if case["return_last_state"]:
        torch.testing.assert_close(found["last"], stored["last_state"], **case["tolerance"])
    for key in arguments if case["grad"] else ():
        wanted, limits = stored[f"d{key}"], case["grad_tolerance"]
        atol = limits["atol_fraction_of_max"] * wanted.abs().max().item()
        torch.testing.assert_close(found[f"d{key}"], wanted, rtol=limits["rtol"], atol=atol)


def _arguments(
    tokens: int, *, batch: int = 2, channels: int = 6, states: int = 2, groups: tuple[int, int] = (1, 1)
) -> dict[str, torch.Tensor]:
    """groups: those of B and of C, 0 for a constant matrix."""
    generator = torch.Generator().manual_seed(tokens)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    B, C = (normal(batch, n, states, tokens) if n else normal(channels, states) for n in groups)
    return {
        "u": normal(batch, channels, tokens),
        "delta": normal(batch, channels, tokens) - 1,
        "A": -torch.exp(normal(channels, states)),
        "B": B,
        "C": C,
        "D": normal(channels),
        "z": normal(batch, channels, tokens),
        "delta_bias": normal(channels),
        "initial_state": normal(batch, channels, states),
    }


def _upstream(arguments: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = torch.linspace(-1, 1, arguments["u"].numel()).view_as(arguments["u"]).to(arguments["u"].dtype)
    return {"out": out, "last": torch.full((*out.shape[:2], arguments["A"].shape[1]), 0.5)}


def _reference(arguments: dict[str, torch.Tensor], softplus: bool = True) -> dict[str, torch.Tensor]:
    leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
    out, last = selective_scan(**leaves, delta_softplus=softplus, return_last_state=True, backend="reference")
    upstream = _upstream(arguments)
    torch.autograd.backward([out, last], [upstream["out"], upstream["last"]])
    gradients = {f"d{key}": leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}
    return {"out": out.detach(), "last": last.detach(), **gradients}


@pytest.mark.parametrize(
    ("cut", "groups"),
    [
        *((cut, (1, 1)) for cut in CUTS),
        *(("tiles of some blocks", groups) for groups in [(0, 0), (0, 2), (3, 0), (2, 3)]),
    ],
)
def test_outputs_and_gradients_equal_the_reference(
    interpreted: Interpreter, cut: str, groups: tuple[int, int]
) -> None:
    arguments = _arguments(40, channels=4 if groups == (1, 1) else 6, groups=groups)
    options = {"delta_softplus": True, "return_last_state": True}
    found = interpreted("selective_scan", arguments, _upstream(arguments), CUTS[cut], **options)
    wanted = _reference(arguments)
    assert found.keys() == wanted.keys()
    for key in wanted:
        assert_close(found[key], wanted[key], SAME_BUT_FOR_ORDER)


def test_lengths_that_are_long_by_themselves(interpreted: Interpreter) -> None:
    """More than one tile without a changed constant, and a last tile that is not full."""
    arguments = _arguments(300, batch=1, channels=5, states=2)
    options = {"delta_softplus": True, "return_last_state": True}
    found = interpreted("selective_scan", arguments, _upstream(arguments), **options)
    for key, wanted in _reference(arguments).items():
        assert_close(found[key], wanted, SAME_BUT_FOR_ORDER)


def test_without_what_is_optional(interpreted: Interpreter) -> None:
    """A step that is not made positive must be so, or the state grows without bound."""
    arguments = {key: _arguments(40)[key] for key in ("u", "delta", "A", "B", "C")}
    arguments["delta"] = arguments["delta"].abs()
    wanted = _reference(arguments, softplus=False)
    found = interpreted(
        "selective_scan", arguments, _upstream(arguments), SMALL_BLOCKS, return_last_state=True
    )
    assert found.keys() == wanted.keys()
    for key in wanted:
        assert_close(found[key], wanted[key], SAME_BUT_FOR_ORDER)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_and_out(interpreted: Interpreter, dtype: torch.dtype) -> None:
    """Between them it is float32. The gate stays so: half values the interpreter cuts off, a GPU rounds."""
    exact = _arguments(40, groups=(1, 2))
    tokenwise = ("u", "delta", "B", "C")
    arguments = {key: value.to(dtype) if key in tokenwise else value for key, value in exact.items()}
    options = {"delta_softplus": True, "return_last_state": True}
    found = interpreted("selective_scan", arguments, _upstream(arguments), SMALL_BLOCKS, **options)
    for key, wanted in _reference(arguments).items():
        assert found[key].dtype == wanted.dtype
        assert_close(found[key], wanted, STEPS[dtype])


def test_two_pieces_equal_the_whole(interpreted: Interpreter) -> None:
    arguments = _arguments(40, channels=4)
    options = {"delta_softplus": True, "return_last_state": True, "settings": SMALL_BLOCKS}

    def piece(part: slice, state: torch.Tensor) -> dict[str, torch.Tensor]:
        tokenwise = {key: arguments[key][..., part].contiguous() for key in ("u", "delta", "z", "B", "C")}
        found = interpreted("selective_scan", arguments | tokenwise | {"initial_state": state}, **options)
        return found

    whole = interpreted("selective_scan", arguments, **options)
    first = piece(slice(0, 19), arguments["initial_state"])
    second = piece(slice(19, None), first["last"])
    assert_close(torch.cat([first["out"], second["out"]], dim=2), whole["out"], SAME_BUT_FOR_ORDER)
    assert_close(second["last"], whole["last"], SAME_BUT_FOR_ORDER)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("argument", ["u", "delta", "A", "B", "C", "z", "initial_state"])
def test_what_is_not_finite_is_so_where_the_formula_says(
    interpreted: Interpreter, argument: str, value: float
) -> None:
    arguments = _arguments(40, channels=4, groups=(1, 2))
    place = tuple(size // 2 for size in arguments[argument].shape)
    arguments[argument][place] = value
    wanted = selective_scan(**arguments, delta_softplus=True, backend="reference")
    found = interpreted("selective_scan", arguments, settings=SMALL_BLOCKS, delta_softplus=True)["out"]
    assert torch.equal(found.isfinite(), wanted.isfinite())
    if (argument, value) == ("A", float("inf")):
        return  # growth without bound: a scan that joins runs of tokens meets inf - inf where a loop does not
    assert torch.equal(found.isnan(), wanted.isnan())
    torch.testing.assert_close(found, wanted, rtol=FINITE_PART, atol=FINITE_PART, equal_nan=True)


def test_any_strides(interpreted: Interpreter) -> None:
    """Views of a wider tensor, as a projection gives them, and tokens that are not contiguous."""
    arguments = _arguments(40)
    wanted = selective_scan(**arguments, delta_softplus=True, backend="reference")
    both = torch.cat([arguments["u"], arguments["z"]], dim=1)
    steps = torch.cat([arguments["B"].squeeze(1), arguments["C"].squeeze(1)], dim=1)
    arguments["u"], arguments["z"] = both.chunk(2, dim=1)
    arguments["B"], arguments["C"] = steps.chunk(2, dim=1)
    arguments["delta"] = arguments["delta"].transpose(1, 2).contiguous().transpose(1, 2)
    found = interpreted("selective_scan", arguments, settings=SMALL_BLOCKS, delta_softplus=True)["out"]
    assert_close(found, wanted, SAME_BUT_FOR_ORDER)


def test_the_same_bits_whatever_memory_there_is(interpreted: Interpreter) -> None:
    """Scratch only says how many programs run at a time."""
    arguments = _arguments(40, channels=4)
    options = {"delta_softplus": True, "return_last_state": True}
    results = [
        interpreted("selective_scan", arguments, _upstream(arguments), CUTS[cut], **options)
        for cut in ("tiles of some blocks", "little scratch", "little scratch")
    ]
    for other in results[1:]:
        assert all(torch.equal(other[key], results[0][key]) for key in results[0])


@pytest.mark.parametrize(
    ("batch", "channels", "tokens"),
    [(1, 64, 1_720_320), (2, 128, 215_040), (2, 256, 26_880), (2, 640, 3360), (2, 640, 840), (1, 64, 210)],
)
def test_the_cut_at_the_networks_shapes(batch: int, channels: int, tokens: int) -> None:
    """At the stages of the published 3D patch: enough programs, and no more states than it may keep."""
    scan_triton = pytest.importorskip("umamba.ops.scan_triton", reason="there is no Triton for this system")
    states = 16
    tokenwise = torch.empty(batch, channels, tokens, device="meta")
    matrix = torch.empty(batch, 1, states, tokens, device="meta")
    A = torch.empty(channels, states, device="meta")
    inputs = ScanInputs(tokenwise, tokenwise, A, matrix, matrix, None, None, None, None, softplus=True)
    cut = scan_triton.Cut.of(inputs)
    tile = cut.block_tokens * cut.tile_blocks
    assert (cut.tiles - 1) * tile < tokens <= cut.tiles * tile
    assert tokens <= scan_triton.SHORT_TOKENS or tile >= scan_triton.MIN_TILE_TOKENS
    assert cut.parts(cut.wide_blocks()) >= 1
    if tokens > scan_triton.SHORT_TOKENS:
        kept = batch * cut.tiles * states * channels
        assert kept <= batch * channels * (tokens * states / scan_triton.MIN_TILE_TOKENS + states)
        longest = -(-tokens // scan_triton.MAX_TILE_TOKENS)
        assert cut.tiles >= min(
            longest, scan_triton.ENOUGH_PROGRAMS * cut.block_channels // (batch * channels)
        )
