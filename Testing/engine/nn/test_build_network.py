"""From plans to networks: both formats, every class, published sizes, cascade, and plans that are wrong."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from umamba import nn
from umamba.errors import ModelError
from umamba.plans import parse_dataset, parse_plans

ABDOMEN_3D = {
    "patch_size": [40, 224, 192],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]],
    "conv_kernel_sizes": [[1, 3, 3], *[[3, 3, 3]] * 5],
    "unet_max_num_features": 320,
}


def planar(patch: list[int], stages: int) -> dict:
    return {
        "patch_size": patch,
        "pool_op_kernel_sizes": [[1, 1], *[[2, 2]] * (stages - 1)],
        "conv_kernel_sizes": [[3, 3]] * stages,
        "unet_max_num_features": 512,
    }


def old_plans(entry: dict, base: int = 32, **more) -> dict:
    """plans.json as U-Mamba's fork writes it, with one configuration "net"."""
    stages, axes = len(entry["pool_op_kernel_sizes"]), len(entry["patch_size"])
    configuration = {
        "spacing": [1.0] * axes,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "batch_size": 2,
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": base,
        "n_conv_per_stage_encoder": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        **entry,
        **more,
    }
    return {
        "dataset_name": "Dataset001_Test",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"net": configuration},
    }


def new_plans(class_path: str, *, axes: int = 3, blocks_key: str = "n_conv_per_stage", **more) -> dict:
    """plans.json as nnunetv2 2.8.1 writes it, a small network."""
    plans = old_plans({"patch_size": [16] * axes, "pool_op_kernel_sizes": [], "conv_kernel_sizes": []})
    plans["configurations"]["net"]["architecture"] = {
        "network_class_name": class_path,
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": [8, 12, 16],
            "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
            "kernel_sizes": [[3] * axes] * 3,
            "strides": [[1] * axes, [2] * axes, [2] * axes],
            blocks_key: [2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
            **more,
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    return plans


def dataset(channels: int = 1, classes: int = 3) -> dict:
    return {
        "channel_names": {str(i): f"channel {i}" for i in range(channels)},
        "labels": {"background": 0} | {f"label {i}": i for i in range(1, classes)},
        "file_ending": ".nii.gz",
    }


PUBLISHED_COUNTS = [
    # plans, input channels, classes, and the parameters of Bot and Enc, current and legacy (facts: section 4)
    pytest.param(ABDOMEN_3D, 1, 14, (41_945_158, 42_842_798, 57_832_166, 59_105_766), id="abdomen 3D"),
    pytest.param(
        planar([320, 320], 7), 1, 14, (47_533_012, 47_015_538, 63_344_180, 67_333_428), id="abdomen 2D"
    ),
    pytest.param(
        planar([384, 640], 7), 3, 8, (47_524_592, 47_680_592, 63_335_696, 67_324_944), id="endoscopy"
    ),
    pytest.param(
        planar([512, 512], 8), 3, 3, (64_797_301, 64_014_261, 86_150_037, 91_835_029), id="microscopy"
    ),
]


@pytest.mark.parametrize(("entry", "channels", "classes", "counts"), PUBLISHED_COUNTS)
def test_published_parameter_counts(entry, channels, classes, counts):
    kinds = [
        (network, generation)
        for generation in ("current", "legacy")
        for network in ("UMambaBot", "UMambaEnc")
    ]
    with torch.device("meta"):
        built = [
            nn.build_network(
                old_plans(entry), "net", dataset(channels, classes), network=network, generation=generation
            )
            for network, generation in kinds
        ]
    assert tuple(sum(p.numel() for p in network.parameters()) for network in built) == counts


@pytest.mark.parametrize(
    ("stages", "encoder", "decoder"),
    [
        (4, (2, 2, 1, 1), (2, 2, 1)),
        (5, (2, 2, 2, 1, 1), (2, 2, 2, 1)),
        (6, (2, 2, 2, 1, 1, 1), (2, 2, 2, 1, 1)),
        (7, (2, 2, 2, 2, 1, 1, 1), (2, 2, 2, 2, 1, 1)),
        (8, (2, 2, 2, 2, 1, 1, 1, 1), (2, 2, 2, 2, 1, 1, 1)),
    ],
)
def test_block_counts_of_the_current_generation(stages, encoder, decoder):
    plans = old_plans(planar([256, 256], stages), base=8, unet_max_num_features=8)
    untouched = copy.deepcopy(plans)
    with torch.device("meta"):
        network = nn.build_network(plans, "net", dataset(), network="UMambaBot")
    assert tuple(len(stage) for stage in network.encoder.stages) == encoder
    assert tuple(len(stage) for stage in network.decoder.stages) == decoder
    assert plans == untouched


def test_channel_tokens_begin_where_voxels_equal_features():
    """Maps of 16 x 16, 8 x 8, 4 x 4 and 2 x 2 with 16 features: 16 voxels count as channel tokens already."""
    plans = old_plans(planar([16, 16], 4), base=16, unet_max_num_features=16)
    network = nn.build_network(plans, "net", dataset(), network="UMambaEnc")
    layers = network.encoder.mamba_layers
    assert [isinstance(layer, nn.MambaLayer) for layer in layers] == [False, True, False, True]
    assert (layers[1].channel_tokens, layers[3].channel_tokens) == (False, True)
    plans = old_plans(planar([16, 16], 3), base=16, unet_max_num_features=16)
    layers = nn.build_network(plans, "net", dataset(), network="UMambaEnc").encoder.mamba_layers
    assert (layers[0].channel_tokens, layers[2].channel_tokens) == (False, True)
    assert layers[2].mamba.features == 16


def test_the_last_skip_is_left_out_in_the_current_2d_network_only():
    def first_inputs(axes: int, generation: str) -> int:
        plans = old_plans(
            {
                "patch_size": [16] * axes,
                "pool_op_kernel_sizes": [[1] * axes, *[[2] * axes] * 2],
                "conv_kernel_sizes": [[3] * axes] * 3,
                "unet_max_num_features": 32,
            },
            base=8,
        )
        network = nn.build_network(plans, "net", dataset(), network="UMambaBot", generation=generation)
        block = next(iter(network.decoder.stages[-1]))
        return (block.conv1 if generation == "current" else block.conv1.conv).in_channels

    assert {(a, g): first_inputs(a, g) for a in (2, 3) for g in ("current", "legacy")} == {
        (2, "current"): 8,
        (3, "current"): 16,
        (2, "legacy"): 16,
        (3, "legacy"): 16,
    }


@pytest.mark.parametrize(
    ("class_path", "blocks_key", "expected"),
    [
        ("umamba.nn.UMambaBot", "n_conv_per_stage", nn.UMambaBot),
        ("umamba.nn.UMambaEnc", "n_conv_per_stage", nn.UMambaEnc),
        (
            "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "n_conv_per_stage",
            nn.PlainConvUNet,
        ),
        (
            "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
            "n_blocks_per_stage",
            nn.ResidualEncoderUNet,
        ),
    ],
)
@pytest.mark.parametrize("axes", [2, 3])
def test_the_class_that_new_plans_name(class_path, blocks_key, expected, axes):
    network = nn.build_network(new_plans(class_path, axes=axes, blocks_key=blocks_key), "net", dataset())
    assert type(network) is expected
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 1, *[16] * axes)).shape == (1, 3, *[16] * axes)


def test_new_plans_may_say_the_generation_themselves():
    plans = new_plans("umamba.nn.UMambaBot", generation="legacy")
    assert nn.build_network(plans, "net", dataset()).generation == "legacy"
    assert nn.build_network(plans, "net", dataset(), network="UMambaBot").generation == "current"
    plans = new_plans("umamba.nn.UMambaBot")
    assert nn.build_network(plans, "net", dataset(), generation="legacy").generation == "legacy"


def test_nnunets_own_builder_makes_the_same_network():
    """nnU-Net's trainer finds our classes by their path and hands the plans' arguments over."""
    get_network = pytest.importorskip("nnunetv2.utilities.get_network_from_plans").get_network_from_plans
    for name, more in (
        ("UMambaBot", {}),
        ("UMambaBot", {"generation": "legacy"}),
        ("UMambaEnc", {"patch_size": [16, 16, 16]}),
    ):
        plans = new_plans(f"umamba.nn.{name}", **more)
        entry = plans["configurations"]["net"]["architecture"]
        theirs = get_network(
            entry["network_class_name"],
            entry["arch_kwargs"],
            entry["_kw_requires_import"],
            2,
            3,
            deep_supervision=True,
        )
        ours = nn.build_network(plans, "net", dataset(2))
        assert type(theirs) is type(ours)
        shapes = [{k: v.shape for k, v in network.state_dict().items()} for network in (ours, theirs)]
        assert shapes[0] == shapes[1]
        assert theirs.decoder.deep_supervision


def test_typed_objects_and_dicts_are_the_same():
    plans, labels = new_plans("umamba.nn.UMambaBot"), dataset()
    torch.manual_seed(0)
    first = nn.build_network(plans, "net", labels)
    torch.manual_seed(0)
    second = nn.build_network(parse_plans(plans), "net", parse_dataset(labels))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_cascade_takes_one_more_channel_for_every_foreground_label():
    plans = old_plans(planar([32, 32], 3), base=4, previous_stage="low")
    network = nn.build_network(plans, "net", dataset(channels=2, classes=5), network="UMambaBot")
    assert network.encoder.stem[0].conv1.in_channels == 2 + 4


def test_regions_have_a_head_each_and_the_ignore_label_none():
    labels = dataset() | {
        "labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3},
        "regions_class_order": [1, 2],
    }
    plans = old_plans(planar([32, 32], 3), base=4)
    assert nn.build_network(plans, "net", labels).decoder.seg_layers[0].out_channels == 2


def test_start_values():
    torch.manual_seed(0)
    plans = old_plans(planar([64, 64], 3), base=32)
    network = nn.build_network(plans, "net", dataset(), network="UMambaEnc", generation="legacy")
    block = network.encoder.stages[1].blocks[0]
    # Kaiming's normal start for LeakyReLU 0.01 over 64 channels and 9 taps.
    deviation = math.sqrt(2 / (1 + 0.01**2) / (64 * 9))
    assert block.conv2.conv.weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert not block.conv2.conv.bias.any()
    assert not block.conv2.norm.weight.any()
    assert block.conv1.norm.weight.all()
    bot = nn.build_network(plans, "net", dataset(), network="UMambaBot", generation="legacy")
    assert bot.encoder.stages[1].blocks[0].conv2.norm.weight.all()
    residual = nn.build_network(plans, "net", dataset(), network="ResidualEncoderUNet")
    assert not residual.encoder.stages[1].blocks[0].conv2.norm.weight.any()


@pytest.mark.parametrize("name", ["MambaUnet", "os.system", "umamba.nn.UMambaBot", "torch.nn.Linear"])
def test_classes_that_cannot_be_asked_for(name):
    with pytest.raises(ModelError, match="cannot be built here"):
        nn.build_network(old_plans(planar([32, 32], 3)), "net", dataset(), network=name)


@pytest.mark.parametrize("key", ["network_class_name", "conv_op", "norm_op", "nonlin", "dropout_op"])
def test_nothing_is_imported_by_name(key, tmp_path, monkeypatch):
    """A module that would betray its import lies on the path, and the plans name it."""
    witness = tmp_path / "WITNESS"
    (tmp_path / "betrayer.py").write_text(f"open({str(witness)!r}, 'w').close()\nclass Conv3d: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    plans = new_plans("umamba.nn.UMambaBot")
    entry = plans["configurations"]["net"]["architecture"]
    (entry if key == "network_class_name" else entry["arch_kwargs"])[key] = "betrayer.Conv3d"
    with pytest.raises(ModelError, match="betrayer"):
        nn.build_network(plans, "net", dataset())
    assert not witness.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_sizes": [[3, 3, 3]] * 2}, "kernel_sizes"),
        ({"kernel_sizes": [[2, 2, 2]] * 3}, "odd sizes"),
        ({"strides": [[2, 2, 2]] * 3}, "first stage must keep the size"),
        (
            {
                "n_stages": 1,
                "features_per_stage": [8],
                "kernel_sizes": [3],
                "strides": [1],
                "n_conv_per_stage": [1],
                "n_conv_per_stage_decoder": [],
            },
            "n_stages is 1; at least 2",
        ),
        ({"n_conv_per_stage_decoder": [2, 2, 2]}, "n_conv_per_stage_decoder"),
        ({"features_per_stage": [8, 12, 0]}, "features_per_stage"),
        ({"generation": "future"}, "generation"),
        ({"squeeze_excitation": True}, "option 'squeeze_excitation' is not supported"),
        ({"norm_op_kwargs": {"affine": True, "track_running_stats": True}}, "'track_running_stats'"),
        ({"nonlin_kwargs": {"negative_slop": 0.1}}, "'negative_slop'"),
        ({"features_per_stage": [8192] * 3, "kernel_sizes": [31] * 3}, "beyond any real model"),
    ],
)
def test_plans_of_networks_that_cannot_be(change, message):
    with pytest.raises(ModelError, match=message):
        nn.build_network(new_plans("umamba.nn.UMambaBot", **change), "net", dataset())


def test_an_unknown_configuration_and_generation():
    plans = old_plans(planar([32, 32], 3))
    with pytest.raises(ModelError, match="no configuration 'other'"):
        nn.build_network(plans, "other", dataset())
    with pytest.raises(ModelError, match="generation 'newest' is not known"):
        nn.build_network(plans, "net", dataset(), network="UMambaBot", generation="newest")


ARGUMENTS = {
    "n_stages": 2,
    "features_per_stage": 4,
    "conv_op": torch.nn.Conv2d,
    "kernel_sizes": 3,
    "strides": [1, 2],
    "n_conv_per_stage": 1,
    "n_conv_per_stage_decoder": 1,
    "norm_op": torch.nn.InstanceNorm2d,
    "norm_op_kwargs": {"affine": True},
    "nonlin": torch.nn.LeakyReLU,
}


@pytest.mark.parametrize("network", [nn.UMambaBot, nn.PlainConvUNet, nn.ResidualEncoderUNet])
def test_single_numbers_stand_for_all_stages(network):
    built = network(1, 2, **ARGUMENTS)
    assert built(torch.zeros(1, 1, 6, 8)).shape == (1, 2, 6, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_op": torch.nn.Conv1d}, "Conv2d or torch.nn.Conv3d wanted"),
        ({"norm_op": torch.nn.BatchNorm2d}, "InstanceNorm2d wanted"),
        ({"norm_op": torch.nn.InstanceNorm3d}, "InstanceNorm2d wanted"),
        ({"nonlin": torch.nn.ReLU}, "LeakyReLU wanted"),
        ({"dropout_op": torch.nn.Dropout2d}, "dropout"),
        ({"squeeze": True}, "no argument 'squeeze'"),
        ({"strides": [1, 2, 2]}, "strides has 3 entries; 2 wanted"),
    ],
)
def test_constructors_refuse_what_they_do_not_know(change, message):
    with pytest.raises(ModelError, match=message):
        nn.PlainConvUNet(1, 2, **{**ARGUMENTS, **change})


def test_constructors_name_the_argument_that_is_missing():
    for key in ("conv_op", "n_conv_per_stage", "strides"):
        with pytest.raises(ModelError, match=f"needs the argument '{key}'"):
            nn.PlainConvUNet(1, 2, **{k: v for k, v in ARGUMENTS.items() if k != key})


def test_enc_needs_its_patch_size():
    with pytest.raises(ModelError, match="needs patch_size, 2 sizes"):
        nn.UMambaEnc(1, 2, **ARGUMENTS)
    assert nn.UMambaEnc(1, 2, generation="legacy", **ARGUMENTS).generation == "legacy"
