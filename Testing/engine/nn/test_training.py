"""Networks under training: gradients everywhere, the switch, the sizes that they refuse."""

from __future__ import annotations

import pytest
import torch

from umamba.errors import InputError, ModelError
from umamba.nn import PlainConvUNet, ResidualEncoderUNet, UMambaBot, UMambaEnc

CLASSES = 3


def arguments(axes: int) -> dict:
    return {
        "n_stages": 3,
        "features_per_stage": [4, 6, 8],
        "conv_op": {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[axes],
        "kernel_sizes": 3,
        "strides": [1, 2, 2],
        "n_conv_per_stage": 2,
        "n_conv_per_stage_decoder": 2,
        "conv_bias": True,
        "norm_op": {2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}[axes],
        "norm_op_kwargs": {"affine": True},
        "nonlin": torch.nn.LeakyReLU,
    }


def make(kind: str, axes: int, **more) -> torch.nn.Module:
    torch.manual_seed(0)
    network, _, generation = kind.partition(" ")
    options = {"generation": generation} if generation else {}
    if network == "UMambaEnc":
        options["patch_size"] = [8] * axes
    classes = {c.__name__: c for c in (PlainConvUNet, ResidualEncoderUNet, UMambaBot, UMambaEnc)}
    built = classes[network](1, CLASSES, **arguments(axes), **options, **more)
    return built.apply(built.initialize)


KINDS = (
    "PlainConvUNet",
    "ResidualEncoderUNet",
    "UMambaBot current",
    "UMambaBot legacy",
    "UMambaEnc current",
    "UMambaEnc legacy",
)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_finite_gradient(kind, axes):
    network = make(kind, axes, deep_supervision=True).train()
    heads = network(torch.randn(2, 1, *[8] * axes))
    sum((head * torch.randn_like(head)).mean() for head in heads).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_few_steps_lower_the_loss():
    network = make("UMambaBot current", 2).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9)
    x = torch.randn(4, 1, 8, 8)
    target = (x[:, 0] > 0).long()
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(network(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_deep_supervision_can_be_switched(kind):
    """nnU-Net's trainer sets it on the decoder; the network passes it on."""
    network = make(kind, 2, deep_supervision=True).eval()
    x = torch.randn(1, 1, 8, 8)
    with torch.inference_mode():
        heads = network(x)
        assert [tuple(head.shape[2:]) for head in heads] == [(8, 8), (4, 4)]
        network.decoder.deep_supervision = False
        assert torch.equal(network(x), heads[0])
        network.deep_supervision = True
        assert network.decoder.deep_supervision
        assert len(network(x)) == 2


@pytest.mark.parametrize("shape", [(1, 1, 8, 8, 10), (1, 1, 7, 8, 8), (1, 1, 8, 8), (1, 8, 8, 8)])
def test_sizes_that_the_strides_do_not_divide(shape):
    with pytest.raises(InputError, match=r"takes \(batch, channels, n\*4 x n\*4 x n\*4\); found"):
        make("PlainConvUNet", 3)(torch.zeros(shape))


def test_channel_tokens_tie_the_network_to_its_patch_size():
    network = make("UMambaEnc current", 2)
    assert network.encoder.mamba_layers[2].channel_tokens
    with pytest.raises(ModelError, match="patch size"):
        network(torch.zeros(1, 1, 16, 16))
    assert make("UMambaEnc legacy", 2)(torch.zeros(1, 1, 16, 16)).shape == (1, CLASSES, 16, 16)
