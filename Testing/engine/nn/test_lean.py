"""What runs without gradients: each piece against PyTorch's own layer, and the memory that it saves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from umamba.nn import PlainConvUNet, ResidualEncoderUNet, UMambaBot, UMambaEnc, lean, mamba_layer

# float32 sums of some thousand numbers of size one, in another order.
SUM_TOLERANCE = 1e-5
# As above through a whole network with a bottleneck of few voxels, which enlarges rounding.
NETWORK_TOLERANCE = 1e-3
SLOPE = 0.01


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        torch.manual_seed(0)
        yield


def same(found: Tensor, wanted: Tensor, tolerance: float = SUM_TOLERANCE) -> None:
    np.testing.assert_allclose(
        found.numpy(), wanted.numpy(), rtol=0, atol=tolerance * wanted.abs().max().item()
    )


SHAPES = [(1, 3, 5, 7), (2, 5, 4, 6), (1, 16, 40, 50), (2, 3, 4, 5, 6), (1, 33, 20, 30, 25)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["channels last", "plain"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("ending", ["activation", "nothing", "residual"])
def test_normalization(shape, layout, affine, ending):
    norm = (torch.nn.InstanceNorm2d if len(shape) == 4 else torch.nn.InstanceNorm3d)(shape[1], affine=affine)
    if affine:
        norm.weight.copy_(torch.rand(shape[1]) + 0.5)
        norm.bias.copy_(torch.randn(shape[1]))
    norm.eval()
    x = torch.randn(shape) * 3 + 2
    residual = torch.randn(shape) if ending == "residual" else None
    wanted = functional.instance_norm(
        x.double(),
        weight=norm.weight.double() if affine else None,
        bias=norm.bias.double() if affine else None,
        eps=norm.eps,
    )
    if residual is not None:
        wanted += residual
    if ending != "nothing":
        wanted = functional.leaky_relu(wanted, SLOPE)
    given = lean.channels_last(x.clone()) if layout == "channels last" else x.clone()
    found = lean.normalize(norm, given, None if ending == "nothing" else SLOPE, residual)
    same(found.double(), wanted)


def test_normalization_far_from_zero():
    """Mean 1,000 times the deviation: float32 inputs allow 1,000 times their rounding, not more."""
    x = torch.randn(1, 4, 32, 32, 32, dtype=torch.float64) + 1000
    given = lean.channels_last(x.float())
    wanted = functional.instance_norm(given.double())
    found = lean.normalize(torch.nn.InstanceNorm3d(4).eval(), given.clone(), None)
    rounding = 1000 * torch.finfo(torch.float32).eps
    assert (found - wanted).abs().max() < rounding


@pytest.mark.parametrize("channels", [32, 5])
def test_normalization_is_the_same_bits_on_any_number_of_threads(channels):
    x = torch.randn(1, channels, 50, 60, 40)
    norm = torch.nn.InstanceNorm3d(channels).eval()
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(lean.normalize(norm, lean.channels_last(x.clone()), SLOPE))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_one_voxel_gives_the_bias():
    """A single voxel has no deviation."""
    norm = torch.nn.InstanceNorm3d(3, affine=True).eval()
    norm.bias.copy_(torch.tensor([1.0, -1.0, 0.5]))
    found = lean.normalize(norm, lean.channels_last(torch.randn(2, 3, 1, 1, 1)), SLOPE)
    same(found.flatten(1), torch.tensor([[1.0, -SLOPE, 0.5]] * 2))


def test_nan_stays_in_its_channel_and_sample():
    x = torch.randn(2, 3, 8, 8)
    x[1, 2, 0, 0] = torch.nan
    found = lean.normalize(torch.nn.InstanceNorm2d(3).eval(), lean.channels_last(x), SLOPE)
    assert found[1, 2].isnan().all()
    assert int(found.isnan().sum()) == 64


def test_large_maps_are_normalized_some_channels_at_a_time(monkeypatch, live_bytes):
    norm = torch.nn.InstanceNorm2d(6, affine=True).eval()
    norm.weight.copy_(torch.rand(6))
    x = torch.randn(2, 6, 16, 16)
    wanted = norm(x)
    monkeypatch.setattr(lean, "WHOLE_MAP_BYTES", 2 * 16 * 16 * 4)
    given = x.clone()
    with live_bytes:
        found = lean.normalize(norm, given, None)
    same(found, wanted)
    assert found.data_ptr() == given.data_ptr()
    assert live_bytes.peak < x.nbytes


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((3, 3, 3), (1, 1, 1)), ((1, 3, 3), (1, 2, 2)), ((1, 1, 1), (2, 2, 2)), ((5, 3), (2, 1))],
)
def test_convolution(channels, kernel, stride):
    make = torch.nn.Conv3d if len(kernel) == 3 else torch.nn.Conv2d
    conv = make(channels, 5, kernel, stride, tuple(size // 2 for size in kernel)).eval()
    x = torch.randn(2, channels, *[9, 10, 7][: len(kernel)])
    found = lean.convolve(conv, lean.channels_last(x))
    same(found, conv(x))
    assert found.movedim(1, -1).is_contiguous()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 2), (2, 1, 3), (2, 2), (1, 2)])
@pytest.mark.parametrize("piece", [1, 2**20])
def test_transposed_convolution(stride, batch, bias, piece, monkeypatch):
    monkeypatch.setattr(lean, "PIECE_BYTES", piece)
    make = torch.nn.ConvTranspose3d if len(stride) == 3 else torch.nn.ConvTranspose2d
    up = make(6, 4, stride, stride, bias=bias).eval()
    x = torch.randn(batch, 6, *[5, 4, 3][: len(stride)])
    wanted = up(x)
    whole = torch.full((batch, 7, *wanted.shape[2:]), torch.nan)
    for out in (whole, lean.channels_last(whole.clone())):
        lean.enlarge_transposed(up, lean.channels_last(x), out[:, :4])
        same(out[:, :4], wanted)
        assert out[:, 4:].isnan().all()


@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 2), (3, 2)])
def test_nearest_enlargement(stride):
    x = torch.randn(2, 3, *[4, 3, 5][: len(stride)])
    wanted = functional.interpolate(x, scale_factor=[float(s) for s in stride], mode="nearest")
    out = torch.empty(2, 5, *wanted.shape[2:])
    lean.enlarge_nearest(x, stride, out[:, :3])
    assert torch.equal(out[:, :3], wanted)


@pytest.mark.parametrize("bias", [True, False])
def test_head_lies_in_the_order_of_its_axes(bias):
    conv = torch.nn.Conv3d(6, 3, 1, bias=bias).eval()
    x = torch.randn(2, 6, 4, 5, 6)
    found = lean.head(conv, lean.channels_last(x))
    same(found, conv(x))
    assert found.is_contiguous()


def network_arguments(axes: int, features: tuple[int, ...] = (8, 12, 16)) -> dict:
    return {
        "n_stages": len(features),
        "features_per_stage": features,
        "conv_op": {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[axes],
        "kernel_sizes": 3,
        "strides": [1, *[2] * (len(features) - 1)],
        "n_conv_per_stage": 2,
        "n_conv_per_stage_decoder": 2,
        "conv_bias": True,
        "norm_op": {2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}[axes],
        "norm_op_kwargs": {"affine": True},
        "nonlin": torch.nn.LeakyReLU,
    }


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("make", "more"),
    [
        (PlainConvUNet, {}),
        (ResidualEncoderUNet, {}),
        (UMambaBot, {}),
        (UMambaEnc, {}),
        (UMambaBot, {"generation": "legacy"}),
        (UMambaEnc, {"generation": "legacy"}),
    ],
)
def test_whole_networks_with_and_without_gradients(make, more, axes, channels):
    """Batches of two, sizes that are no powers of two, and an input that is not in one piece."""
    size = (20, 28, 24)[:axes]
    if make is UMambaEnc:
        more = more | {"patch_size": size}
    network = make(channels, 4, deep_supervision=True, **network_arguments(axes), **more).eval()
    x = torch.randn(2, channels, *reversed(size)).movedim(
        tuple(range(2, 2 + axes)), tuple(range(1 + axes, 1, -1))
    )
    assert x.shape[2:] == size
    assert not x.is_contiguous()
    before = x.clone()
    found = network(x)
    assert torch.equal(x, before)
    with torch.enable_grad():
        wanted = network(x.clone())
    for ours, theirs in zip(found, wanted, strict=True):
        same(ours, theirs.detach(), NETWORK_TOLERANCE)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("make", "full_maps"),
    # The finest maps alive at once: the decoder's two inputs and a result; a residual block keeps one more.
    [(PlainConvUNet, 3), (UMambaBot, 4), (UMambaEnc, 4)],
)
def test_peak_memory_in_units_of_the_finest_map(make, full_maps, device, live_bytes, monkeypatch):
    monkeypatch.setattr(mamba_layer, "PIECE_BYTES", lean.PIECE_BYTES)
    size = (16, 64, 64)
    more = {"patch_size": size} if make is UMambaEnc else {}
    network = make(1, 2, **network_arguments(3, (32, 32, 32)), **more).eval().to(device)
    x = torch.zeros(1, 1, *size, device=device)
    with live_bytes:
        network(x)
    one = 32 * x.nbytes
    coarser = one / 8 * 2  # what the coarser stages still hold, and pieces on their way
    small = 2 * lean.PIECE_BYTES if device == "cpu" else lean.WHOLE_MAP_BYTES
    assert live_bytes.peak <= full_maps * one + coarser + small


def test_mixed_precision_on_the_cpu():
    network = UMambaBot(1, 2, **network_arguments(3)).eval()
    x = torch.randn(1, 1, 16, 16, 16)
    wanted = network(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(x)
    assert found.dtype == torch.bfloat16
    bfloat16_rounding = 0.1  # 8 bits, through some twenty layers
    same(found.float(), wanted, bfloat16_rounding)
