"""LayerNorm and Mamba over feature maps: published numbers, half inputs, streaming along the tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from umamba.errors import ModelError
from umamba.nn import MambaLayer, mamba_layer

NAMES = ("enc3d_patch", "enc3d_channel", "enc2d_patch", "enc2d_channel", "bot3d", "bot2d", "legacy_enc")
# The bound for a streamed layer against the whole sequence at once.
STREAMING_TOLERANCE = 1e-5
# Small enough that every test map takes many pieces.
FEW_BYTES = 1


@pytest.fixture(params=NAMES)
def case(request, oracle):
    folder = oracle / "umamba_mambalayer"
    entries = {e["name"]: e for e in json.loads((folder / "manifest.json").read_text())["cases"]}
    entry = entries[request.param]
    with np.load(folder / entry["file"]) as arrays:
        return entry, dict(arrays)


def load(entry, arrays) -> MambaLayer:
    layer = MambaLayer(entry["dim"], channel_tokens=bool(entry["channel_token"]))
    weights = {k[2:]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("w.")}
    assert {key: list(tensor.shape) for key, tensor in layer.state_dict().items()} == entry["state_dict"]
    layer.load_state_dict(weights, strict=True)
    return layer.eval()


def test_published_output(case):
    entry, arrays = case
    tolerance = entry["tolerance"]
    layer = load(entry, arrays)
    x = torch.from_numpy(arrays["x"])
    with torch.inference_mode():
        streamed = layer(x)
    for y in (layer(x).detach(), streamed):
        np.testing.assert_allclose(y.numpy(), arrays["y"], tolerance["rtol"], tolerance["atol"])


def test_half_input_gives_float32(case):
    entry, arrays = case
    tolerance = entry["tolerance"]
    layer = load(entry, arrays)
    with torch.inference_mode():
        y = layer(torch.from_numpy(arrays["x"]).half())
        assert y.dtype == torch.float32
        assert layer(torch.from_numpy(arrays["x"]).bfloat16()).dtype == torch.float32
    np.testing.assert_allclose(
        y.numpy(), arrays["y_from_float16_input"], tolerance["rtol"], tolerance["atol"]
    )


def test_autocast_on_the_cpu_is_switched_off(case):
    entry, arrays = case
    layer = load(entry, arrays)
    x = torch.from_numpy(arrays["x"])
    with torch.inference_mode():
        wanted = layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(layer(x), wanted)


def test_streamed_equals_whole(case, monkeypatch):
    entry, arrays = case
    layer = load(entry, arrays)
    x = torch.from_numpy(arrays["x"])
    whole = layer(x).detach()
    monkeypatch.setattr(mamba_layer, "PIECE_BYTES", FEW_BYTES)
    for length in (1, 2, 3, 7):  # shorter and longer than the convolution's reach
        monkeypatch.setattr(mamba_layer, "_MIN_PIECE", length)
        with torch.inference_mode():
            streamed = layer(x)
        np.testing.assert_allclose(streamed.numpy(), whole.numpy(), rtol=0, atol=STREAMING_TOLERANCE)


def test_streamed_equals_whole_with_channels_last(monkeypatch):
    torch.manual_seed(0)
    layer = MambaLayer(12).eval()
    x = torch.randn(2, 12, 5, 6, 7)
    whole = layer(x).detach()
    monkeypatch.setattr(mamba_layer, "PIECE_BYTES", FEW_BYTES)
    with torch.inference_mode():
        streamed = layer(x.contiguous(memory_format=torch.channels_last_3d))
    np.testing.assert_allclose(streamed.numpy(), whole.numpy(), rtol=0, atol=STREAMING_TOLERANCE)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_memory_beside_the_output_does_not_grow_with_the_tokens(device, live_bytes, monkeypatch):
    """A map of 16 times the voxels takes no more room beside input and output."""
    room = 2**18
    monkeypatch.setattr(mamba_layer, "PIECE_BYTES", room)
    layer = MambaLayer(8).eval().to(device)
    beside = {}
    for planes in (4, 64):
        x = torch.zeros(1, 8, planes, 32, 32, device=device)
        with torch.inference_mode(), type(live_bytes)() as memory:
            out = layer(x)
        beside[planes] = memory.peak - out.untyped_storage().nbytes()
    assert beside[64] == beside[4]
    assert beside[4] <= 2 * room  # the pieces' own estimate is no bound to the last byte


@pytest.mark.parametrize("shape", [(1, 12, 4, 4), (1, 12, 2, 4)])
def test_channel_tokens_take_their_own_map_size_only(shape):
    layer = MambaLayer(9, channel_tokens=True)
    size = f"{shape[2]}x{shape[3]}"
    with pytest.raises(ModelError, match=rf"9 features.*{shape[2] * shape[3]} voxels \({size}\).*patch size"):
        layer(torch.zeros(shape))
    assert layer(torch.zeros(1, 12, 3, 3)).shape == (1, 12, 3, 3)


def test_patch_tokens_take_any_size_but_one_number_of_channels():
    layer = MambaLayer(4)
    assert layer(torch.zeros(2, 4, 3, 5)).shape == (2, 4, 3, 5)
    with pytest.raises(ModelError, match="4 features, the map has 5 channels"):
        layer(torch.zeros(2, 5, 3, 5))


def test_tokens_run_along_the_last_axis_first():
    """A change at one voxel reaches that voxel and the later ones in C order, none before."""
    torch.manual_seed(3)
    layer = MambaLayer(4).eval()
    x = torch.randn(1, 4, 2, 3, 4)
    changed = x.clone()
    changed[0, :, 1, 0, 2] += 1
    with torch.inference_mode():
        differs = (layer(x) != layer(changed)).any(dim=1).flatten()
    first = 1 * 12 + 0 * 4 + 2
    assert not differs[:first].any()
    assert differs[first]


@pytest.mark.parametrize("features", [18, 24, 40, 300])
def test_pieces_on_a_gpu_have_a_length_that_16_divides(features):
    length = mamba_layer.piece_length(MambaLayer(features).mamba, 3, torch.device("cuda"))
    assert length % 16 == 0
    assert length > mamba_layer.piece_length(MambaLayer(features).mamba, 3, torch.device("cpu"))
