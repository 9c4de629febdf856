"""Bare state dicts of Mamba-UNet become models; what is something else is said to be that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mamba_unet_results import write_results
from umamba import models
from umamba.cli.main import main
from umamba.errors import InputError, ModelError
from umamba.models.mamba_unet_bare import load_state_dict
from umamba.nn import MambaUNet
from umamba.nn.mamba_unet_pretrained import Report, load_vmamba

State = dict[str, Tensor]
LABELS = ("Right ventricle", "Myocardium", "Left ventricle")
PUBLISHED = {"dims": [96, 192, 384, 768], "depths": [2, 2, 2, 2], "patch_size": [4, 4]}
SMALL = {"dims": [4, 8], "depths": [1, 1], "patch_size": [2, 2], "d_state": 3}


@pytest.fixture
def file(oracle) -> Path:
    """A checkpoint in the form in which the published training saves it."""
    return oracle / "mambaunet_acdc_pipeline" / "mambaunet_best_model.pth"


@pytest.fixture
def state(file) -> State:
    return load_state_dict(file)


def saved(folder: Path, content: Any, name: str = "weights.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def test_a_published_checkpoint_becomes_a_model(file, state):
    report = models.import_results(file, labels=LABELS)
    assert (report.id, report.network, report.origin) == (
        "mambaunet-best-model-2d",
        "MambaUNet",
        "mamba-unet",
    )
    assert report.stored
    card = models.find(report.id).card
    assert [(label.value, label.key, label.name) for label in card.labels] == [
        (1, "right_ventricle", LABELS[0]),
        (2, "myocardium", LABELS[1]),
        (3, "left_ventricle", LABELS[2]),
    ]
    assert (card.network.class_, card.network.generation, card.mirror) == ("MambaUNet", None, False)
    assert len(card.channels) == 1
    assert set(card.training) == {"recipe"}  # the file does not say what it was trained on
    models.verify(report.id)
    loaded = models.load_network(report.id).state_dict()
    assert list(loaded) == list(state)
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    sizes = models.get(report.id).configuration.architecture.mamba_unet
    assert (sizes.dims, sizes.depths, sizes.d_state) == ((8, 16, 32, 64), (2, 2, 2, 2), 16)


def test_size_and_names_by_default_and_by_choice(file):
    card = models.inspect_results(file).card
    assert [(label.key, label.name) for label in card.labels] == [
        (f"label_{value}", f"label {value}") for value in (1, 2, 3)
    ]
    assert models.get(file).configuration.patch_size == (224, 224)
    models.import_results(file, id="larger", image_size=256)
    assert models.get("larger").configuration.patch_size == (256, 256)
    assert models.get("larger").configuration.steps == "acdc"


@pytest.mark.parametrize("prefix", ["mamba_unet.", "module.mamba_unet.", "", "module.swin_unet."])
@pytest.mark.parametrize("entry", [None, "model"])
def test_forms_in_which_the_same_weights_come(tmp_path, state, prefix, entry):
    renamed = {prefix + key.removeprefix("mamba_unet."): tensor for key, tensor in state.items()}
    path = saved(tmp_path, renamed if entry is None else {entry: renamed, "epoch": 3})
    loaded = models.load_network(path).state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def without(fragment: str) -> Callable[[State], State]:
    return lambda state: {key: tensor for key, tensor in state.items() if fragment not in key}


def replaced(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: state | {f"mamba_unet.{name}": change(state[f"mamba_unet.{name}"])}


def only(**tensors: Tensor) -> Callable[[State], dict[str, Tensor]]:
    return lambda _: {key.replace("__", "."): tensor for key, tensor in tensors.items()}


def vmamba(_: State) -> dict[str, State]:
    """A classifier: an encoder and a head, under the entry "model"."""
    network = MambaUNet(3, 2, **PUBLISHED | {"dims": [8, 16, 32, 64]})
    encoder = {
        key: t for key, t in network.mamba_unet.state_dict().items() if key.startswith(("layers.", "patch"))
    }
    return {"model": encoder | {"head.weight": torch.ones(10, 64)}}


def swin_unet(state: State) -> State:
    """The same outline with attention in the blocks, and a table of whole numbers."""
    outline = {key.replace("mamba_", "swin_"): t for key, t in state.items() if "self_attention" not in key}
    block = "swin_unet.layers.0.blocks.0.attn."
    return {block + "relative_position_index": torch.arange(4), block + "qkv.weight": W} | outline


W = torch.ones(4, 4)
OTHERS = {
    "Swin-UNet": (swin_unet, "look like a Swin-UNet"),
    "VMamba classifier": (vmamba, "look like a VMamba classifier, from which a training may start"),
    "later VMamba": (only(layers__0__blocks__0__op__A_logs=W), "VMamba of a later generation"),
    "U-Mamba": (
        only(encoder__stages__0__0__conv1__weight=W, mamba_layer__mamba__A_log=W),
        "look like a U-Mamba",
    ),
    "nnU-Net": (only(encoder__stages__0__0__convs__0__conv__weight=W), "look like nnU-Net's U-Net"),
    "U-Net": (
        only(encoder__in_conv__conv_conv__0__weight=W, encoder__in_conv__num_batches_tracked=torch.tensor(3)),
        "look like a U-Net of convolutions",
    ),
    "anything": (only(fc__weight=W), "no network that is known here .first key: 'fc.weight'"),
}
DAMAGED = {
    "a block of the encoder": (
        without("layers.1.blocks.1."),
        r"decoder of \[2, 2, 2\] blocks .* \[2, 1, 2\]",
    ),
    "a stage": (without("layers.3."), "decoder of"),
    "a tensor": (
        without("layers.2.blocks.0.self_attention.Ds"),
        "1 tensors missing .mamba_unet.layers.2.blocks.0",
    ),
    "the output": (without("output.weight"), "output.weight is missing"),
    "the skips": (without("concat_back_dim"), "6 tensors missing"),
    "a wide stage": (
        replaced("layers.1.blocks.0.ln_1.weight", lambda t: torch.ones(20)),
        r"dims \[8, 20, 32, 64\] found, each must be twice",
    ),
    "one wrong shape": (
        replaced("layers.1.blocks.1.self_attention.A_logs", lambda t: t[:, :8].clone()),
        "1 tensors of a wrong shape",
    ),
    "the embedding": (without("patch_embed.proj.weight"), r"patch_embed\.proj\.weight is missing"),
    "what a profiler left": (
        lambda state: {"total_ops": torch.zeros(1), "total_params": torch.zeros(1)} | state,
        r"a Mamba-UNet's but for 2 of their \d+ entries \('total_ops' first\)",
    ),
    "an unknown tensor": (lambda state: state | {"mamba_unet.extra": W}, "1 tensors unknown"),
    "tokens of two pixels": (
        replaced("patch_embed.proj.weight", lambda t: t[..., :2, :2].clone()),
        "embed 2 x 2 pixels in a token and make 16 of one",
    ),
    "one class": (replaced("output.weight", lambda t: t[:1].clone()), "have one class"),
    "axes": (
        replaced("patch_embed.proj.weight", lambda t: t[..., None].clone()),
        "has 5 axes, 4 wanted",
    ),
    "not a number": (
        replaced("norm.weight", lambda t: t * float("nan")),
        "hold NaN or infinity",
    ),
    "whole numbers": (replaced("norm.weight", lambda t: t.long()), "floating-point numbers are wanted"),
}


@pytest.mark.parametrize("what", [*OTHERS, *DAMAGED])
def test_what_is_no_mamba_unet_is_said_in_one_line_and_leaves_nothing(tmp_path, home, state, what):
    change, message = (OTHERS | DAMAGED)[what]
    path = saved(tmp_path, change(state))
    with pytest.raises(ModelError, match=message) as caught:
        models.import_results(path)
    assert str(caught.value).startswith("weights.pth: ")
    assert "\n" not in str(caught.value)
    assert not [entry for entry in (home / "models").glob("*") if (home / "models").is_dir()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["heart"]}, "1 names found, the model has 3"),
        ({"labels": ["a", "A", "b"]}, "each needs a name of its own"),
        ({"labels": ["a", "background", "b"]}, "each needs a name of its own"),
        ({"labels": ["a", " ", "b"]}, "each needs a name of its own"),
        ({"image_size": 230}, "230 found, a multiple of 32 up to 4096 wanted"),
        ({"labels": ["a=3", "b=2", "c=1"]}, "'a=3' found; give the names alone"),
        ({"image_size": 0}, "0 found, a multiple of 32"),
        ({"image_size": -32}, "-32 found"),
        ({"image_size": 8192}, "8192 found"),
    ],
)
def test_options_that_do_not_fit(file, options, message):
    with pytest.raises(InputError, match=message):
        models.import_results(file, **options)


def test_options_of_a_bare_state_dict_for_another_model(results_804):
    with pytest.raises(InputError, match="labels and image_size are for bare state dicts"):
        models.import_results(results_804, image_size=224)


@pytest.mark.parametrize("axes", [2, 3])
def test_results_of_our_own_training(tmp_path, axes):
    sizes = {"dims": [4, 8], "depths": [1, 1], "patch_size": [2] * axes, "d_state": 3}
    network = MambaUNet(1, 3, **sizes)
    report = models.import_results(write_results(tmp_path, network, sizes, [8] * axes))
    assert (report.network, report.generation, report.origin) == ("MambaUNet", None, "umamba")
    assert models.get(report.id).configuration.steps == "nnunet"
    loaded = models.load_network(report.id).state_dict()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in network.state_dict().items())


# Start values from a VMamba checkpoint.


@pytest.fixture(scope="module")
def vmamba_reference(oracle) -> dict[str, Any]:
    return json.loads((oracle / "mambaunet_load_from.json").read_text())


@pytest.fixture(scope="module")
def numbered(vmamba_reference) -> State:
    """The stand-in checkpoint: every tensor holds its own number."""
    shapes = vmamba_reference["checkpoint"]["keys"]
    return {key: torch.full(shape, float(number)) for number, (key, shape) in enumerate(shapes.items(), 1)}


def test_start_values_from_vmamba_and_the_report(tmp_path, vmamba_reference, numbered):
    path = saved(tmp_path, {"model": numbered})
    network = MambaUNet(1, 4, **PUBLISHED)
    before = {key: tensor.clone() for key, tensor in network.mamba_unet.state_dict().items()}
    report = load_vmamba(network, load_state_dict(path))
    assert report.taken == vmamba_reference["target_from_source"]
    assert set(report.missing) == set(vmamba_reference["target_not_loaded"])
    assert set(report.unused) == set(vmamba_reference["source_not_used"])
    counts = vmamba_reference["counts"]
    assert (len(report.taken), report.taken_parameters) == (
        counts["loaded_tensors"],
        counts["loaded_parameters"],
    )
    assert (report.parameters, report.misfits) == (counts["all_parameters"], {})
    for key, tensor in network.mamba_unet.state_dict().items():
        assert torch.equal(tensor, numbered[report.taken[key]] if key in report.taken else before[key]), key
    lines = report.lines()
    assert lines[0].startswith("start values: 197 of 218 tensors (17,036,064 of 19,121,664 parameters)")
    assert "layers.2.blocks.8, head)" in lines[2]


def test_start_values_for_the_deeper_network(vmamba_reference, numbered):
    network = MambaUNet(1, 4, **PUBLISHED | {"depths": [2, 2, 9, 2]})
    report = load_vmamba(network, numbered)
    wanted = vmamba_reference["with_depths_2_2_9_2"]
    assert (len(report.taken), report.parameters) == (wanted["loaded"], wanted["parameters"])
    assert set(report.unused) == set(wanted["source_not_used"])


def test_tensors_of_another_shape_are_named(vmamba_reference, numbered):
    changed = {
        key: tensor[..., :1] if key.endswith("A_logs") else tensor[:, :8] if "x_proj" in key else tensor
        for key, tensor in numbered.items()
    }
    report = load_vmamba(MambaUNet(1, 4, **PUBLISHED), changed)
    assert set(report.misfits) == set(vmamba_reference["mismatch_behaviour"]["dropped"])
    assert any(line.startswith("of another shape there: 28 (") for line in report.lines())


@pytest.mark.parametrize("prefix", ["", "mamba_unet.", "module.mamba_unet.", "module.swin_unet."])
def test_start_values_from_another_mamba_unet(prefix):
    """The published code takes one prefix of 17 characters, and of its own files nothing, in silence."""
    donor, network = MambaUNet(1, 4, **SMALL), MambaUNet(1, 3, **SMALL)
    state = {prefix + key: tensor for key, tensor in donor.mamba_unet.state_dict().items()}
    report = load_vmamba(network, state)
    assert report.missing == ("output.weight",)
    assert report.unused == ("output.weight",)
    assert len(report.taken) == len(state) - 1


def test_start_values_on_a_network_of_other_sizes_or_of_volumes_take_what_fits(numbered):
    volumes = MambaUNet(1, 2, dims=[96, 192], depths=[1, 1], patch_size=[2, 4, 4])
    report = load_vmamba(volumes, numbered)
    assert "layers.0.blocks.0.self_attention.in_proj.weight" in report.taken
    assert "layers.0.blocks.0.self_attention.x_proj_weight" in report.misfits
    assert isinstance(report, Report)


@pytest.mark.parametrize("what", ["later VMamba", "U-Mamba", "nnU-Net", "anything"])
def test_start_values_from_something_else(what):
    change, _ = OTHERS[what]
    with pytest.raises(ModelError, match="a VMamba classifier of the first generation is wanted"):
        load_vmamba(MambaUNet(1, 4, **SMALL), change({}))


def test_a_file_without_a_state_dict(tmp_path):
    with pytest.raises(ModelError, match="holds no state dict"):
        load_state_dict(saved(tmp_path, {"epoch": 3}))


# The same from the command line.


def test_the_command_line_takes_names_and_size(file, capsys):
    words = [
        "models",
        "import",
        str(file),
        "--id",
        "heart",
        "--labels",
        ",".join(LABELS),
        "--image-size",
        "256",
    ]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.split() == ["heart"]
    assert "256 x 256 pixels" in said.err
    assert main(["models", "show", "heart"]) == 0
    assert "right_ventricle: Right ventricle" in capsys.readouterr().out


def test_the_command_line_refuses_in_one_line(file, tmp_path, capsys):
    change, message = OTHERS["Swin-UNet"]
    for words in (
        ["models", "import", str(saved(tmp_path, change(load_state_dict(file))))],
        ["models", "import", str(file), "--labels", "a,b"],
    ):
        assert main(words) == 2
        said = capsys.readouterr()
        assert not said.out
        assert len(said.err.splitlines()) == 1
        assert message in said.err or "2 names found" in said.err
