"""nnU-Net's own classes beside ours: their state dict, with all its duplicates, gives the same logits."""

from __future__ import annotations

import pytest
import torch

from umamba import nn

# float32 through some twenty layers in another order of sums, as a share of the largest logit.
TOLERANCE = 1e-4

unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")


def arguments(axes: int, blocks_key: str) -> dict:
    return {
        "n_stages": 4,
        "features_per_stage": [8, 16, 24, 24],
        "conv_op": {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[axes],
        "kernel_sizes": [[1, 3, 3][-axes:], *[[3] * axes] * 3],
        "strides": [[1] * axes, [1, 2, 2][-axes:], *[[2] * axes] * 2],
        blocks_key: [1, 2, 3, 2],
        "n_conv_per_stage_decoder": [2, 1, 2],
        "conv_bias": True,
        "norm_op": {2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}[axes],
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": torch.nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(
    ("name", "blocks_key"),
    [("PlainConvUNet", "n_conv_per_stage"), ("ResidualEncoderUNet", "n_blocks_per_stage")],
)
def test_same_logits_from_their_state_dict(name, blocks_key, axes):
    torch.manual_seed(0)
    options = arguments(axes, blocks_key)
    theirs = getattr(unet, name)(2, num_classes=3, deep_supervision=True, **options).eval()
    ours = getattr(nn, name)(2, 3, deep_supervision=True, **options).eval()
    nn.load_weights(ours, theirs.state_dict())
    x = torch.randn(2, 2, *(16, 24, 32)[-axes:])
    with torch.inference_mode():
        for found, wanted in zip(ours(x), theirs(x), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE * wanted.abs().max().item())
    assert nn.identify({key: tuple(value.shape) for key, value in theirs.state_dict().items()}) == (
        nn.Identified(name, None, axes)
    )
