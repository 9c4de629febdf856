"""The recurrence in segments equals the one token by token; so do whole scans with either."""

import pytest
import torch

from umamba.ops import scan_torch, selective_scan
from umamba.ops.recurrence import run_segments, run_tokens

# A few float32 roundings for each of some hundred tokens.
SAME_BUT_FOR_ORDER = 1e-5


def test_four_tokens_by_hand() -> None:
    """1 + 8/2 = 5; 2 + 5/2 = 4.5; 3 + 4.5/2 = 5.25; 4 + 5.25/2 = 6.625."""
    values = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    run_segments(torch.full((4, 1), 0.5), values, torch.tensor([8.0]))
    assert values.flatten().tolist() == [5.0, 4.5, 5.25, 6.625]


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 9, 10, 63, 64, 65, 500])
def test_segments_equal_tokens(tokens: int) -> None:
    generator = torch.Generator().manual_seed(tokens)
    decays = torch.rand(tokens, 2, 3, generator=generator)
    values = torch.randn(tokens, 2, 3, generator=generator)
    first = torch.randn(2, 3, generator=generator)
    wanted = values.clone()
    run_tokens(decays.unbind(0), wanted.unbind(0), first)
    run_segments(decays, values, first)
    torch.testing.assert_close(values, wanted, rtol=SAME_BUT_FOR_ORDER, atol=SAME_BUT_FOR_ORDER)


def test_a_scan_in_segments_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """As devices run it, gradients too."""
    monkeypatch.setattr(scan_torch, "_segmented", lambda _: True)
    monkeypatch.setattr(scan_torch, "MAX_CHUNK", 100)
    generator = torch.Generator().manual_seed(0)
    shapes = {"u": (2, 6, 250), "delta": (2, 6, 250), "A": (6, 16), "B": (2, 16, 250), "C": (2, 2, 16, 250)}
    arguments = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    arguments["A"] = -arguments["A"].exp()
    results = []
    for backend in ("reference", "torch"):
        leaves = {name: value.clone().requires_grad_() for name, value in arguments.items()}
        out, state = selective_scan(**leaves, delta_softplus=True, return_last_state=True, backend=backend)
        (out.square().mean() + state.sum()).backward()
        results.append([out, state, *(leaf.grad for leaf in leaves.values())])
    for wanted, found in zip(*results, strict=True):
        limit = SAME_BUT_FOR_ORDER * max(wanted.abs().max().item(), 1.0)
        assert (found - wanted).abs().max().item() <= limit


def test_only_decays_of_at_most_one_run_in_segments() -> None:
    """On the CPU launches are cheap; elsewhere a growing state could overflow the products."""
    ones = torch.ones(1, 2, 3)
    arguments = {"u": ones, "delta": ones, "B": torch.ones(2, 1), "C": torch.ones(2, 1)}
    absent = {"D": None, "z": None, "delta_bias": None, "initial_state": None}

    class OnDevice(torch.Tensor):
        device = torch.device("cuda")

    def segmented(u: torch.Tensor, A: torch.Tensor, softplus: bool) -> bool:
        return scan_torch._segmented(
            scan_torch.ScanInputs(**arguments | {"u": u}, A=A, **absent, softplus=softplus)
        )

    elsewhere = ones.as_subclass(OnDevice)
    falling, growing = -torch.ones(2, 1), torch.ones(2, 1)
    assert segmented(elsewhere, falling, True)
    assert not segmented(elsewhere, growing, True)
    assert not segmented(elsewhere, falling, False)
    assert not segmented(elsewhere, falling * float("nan"), True)
    assert not segmented(ones, falling, True)
