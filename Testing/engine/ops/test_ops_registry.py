"""Which backend is taken, and what is said when one cannot be."""

import sys
import types

import pytest
import torch

from umamba import InputError
from umamba.ops import backends, causal_conv1d, chosen, registry, selective_scan
from umamba.ops.arguments import ConvInputs, ScanInputs


def _scan_arguments(groups: tuple[int, int] = (1, 1), dtype: torch.dtype = torch.float32) -> dict:
    return {
        "u": torch.ones(1, 4, 3, dtype=dtype),
        "delta": torch.ones(1, 4, 3),
        "A": -torch.ones(4, 2),
        "B": torch.ones(1, groups[0], 2, 3),
        "C": torch.ones(1, groups[1], 2, 3),
    }


def test_the_backends_of_this_computer() -> None:
    found = backends()
    assert found["numba"] is None
    assert found["torch"] is None
    assert found["reference"] is None
    for absent in ("triton", "mamba_ssm", "causal_conv1d"):
        assert found[absent]


def test_auto_takes_numba_on_the_cpu_and_torch_elsewhere() -> None:
    assert chosen("cpu") == {"selective_scan": "numba", "causal_conv1d": "numba"}
    for device in ("mps", "cuda:1", "xpu"):
        assert chosen(device) == {"selective_scan": "torch", "causal_conv1d": "torch"}


@pytest.fixture
def _packages_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a computer where both packages import, and Triton does not."""
    monkeypatch.setattr(registry, "_why_not", lambda name: "not installed" if name == "triton" else None)


@pytest.mark.usefixtures("_packages_on_cuda")
def test_auto_takes_the_packages_on_cuda_unless_the_call_is_streamed() -> None:
    assert chosen("cuda") == {"selective_scan": "mamba_ssm", "causal_conv1d": "causal_conv1d"}
    assert chosen("cuda", streamed=True) == {"selective_scan": "torch", "causal_conv1d": "torch"}
    assert chosen("cpu") == {"selective_scan": "numba", "causal_conv1d": "numba"}


@pytest.mark.parametrize("streamed", [False, True])
def test_auto_takes_our_own_kernels_first_on_cuda(monkeypatch: pytest.MonkeyPatch, streamed: bool) -> None:
    monkeypatch.setattr(registry, "_why_not", lambda _: None)
    assert chosen("cuda", streamed=streamed) == {"selective_scan": "triton", "causal_conv1d": "triton"}


@pytest.mark.usefixtures("_packages_on_cuda")
def test_a_backend_that_lacks_something_says_what() -> None:
    cuda = torch.device("cuda")
    with pytest.raises(
        InputError, match="backend 'mamba_ssm' cannot run this: it does not know an initial state"
    ):
        registry.load(registry.SCAN, "mamba_ssm", cuda, frozenset({registry.INITIAL_STATE}))
    with pytest.raises(
        InputError, match="'causal_conv1d' cannot run this: it does not know a kernel wider than 4"
    ):
        registry.load(registry.CONV, "causal_conv1d", cuda, frozenset({registry.WIDE_KERNEL}))
    with pytest.raises(InputError, match="'mamba_ssm' cannot run this: it runs on cuda, not on cpu"):
        selective_scan(**_scan_arguments(), backend="mamba_ssm")


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("cuda", "unknown backend 'cuda'; choose auto, triton, mamba_ssm, numba, torch, reference"),
        ("triton", "backend 'triton' cannot run this: it runs on cuda, not on cpu"),
        ("causal_conv1d", "backend 'causal_conv1d' cannot run this"),
    ],
)
def test_a_wrong_backend_is_named(backend: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        selective_scan(**_scan_arguments(), backend=backend)


@pytest.mark.usefixtures("triton")
def test_triton_is_tried_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a computer that only seems to have a GPU."""
    assert registry._triton_problem() == "no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert registry._triton_problem() == "this PyTorch is not built for CUDA"
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    assert str(registry._triton_problem()).startswith("it cannot run a kernel: ")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert registry._triton_problem() == "its compiler is switched off (TRITON_INTERPRET)"


def test_a_triton_that_does_not_load_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "triton", None)
    assert registry._triton_problem() == "triton is not installed"


def test_a_kernel_too_wide_for_the_package_goes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        registry, "load", lambda *arguments: (asked.append(arguments), lambda inputs: inputs.x)[1]
    )
    for width in (1, 4, 5):
        causal_conv1d(torch.ones(1, 2, 9), torch.ones(2, width))
    assert [needs for *_, needs in asked] == [
        frozenset({registry.WIDE_KERNEL}),
        frozenset(),
        frozenset({registry.WIDE_KERNEL}),
    ]


def test_without_numba_the_cpu_falls_back_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    registry._why_not.cache_clear()
    try:
        assert backends()["numba"] == "numba is not installed"
        assert chosen("cpu") == {"selective_scan": "torch", "causal_conv1d": "torch"}
    finally:
        monkeypatch.undo()
        registry._why_not.cache_clear()


def test_mamba_ssm_is_called_in_the_form_its_kernel_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half inputs in one dtype, B and C in the same groups, the rest float32. The package is a stand-in."""
    from umamba.ops import scan_mamba_ssm

    calls = []

    def selective_scan_fn(*arguments: object, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append((arguments, options))
        return arguments[0] * 2, torch.zeros(1, 4, 2)

    interface = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    interface.selective_scan_fn = selective_scan_fn
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    arguments = _scan_arguments(groups=(1, 2), dtype=torch.bfloat16)
    inputs = ScanInputs(**arguments, D=None, z=None, delta_bias=None, initial_state=None, softplus=True)
    out, state = scan_mamba_ssm.scan(inputs)
    (u, delta, A, B, C), options = calls[0]
    assert [tensor.dtype for tensor in (u, delta, B, C)] == [torch.bfloat16] * 4
    assert A.dtype == torch.float32
    assert B.shape == C.shape == (1, 4, 2, 3)
    assert options["delta_softplus"] is True
    assert out.dtype == torch.bfloat16
    assert state.shape == (1, 4, 2)


def test_the_package_causal_conv1d_is_called_in_the_dtype_of_x(monkeypatch: pytest.MonkeyPatch) -> None:
    from umamba.ops import conv_causal_conv1d

    package = types.ModuleType("causal_conv1d")
    package.causal_conv1d_fn = lambda x, weight, bias, activation: (x, weight, bias, activation)
    monkeypatch.setitem(sys.modules, "causal_conv1d", package)
    x = torch.ones(1, 2, 3, dtype=torch.float16)
    given = ConvInputs(x, torch.ones(2, 4), torch.ones(2), None, silu=True)
    passed_x, weight, bias, activation = conv_causal_conv1d.convolve(given)
    assert passed_x is x
    assert weight.dtype == bias.dtype == torch.float16
    assert activation == "silu"
