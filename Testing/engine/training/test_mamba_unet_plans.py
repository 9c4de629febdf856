"""Plans for Mamba-UNet: sides that its tokens divide, widths that double, and the published training's."""

from pathlib import Path
from typing import Any

import pytest
import torch

from planning_builders import description_of, planned
from umamba import InputError
from umamba.nn import build_network
from umamba.plans import parse_plans
from umamba.training.planning.options import PlanOptions
from umamba.training.planning.presets import defaults, preset_of
from umamba.training.settings import Settings

pytest.importorskip("nnunetv2", reason="planning needs the extra `train`")

PAPER = "mamba-unet-paper"
# Pictures, and a heart in thick slices.
FLAT = {"spacing_after_transpose": [999, 1, 1], "labels": 4, "channels": 1, "numTraining": 100}
VOLUMES = FLAT | {"spacing_after_transpose": [8.0, 1.4, 1.4], "median_shape_after_resampling": [9, 256, 256]}


def flat(rows: int, columns: int, **changes: Any) -> dict[str, Any]:
    return FLAT | {"median_shape_after_resampling": [1, rows, columns]} | changes


def entry_of(folder: Path, fingerprint: dict[str, Any], configuration: str = "2d", **options: Any) -> Any:
    """The configuration, read back, and its network built."""
    preset = options.pop("preset", None)
    plans = planned(folder, fingerprint, "mamba-unet", PlanOptions(**options), preset)
    with torch.device("meta"):
        network = build_network(plans, configuration, description_of(fingerprint))
    entry = parse_plans(plans).configuration(configuration)
    assert entry.architecture.network_class == "MambaUNet"
    assert network.total_stride == entry.architecture.total_stride
    return entry


@pytest.mark.parametrize(
    ("shape", "patch"), [((36, 50), (64, 64)), ((224, 224), (224, 224)), ((250, 200), (256, 224))]
)
def test_flat_sides_are_the_next_multiples_of_32(tmp_path, shape, patch) -> None:
    entry = entry_of(tmp_path, flat(*shape))
    assert entry.patch_size == patch
    assert entry.architecture.features == (96, 192, 384, 768)
    assert entry.steps == "nnunet"


def test_larger_sides_make_a_smaller_batch(tmp_path) -> None:
    """By hand: nnU-Net plans 40 x 56 for 36 x 50 pixels; 64 x 64 are 1.83 times as many."""
    nnunet = planned(tmp_path / "nnunet", flat(36, 50, numTraining=10_000), "nnunet", PlanOptions())
    before = nnunet["configurations"]["2d"]
    assert before["patch_size"] == [40, 56]
    ours = entry_of(tmp_path / "ours", flat(36, 50, numTraining=10_000))
    assert ours.batch_size == before["batch_size"] * 40 * 56 // (64 * 64)


def test_width_and_batch_are_taken(tmp_path) -> None:
    entry = entry_of(tmp_path, flat(64, 64), base_features=24, batch_size=5)
    assert entry.architecture.features == (24, 48, 96, 192)
    assert entry.architecture.mamba_unet.dt_ranks == (2, 3, 6, 12)
    assert entry.batch_size == 5


def test_a_limit_of_the_width_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"--features 24-100: .* double at .*; give --features 24$"):
        entry_of(tmp_path, flat(64, 64), base_features=24, most_features=100)


def test_a_chosen_flat_patch_needs_none_of_nnunet_s_stages(tmp_path) -> None:
    """352 is a multiple of 32, but nnU-Net would halve it once more."""
    assert entry_of(tmp_path, flat(512, 512), patch_size=(352, 96)).patch_size == (352, 96)


@pytest.mark.parametrize("preset", [None, PAPER])
def test_a_flat_patch_that_does_not_fit_is_refused(tmp_path, preset) -> None:
    with pytest.raises(InputError, match=r"a patch of 100 x 96 does not fit .* multiples of 32 .* 128 x 96$"):
        entry_of(tmp_path, flat(512, 512), patch_size=(100, 96), preset=preset)


def test_tokens_of_thick_slices_are_flat(tmp_path) -> None:
    """By hand: 8 mm joins when the others reach 5.6 mm, after two steps, which are the token."""
    entry = entry_of(tmp_path, VOLUMES, "3d_fullres")
    sizes = entry.architecture.mamba_unet
    assert sizes.patch_size == (1, 4, 4)
    assert sizes.strides[0] == (2, 2, 2)
    assert sizes.dims[:2] == (48, 96)


def test_volumes_that_are_too_small_are_planned_in_2d_alone(tmp_path) -> None:
    """By hand: 10 x 14 x 12 voxels are halved once, which makes a token and no merge."""
    small = {"spacing_after_transpose": [1, 1, 1], "median_shape_after_resampling": [10, 14, 12]}
    plans = planned(tmp_path, FLAT | small, "mamba-unet", PlanOptions())
    assert list(plans["configurations"]) == ["2d"]
    assert plans["configurations"]["2d"]["patch_size"] == [32, 32]


def test_the_published_training_is_planned_whatever_the_images(tmp_path) -> None:
    entry = entry_of(tmp_path, VOLUMES, preset=PAPER)
    assert (entry.patch_size, entry.batch_size, entry.steps) == ((224, 224), 24, "acdc")
    assert entry.architecture.features == (96, 192, 384, 768)
    plans = planned(tmp_path / "again", VOLUMES, "mamba-unet", PlanOptions(), PAPER)
    assert list(plans["configurations"]) == ["2d"]
    assert plans["plans_name"] == "MambaUNetPaperPlans"


@pytest.mark.parametrize(("channels", "planned_for"), [(3, True), (2, False), (4, False)])
def test_the_published_training_takes_one_channel_or_three(tmp_path, channels, planned_for) -> None:
    if planned_for:
        assert entry_of(tmp_path, flat(64, 64, channels=channels), preset=PAPER).patch_size == (224, 224)
        return
    with pytest.raises(InputError, match=f"one channel or of three, these have {channels}; leave --preset"):
        entry_of(tmp_path, flat(64, 64, channels=channels), preset=PAPER)


def test_nnunet_s_pipeline_takes_any_channels(tmp_path) -> None:
    assert entry_of(tmp_path, flat(64, 64, channels=2)).patch_size == (64, 64)


def test_settings_that_go_with_a_preset() -> None:
    settings = Settings(**defaults({"preset": PAPER}), preset=PAPER)
    assert (settings.network, settings.configuration) == ("mamba-unet", "2d")
    assert settings.epochs * settings.steps == 10_000
    assert (settings.steps, settings.precision) == (200, "float32")
    assert str(settings) == "mamba-unet-paper 2d fold 0"
    assert defaults({"network": "mamba-unet"}) == {"configuration": "2d"}
    assert defaults({"network": "nnunet"}) == {"configuration": "3d_fullres"}
    assert defaults({}) == {}


@pytest.mark.parametrize(
    ("option", "value"),
    [("network", "nnunet"), ("configuration", "3d_fullres"), ("configuration", "3d_lowres")],
)
def test_a_preset_of_something_else_is_refused(option, value) -> None:
    with pytest.raises(InputError, match=f"--preset {PAPER} is a training of .* --{option} {value} found; "):
        defaults({"preset": PAPER, option: value})


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="the preset 'paper' is not known; mamba-unet-paper is"):
        preset_of("paper")
