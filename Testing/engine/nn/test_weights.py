"""Weights load strictly: every way in which a state dict can be wrong is refused, and named."""

from __future__ import annotations

import pytest
import torch

from umamba import nn
from umamba.errors import ModelError

KEY = "encoder.stages.0.0.convs.0.conv.weight"
LAST = "decoder.seg_layers.0.bias"


@pytest.fixture(scope="module")
def plain(published):
    return published("plain2d_nnunet281")


@pytest.fixture
def network(plain):
    return plain.build(load=False)


@pytest.fixture
def weights(plain):
    return plain.weights()


def refused(network, weights) -> str:
    """Loading must fail and leave the network as it was; the message comes back."""
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(ModelError) as error:
        nn.load_weights(network, weights)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    message = str(error.value)
    assert "\n" not in message
    return message


def test_missing_key(network, weights):
    del weights[KEY]
    assert f"1 missing ('{KEY}')" in refused(network, weights)


def test_many_missing_keys_are_counted_and_the_first_named(network, weights):
    message = refused(network, {LAST: weights[LAST]})
    assert f"{len(network.state_dict()) - 1} missing" in message
    assert message.count("'") == 6
    assert "..." in message


def test_unknown_key(network, weights):
    weights["decoder.more\nlines" + "x" * 1000] = torch.zeros(1)
    message = refused(network, weights)
    assert "1 unknown ('decoder.more\\nlinesxxx" in message
    assert len(message) < 300


def test_wrong_shape(network, weights):
    weights[KEY] = weights[KEY][:, :, :1]
    shape = tuple(network.state_dict()[KEY].shape)
    assert f"'{KEY}' is {tuple(weights[KEY].shape)}, wanted {shape}" in refused(network, weights)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(network, weights, value):
    weights[LAST] = weights[LAST].clone()
    weights[LAST][-1] = value
    assert f"'{LAST}' hold NaN or infinity" in refused(network, weights)


def test_values_beyond_float32(network, weights):
    weights[LAST] = torch.full_like(weights[LAST], 1e300, dtype=torch.float64)
    assert "NaN or infinity" in refused(network, weights)


def test_integers_are_no_weights(network, weights):
    weights[LAST] = torch.zeros_like(weights[LAST], dtype=torch.int32)
    assert "torch.int32" in refused(network, weights)


def duplicates_of(weights) -> dict[str, torch.Tensor]:
    """As published checkpoints have them, values copied."""
    return {
        "decoder.encoder.stages.0.0.convs.0.all_modules.0.weight": weights[KEY].clone(),
        "encoder.stages.0.0.convs.0.all_modules.0.weight": weights[KEY].clone(),
        "decoder.encoder.stages.0.0.convs.0.conv.weight": weights[KEY].clone(),
    }


def test_equal_duplicates_are_folded(network, weights):
    nn.load_weights(network, weights | duplicates_of(weights))
    assert torch.equal(network.state_dict()[KEY], weights[KEY])


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_duplicates_that_disagree(network, weights, value):
    copies = duplicates_of(weights)
    next(iter(copies.values()))[0, 0, 0, 0] = value
    assert f"two different tensors for '{KEY}'" in refused(network, weights | copies)


def test_duplicates_that_are_both_broken_are_told_as_broken(network, weights):
    weights[KEY] = torch.full_like(weights[KEY], float("nan"))
    assert "NaN or infinity" in refused(network, weights | duplicates_of(weights))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_prefixes_are_stripped(network, weights, prefix):
    nn.load_weights(network, {prefix + key: tensor for key, tensor in weights.items()})
    assert torch.equal(network.state_dict()[KEY], weights[KEY])


def test_float16_is_widened(network, weights):
    nn.load_weights(network, {key: tensor.half() for key, tensor in weights.items()})
    assert network.state_dict()[KEY].dtype == torch.float32
    assert torch.equal(network.state_dict()[KEY], weights[KEY].half().float())


def test_a_network_on_the_meta_device_takes_the_tensors_over(plain, weights):
    with torch.device("meta"):
        network = plain.build(load=False)
    nn.load_weights(network, weights)
    with torch.inference_mode():
        found = network(plain.input())
        assert torch.equal(found, plain.build()(plain.input()))
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_weights_of_another_network_are_told(published, network):
    message = refused(network, published("enc2d_legacy").weights())
    assert "do not fit PlainConvUNet" in message
    assert message.endswith("They are of a UMambaEnc, 2D, legacy generation")


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"conv.weight": (1, 1, 3, 3)},
        {"mamba.A_log": (4, 16)},
        {"encoder.mamba_layers.0.mamba.A_log": (4, 16), "decoder.seg_layers.0.weight": (2, 4, 1, 1)},
        {"encoder.stages.0.0.convs.0.conv.weight": (4, 1, 3, 3), "decoder.seg_layers.0.weight": (2, 4, 1, 1)},
        {
            "encoder.stem.0.conv1.weight": (4, 1, 3, 3),
            "mamba_layer.mamba.A_log": (4, 16),
            "decoder.seg_layers.0.weight": (2, 4),
        },
    ],
)
def test_keys_of_no_known_network(keys):
    with pytest.raises(ModelError, match="no network that is known here"):
        nn.identify(keys)
