"""Whole Mamba-UNets: the published numbers, gradients and training steps, the memory, networks from plans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from umamba.errors import InputError, ModelError
from umamba.nn import MambaUNet, build_network, identify, load_weights
from umamba.nn.mamba_unet_keys import read_sizes
from umamba.plans.mamba_unet import MambaUNetSizes, arguments_of

NETWORKS = ("net_d8_64x64", "net_d6_asym_64x96")
FULL = {"dims": [96, 192, 384, 768], "depths": [2, 2, 2, 2], "patch_size": [4, 4]}
SMALL_3D = {
    "dims": [16, 32, 64],
    "depths": [1, 2, 1],
    "patch_size": [1, 2, 2],
    "strides": [[1, 2, 2], [2, 2, 2]],
}
# Labels may differ where the two best logits are this near: 20 times the float32 noise of the manifest.
CLOSE = 2e-4
# Sums of the same numbers in another order.
ROUNDING = 1e-4
# Maps of D channels that the finest block holds at once: normalised input and skip (C each), convolved map,
# sum of the scans, and pieces; what the logits and the weights' exponentials take comes on top.
MAPS, SLACK_BYTES = 4, 40 * 2**20


class Reference:
    """A reduced network of the oracle."""

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self.entry = entry
        with np.load(folder / entry["file"]) as arrays:
            self.arrays = dict(arrays)
        self.weights = {k[2:]: torch.from_numpy(v) for k, v in self.arrays.items() if k.startswith("w.")}

    def build(self, **more: Any) -> MambaUNet:
        keys = ("dims", "depths", "d_state")
        network = MambaUNet(
            1, self.entry["classes"], patch_size=[4, 4], **{key: self.entry[key] for key in keys}, **more
        )
        network.load_state_dict(self.weights, strict=True)
        return network.eval()

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def agrees(self, found: Tensor, wanted: str) -> None:
        tolerance = self.entry["tolerance"]
        np.testing.assert_allclose(
            found.detach().numpy(), self.arrays[wanted], tolerance["rtol"], tolerance["atol"]
        )


@pytest.fixture(scope="module")
def folder(oracle) -> Path:
    return oracle / "mambaunet_net"


@pytest.fixture(scope="module")
def manifest(folder) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture(params=NETWORKS)
def reference(request, folder, manifest) -> Reference:
    return Reference(folder, next(case for case in manifest["cases"] if case["name"] == request.param))


def published_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Half cross-entropy, half Dice over the batch with the background and squared sums below."""
    target = nn.functional.one_hot(label.long(), logits.shape[1]).movedim(-1, 1).float()
    p = logits.softmax(1)
    axes = (0, 2, 3)
    dice = 1 - (2 * (p * target).sum(axes) + 1e-5) / ((p * p).sum(axes) + (target * target).sum(axes) + 1e-5)
    return 0.5 * (nn.functional.cross_entropy(logits, label.long()) + dice.mean())


def test_keys_and_number_of_parameters(reference):
    network = reference.build()
    assert list(network.state_dict()) == reference.entry["keys"]
    assert sum(p.numel() for p in network.parameters()) == reference.entry["parameters"]


def test_logits_with_and_without_gradients(reference):
    network = reference.build()
    with torch.inference_mode():
        streamed = network(reference.tensor("x"))
    for logits in (network(reference.tensor("x")), streamed):
        assert logits.is_contiguous()
        reference.agrees(logits, "y")
        reference.agrees(logits, "y_float64")


def test_maps_between_the_stages(reference):
    network = reference.build()
    found: dict[str, Tensor] = {}
    names = [key[4:] for key in reference.arrays if key.startswith("mid.")]
    for name in names:
        module = network.mamba_unet.get_submodule(name)
        module.register_forward_hook(lambda _m, _x, out, name=name: found.__setitem__(name, out))
    network(reference.tensor("x"))
    # LayerNorms and joins run as functions on their parameters, so that no hook sees them.
    seen = {name for name in names if not name.startswith(("norm", "concat"))}
    assert set(found) == seen
    assert len(seen) >= 8
    for name in seen:
        reference.agrees(found[name], f"mid.{name}")


def test_gradients_of_the_published_loss(reference):
    network = reference.build()
    published_loss(network(reference.tensor("x")), reference.tensor("label")).backward()
    tolerance = reference.entry["gradient_tolerance"]
    compared = 0
    for name, parameter in network.named_parameters():
        wanted = reference.arrays.get(f"grad_w.{name}")
        if wanted is not None:
            atol = tolerance["atol_relative_to_max_abs_of_each"] * np.abs(wanted).max()
            np.testing.assert_allclose(parameter.grad, wanted, tolerance["rtol"], atol, err_msg=name)
            compared += 1
        else:
            norm = reference.entry["gradient_norms"][name]
            assert parameter.grad.norm().item() == pytest.approx(norm, rel=tolerance["rtol"])
    assert compared or reference.entry["gradient_norms"]


def test_three_training_steps(reference):
    network = reference.build()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(3):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - max(step - 1, 0) / 10_000) ** 0.9
        optimizer.zero_grad()
        loss = published_loss(network(reference.tensor("x")), reference.tensor("label"))
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(losses, reference.entry["loss_of_3_sgd_steps"], ROUNDING)
    reference.agrees(network(reference.tensor("x")), "y_after_3_steps")


@pytest.fixture(scope="module")
def full(folder) -> MambaUNet:
    """The published size with the weights that the manifest's rule gives."""
    entries = json.loads((folder / "full_keys.json").read_text())["keys"]
    network = MambaUNet(1, 4, **FULL).eval()
    assert list(network.state_dict()) == [entry["key"] for entry in entries]
    weights = {entry["key"]: by_rule(entry) for entry in entries}
    for entry in entries:
        np.testing.assert_array_equal(weights[entry["key"]].flatten()[:3], np.float32(entry["first3"]))
    network.load_state_dict(weights, strict=True)
    return network


def by_rule(entry: dict[str, Any]) -> Tensor:
    """A tensor of the full-size network, as the manifest's `rule` says."""
    name, shape = entry["key"].rpartition(".")[2], entry["shape"]
    z = np.random.default_rng([2024, entry["i"]]).standard_normal(shape)
    if name == "A_logs":
        z = np.log(np.arange(shape[1]) + 1) + 0.1 * z
    elif name == "Ds" or (name == "weight" and len(shape) == 1):
        z = 1 + 0.1 * z
    elif name == "dt_projs_bias":
        z = z - 4
    elif name == "dt_projs_weight":
        z = 0.5 * z / np.sqrt(shape[-1])
    elif name == "bias":
        z = 0.05 * z
    elif name == "x_proj_weight":
        z = z / np.sqrt(shape[-1])
    else:
        z = z / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(z.astype(np.float32))


@pytest.mark.parametrize("size", [224, 256])
def test_the_full_network(full, folder, manifest, size):
    i, j = np.ogrid[:size, :size]
    noise = np.random.default_rng(5).random((size, size))
    x = (0.5 + 0.25 * np.sin(i / 17) * np.cos(j / 23) + 0.25 * noise).astype(np.float32)
    with np.load(folder / "full.npz") as arrays:
        wanted = dict(arrays)
    np.testing.assert_array_equal(x[::8, ::8], wanted[f"x_{size}_strided8"])
    with torch.inference_mode():
        logits = full(torch.from_numpy(x)[None, None])[0].numpy()
    tolerance = manifest["full_tolerance"]
    for found, name in ((logits[:, ::8, ::8], "strided8"), (logits[:, 100], "row100")):
        np.testing.assert_allclose(
            found, wanted[f"logits_{size}_{name}"], tolerance["rtol"], tolerance["atol"]
        )
    best = np.sort(logits, 0)
    clear = best[-1] - best[-2] > CLOSE
    assert (logits.argmax(0) == wanted[f"argmax_{size}"])[clear].all()


def test_memory_does_not_grow_with_the_states(full, live_bytes):
    size = 512
    x = torch.zeros(1, 1, size, size)
    with torch.inference_mode(), live_bytes:
        logits = full(x)
    assert logits.shape == (1, 4, size, size)
    tokens, inner = (size // 4) ** 2, 2 * FULL["dims"][0]
    bound = 4 * MAPS * tokens * inner + SLACK_BYTES
    assert live_bytes.peak < bound
    assert bound < 4 * tokens * inner * 16  # what one path's states would take


@pytest.mark.parametrize("size", [(30, 32), (48, 64), (66, 66)])
def test_sizes_that_the_strides_do_not_divide(reference, size):
    with pytest.raises(InputError, match=r"n\*32 x n\*32"):
        reference.build()(torch.zeros(1, 1, *size))


def test_three_channels_go_in_as_they_are(reference):
    network = reference.build()
    grey = reference.tensor("x")[:1]
    with torch.inference_mode():
        torch.testing.assert_close(network(grey.repeat(1, 3, 1, 1)), network(grey), rtol=0, atol=0)
    assert MambaUNet(2, 2, **FULL).mamba_unet.patch_embed.proj.in_channels == 2


def test_mixed_precision_changes_nothing(reference):
    network, x = reference.build(), reference.tensor("x")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        reference.agrees(network(x), "y")


def plans_of(architecture: dict[str, Any], patch: list[int]) -> dict[str, Any]:
    return {
        "dataset_name": "Dataset001_Test",
        "plans_name": "p",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            "net": {
                "patch_size": patch,
                "spacing": [1.0] * len(patch),
                "normalization_schemes": ["ZScoreNormalization"],
                "use_mask_for_norm": [False],
                "architecture": architecture,
            }
        },
    }


def mamba_unet_plans(patch: list[int], **changes: Any) -> dict[str, Any]:
    return plans_of(
        {"network_class_name": "umamba.nn.MambaUNet", "arch_kwargs": changes, "_kw_requires_import": []},
        patch,
    )


DATASET = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "a": 1, "b": 2, "c": 3}}


def test_networks_from_plans_that_name_it():
    network = build_network(mamba_unet_plans([64, 64], **FULL), "net", DATASET)
    assert isinstance(network, MambaUNet)
    assert sum(p.numel() for p in network.parameters()) == 19_121_664
    volumes = build_network(mamba_unet_plans([4, 16, 16], **SMALL_3D), "net", DATASET)
    assert identify({key: t.shape for key, t in volumes.state_dict().items()}).axes == 3


def test_networks_by_name_from_plans_of_another():
    flat = {
        "network_class_name": "PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": [8, 16, 32],
            "conv_op": "torch.nn.modules.conv.Conv2d",
            "kernel_sizes": [3] * 3,
            "strides": [1, 2, 2],
            "n_conv_per_stage": 2,
            "n_conv_per_stage_decoder": 2,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
            "nonlin": "torch.nn.LeakyReLU",
        },
    }
    network = build_network(plans_of(flat, [64, 64]), "net", DATASET, network="MambaUNet")
    assert sum(p.numel() for p in network.parameters()) == 19_121_664
    strides = [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2]]
    volumes = json.loads(json.dumps(flat).replace("2d", "3d"))
    volumes["arch_kwargs"] |= {"n_stages": 5, "features_per_stage": [8] * 5, "kernel_sizes": [3] * 5}
    volumes["arch_kwargs"]["strides"] = strides
    found = build_network(plans_of(volumes, [4, 16, 16]), "net", DATASET, network="MambaUNet")
    assert found.total_stride == (4, 16, 16)
    assert found.mamba_unet.patch_embed.proj.kernel_size == (1, 4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dims": [96, 192, 400, 768]}, "each must be twice the one before"),
        ({"dims": [96]}, "dims has 1 stages"),
        ({"depths": [2, 2]}, "2 entries found, 4 wanted"),
        ({"depths": None}, "depths"),
        ({"patch_size": [4, 4, 4]}, "3 entries found, 2 wanted"),
        ({"strides": [[2, 2]] * 4}, "4 entries found, 3 wanted"),
        ({"d_conv": 4}, "an odd size wanted"),
        ({"drop_path_rate": 1.0}, "below 1 wanted"),
        ({"d_state": 0}, "d_state"),
        ({"ssm_ratio": 2.0}, "option 'ssm_ratio' is not supported"),
    ],
)
def test_plans_of_networks_that_cannot_be(changes, message):
    with pytest.raises(ModelError, match=message):
        build_network(mamba_unet_plans([64, 64], **(FULL | changes)), "net", DATASET)


def test_deep_supervision_is_refused_and_switching_it_off_is_not(reference):
    network = reference.build()
    network.deep_supervision = False
    assert not network.deep_supervision
    with pytest.raises(ModelError, match="deep supervision must be off"):
        network.deep_supervision = True
    with pytest.raises(ModelError, match="deep supervision must be off"):
        build_network(mamba_unet_plans([64, 64], **FULL), "net", DATASET, deep_supervision=True)


def test_start_values_of_the_projections():
    torch.manual_seed(0)
    network = build_network(mamba_unet_plans([64, 64], **FULL), "net", DATASET)
    inner = network.mamba_unet
    assert inner.concat_back_dim[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not inner.concat_back_dim[1].bias.any()
    assert inner.layers[0].blocks[0].self_attention.in_proj.weight.std().item() == pytest.approx(
        0.02, rel=0.05
    )
    assert [block.drop_path.rate for stage in inner.layers for block in stage.blocks] == pytest.approx(
        np.linspace(0, 0.2, 8).tolist()
    )
    up = [[block.drop_path.rate for block in stage.blocks] for stage in list(inner.layers_up)[1:]]
    down = [[block.drop_path.rate for block in stage.blocks] for stage in inner.layers]
    assert up == down[-2::-1]


def test_sizes_are_read_off_the_shapes():
    wanted = MambaUNetSizes(
        dims=(6, 12, 24),
        depths=(1, 3, 2),
        patch_size=(2, 2),
        strides=((2, 2), (2, 2)),
        dt_ranks=(3, 2, 5),
        d_state=5,
        expand=3,
        d_conv=5,
        embed_channels=4,
        patch_norm=False,
    )
    network = MambaUNet(4, 7, **arguments_of(wanted))
    found = read_sizes({key: tuple(t.shape) for key, t in network.state_dict().items()})
    assert (found.sizes, found.classes) == (wanted, 7)


def test_weights_load_under_wrappers_and_widened(reference):
    network = reference.build()
    wrapped = {f"module.{key}": value.double() for key, value in reference.weights.items()}
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    load_weights(network, wrapped)
    reference.agrees(network(reference.tensor("x")), "y")
    wrapped.pop(next(iter(wrapped)))
    with pytest.raises(ModelError, match=r"1 missing \('mamba_unet.patch_embed.proj.weight'\)"):
        load_weights(network, wrapped)
