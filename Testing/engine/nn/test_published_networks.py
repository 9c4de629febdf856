"""Every network of the oracle gives what the published code gave: heads, inner activations, keys, counts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor

from umamba import nn
from umamba.nn.keys import canonical_key

NAMES = (
    "bot2d_current",
    "bot2d_legacy",
    "bot3d_current",
    "bot3d_legacy",
    "enc2d_current_even_stages",
    "enc2d_current_odd_stages",
    "enc2d_current_patch_tokens_only",
    "enc2d_legacy",
    "enc3d_current",
    "enc3d_legacy",
    "plain2d_nnunet281",
    "plain3d_nnunet281",
    "resenc2d_nnunet281",
    "resenc3d_nnunet281",
)
GENUINE = ("bot2d_legacy", "enc2d_current_even_stages")


@pytest.fixture(params=NAMES)
def case(request, published):
    return published(request.param)


def agrees(case, found: Tensor, wanted: np.ndarray) -> None:
    tolerance = case.entry["tolerance"]
    np.testing.assert_allclose(found.detach().numpy(), wanted, tolerance["rtol"], tolerance["atol"])


def test_all_heads_in_inference(case):
    network = case.build(deep_supervision=True)
    with torch.inference_mode():
        heads = network(case.input())
    assert [list(head.shape) for head in heads] == case.entry["heads"]
    for index, head in enumerate(heads):
        agrees(case, head, case.head(index))


def test_all_heads_while_gradients_are_recorded(case):
    heads = case.build(deep_supervision=True)(case.input())
    for index, head in enumerate(heads):
        agrees(case, head, case.head(index))


def test_one_head_without_deep_supervision(case):
    network = case.build()
    assert not network.deep_supervision
    with torch.inference_mode():
        logits = network(case.input())
    agrees(case, logits, case.head(0))
    assert logits.is_contiguous()


def last_block(stage: Iterable[torch.nn.Module]) -> torch.nn.Module:
    *_, block = stage
    return block


def watched_modules(network: nn.Network) -> dict[str, torch.nn.Module]:
    """The module whose output the oracle stores under each name."""
    modules = {}
    if network.encoder.stem is not None:
        modules["stem_out"] = last_block(network.encoder.stem)
    layers = network.encoder.mamba_layers
    for index, stage in enumerate(network.encoder.stages):
        modules[f"encoder_out.{index}"] = last_block(stage) if layers is None else layers[index]
    for index, stage in enumerate(network.decoder.stages):
        modules[f"decoder_stage.{index}"] = last_block(stage)
    if hasattr(network, "mamba_layer"):
        modules["mamba_layer_out"] = network.mamba_layer
    return modules


def test_inner_activations(case):
    network = case.build()
    seen: dict[str, Tensor] = {}

    def keep(name: str):
        return lambda module, args, output: seen.__setitem__(name, output.clone())

    for name, module in watched_modules(network).items():
        module.register_forward_hook(keep(name))
    # What the decoder takes last is the bottleneck, which the oracle stores as (batch, tokens, channels).
    network.decoder.register_forward_pre_hook(
        lambda module, args: seen.__setitem__("mamba_tokens_out", args[0][-1].flatten(2).transpose(1, 2))
    )
    with torch.inference_mode():
        network(case.input())
    tolerance = case.entry["activation_tolerance"]
    assert set(case.entry["activations"]) <= set(seen)
    for name in case.entry["activations"]:
        wanted = case.arrays[f"act.{name}"]
        atol = tolerance["atol_fraction_of_max"] * np.abs(wanted).max()
        np.testing.assert_allclose(seen[name].numpy(), wanted, tolerance["rtol"], atol, err_msg=name)


def test_keys_are_the_published_ones_without_duplicates(case):
    wanted = {
        canonical_key(key): shape
        for key, shape in case.entry["state_dict"].items()
        if key not in case.entry["aliases"]
    }
    network = case.build(load=False)
    assert {key: list(tensor.shape) for key, tensor in network.state_dict().items()} == wanted
    assert sum(parameter.numel() for parameter in network.parameters()) == case.entry["parameters"]


def test_every_duplicate_is_folded_onto_its_stored_key(case):
    assert len(case.entry["aliases"]) > 0
    for alias, stored in case.entry["aliases"].items():
        assert canonical_key(alias) == canonical_key(stored)


def test_identified_by_its_keys(case):
    wanted = nn.Identified(case.entry["network"], case.generation, case.entry["dim"])
    assert nn.identify(case.entry["state_dict"]) == wanted
    assert nn.identify({f"module.{key}": shape for key, shape in case.entry["state_dict"].items()}) == wanted
    folded = {key: tuple(tensor.shape) for key, tensor in case.build(load=False).state_dict().items()}
    assert nn.identify(folded) == wanted


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_state_dict_with_all_its_duplicates(published, name):
    case = published(name)
    state_dict = torch.load(case.folder / case.entry["state_dict_pth"], weights_only=True)
    assert list(state_dict) == list(case.entry["state_dict"])
    network = case.build(load=False)
    nn.load_weights(network, state_dict)
    with torch.inference_mode():
        agrees(case, network(case.input()), case.head(0))


def test_channel_token_layers_are_where_the_published_ones_are(published):
    for name in NAMES:
        case = published(name)
        if case.entry.get("channel_tokens") is None:
            continue
        layers = case.build(load=False).encoder.mamba_layers
        with_layer = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MambaLayer)]
        assert with_layer == case.entry["mamba_stages"]
        for index in with_layer:
            assert layers[index].channel_tokens == case.entry["channel_tokens"][index]
