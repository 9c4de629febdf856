"""Trainings of Mamba-UNet on tiny volumes: in nnU-Net's pipeline, as published, from other weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import umamba
import umamba.models
from dataset_builders import nnunet_dataset, picture_folder
from umamba import InputError
from umamba.models.package import package
from umamba.nn import MambaUNet
from umamba.training import Schedule, TrainingFolders
from umamba.training.dataset.raw import open_dataset
from umamba.training.planning.options import PlanOptions
from umamba.training.prepare import Prepared, prepare
from umamba.training.pretrained import check_given
from umamba.training.run import train
from umamba.training.validation import validate

pytest.importorskip("nnunetv2", reason="training needs the extra `train`")

PAPER = "mamba-unet-paper"
CASES = ("a", "b", "c")
SHAPE = (3, 30, 34)
NARROW = PlanOptions(batch_size=4, base_features=8, patch_size=(32, 32))
SCHEDULE = Schedule(epochs=2, steps=2, validation_steps=1, seed=5, precision="float32")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Sums in the same order whatever the computer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Work:
    """A prepared dataset, copied for every training."""

    def __init__(
        self, root: Path, source: Path, configuration: str, options: PlanOptions, preset: str | None
    ):
        self.folders, self.preset = TrainingFolders(root), preset
        self.prepared: Prepared = prepare(
            open_dataset(source), self.folders, "mamba-unet", configuration, options=options, preset=preset
        )

    def train(self, root: Path, schedule: Schedule = SCHEDULE, **options: Any) -> Path:
        if not root.exists():
            shutil.copytree(self.folders.root, root)
        names = (self.prepared.name, self.prepared.plans_name, self.prepared.configuration)
        return train(TrainingFolders(root), *names, schedule, preset=self.preset, **options)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return nnunet_dataset(
        tmp_path_factory.mktemp("source") / "Dataset007_Rings", CASES, shape=SHAPE, spacing=(1, 1, 5)
    )


@pytest.fixture(scope="module")
def usual(source, tmp_path_factory) -> Work:
    return Work(tmp_path_factory.mktemp("usual"), source, "2d", NARROW, None)


@pytest.fixture(scope="module")
def paper(source, tmp_path_factory) -> Work:
    return Work(tmp_path_factory.mktemp("paper"), source, "2d", NARROW, PAPER)


@pytest.fixture(scope="module")
def published(paper, tmp_path_factory) -> Path:
    """The final checkpoint of an uninterrupted training as published."""
    return paper.train(tmp_path_factory.mktemp("published") / "training")


def epochs_of(checkpoint: Path) -> list[dict[str, Any]]:
    return json.loads((checkpoint.parent / "progress.json").read_text())["epochs"]


def test_the_usual_pipeline_trains_validates_packages_and_segments(
    usual, source, tmp_path, checkpoint_of
) -> None:
    final = usual.train(tmp_path / "training", Schedule(epochs=1, steps=2, validation_steps=1))
    results = final.parents[1]
    groups = checkpoint_of(final)["optimizer_state"]["param_groups"]
    assert [(group["betas"], group["weight_decay"]) for group in groups] == [
        ((0.9, 0.999), 0.01),
        ((0.9, 0.999), 0.0),
    ]
    assert [epoch["learning_rate"] for epoch in epochs_of(final)] == [1e-3]
    assert results.name == "UMambaTrainer__MambaUNetPlans_b4_w8-_p32x32__2d"
    evaluation = validate(results, TrainingFolders(tmp_path / "training"), 0)
    assert len(evaluation.cases) == 1
    archive = tmp_path / "rings.zip"
    package(results, archive, fields={"id": "rings", "name": "Rings"})
    umamba.models.install(archive)
    model = umamba.models.get("rings")
    assert (model.card.network.class_, model.card.origin) == ("MambaUNet", "umamba")
    assert model.mirror_axes == (0, 1)
    result = umamba.segment(source / "imagesTr" / "a_0000.nii.gz", "rings", device="cpu")
    assert result.labels.shape == SHAPE


def test_a_training_with_another_optimiser_cannot_go_on(usual, tmp_path) -> None:
    root = tmp_path / "training"
    final = usual.train(root, Schedule(epochs=1, steps=1, validation_steps=1))
    content = torch.load(final, weights_only=False)
    content["optimizer_state"]["param_groups"] = content["optimizer_state"]["param_groups"][:1]
    torch.save(content, final.with_name("checkpoint_latest.pth"))
    final.unlink()
    with pytest.raises(InputError, match=r"checkpoint_latest\.pth is of a training with another optimiser"):
        usual.train(root, Schedule(epochs=1, steps=1, validation_steps=1))


def test_volumes_are_trained_too(source, tmp_path) -> None:
    deep = nnunet_dataset(tmp_path / "Dataset008_Deep", ("a", "b"), shape=(16, 16, 16), spacing=(1, 1, 1))
    work = Work(tmp_path / "work", deep, "3d_fullres", PlanOptions(batch_size=2, base_features=4), None)
    final = work.train(tmp_path / "training", Schedule(epochs=1, steps=1, validation_steps=1))
    model = umamba.models.get(final)
    assert model.configuration.architecture.mamba_unet.axes == 3
    assert umamba.segment(deep / "imagesTr" / "a_0000.nii.gz", model, device="cpu").labels.shape == (
        16,
        16,
        16,
    )


def test_the_published_training_leaves_a_model_of_the_published_pipeline(published, source) -> None:
    model = umamba.models.get(published)
    assert published.parents[1].name.startswith("UMambaTrainerMambaUNetPaper__MambaUNetPaperPlans")
    assert (model.configuration.steps, model.card.origin) == ("acdc", "umamba")
    assert model.mirror_axes == ()
    assert umamba.segment(source / "imagesTr" / "b_0000.nii.gz", model, device="cpu").labels.shape == SHAPE


def test_the_published_optimiser_is_in_the_checkpoint(published, checkpoint_of) -> None:
    (group,) = checkpoint_of(published)["optimizer_state"]["param_groups"]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, False, 1e-4)
    # The last of four steps has the rate of the third: half of the way is left.
    assert group["lr"] == pytest.approx(0.01 * 0.5**0.9)
    assert [epoch["learning_rate"] for epoch in epochs_of(published)] == pytest.approx(
        [0.01, 0.01 * 0.75**0.9]
    )


def test_validating_while_training_is_what_the_engine_finds_afterwards(published) -> None:
    folders = TrainingFolders(published.parents[4])
    evaluation = validate(published.parents[1], folders, 0)
    found = {name: figures["Dice"] for name, figures in evaluation.mean["labels"].items()}
    told = epochs_of(published)[-1]["dice"]
    # Where nothing was found the published figure is 0.
    assert {name: found[name] or 0.0 for name in told} == pytest.approx(told)


def test_the_best_epoch_is_kept(published, checkpoint_of) -> None:
    best = checkpoint_of(published.with_name("checkpoint_best.pth"))
    means = [epoch["mean_dice"] for epoch in epochs_of(published)]
    assert best["current_epoch"] == 1 + means.index(max(means))  # strictly better only
    assert best["_best_ema"] == pytest.approx(max(means))


@pytest.mark.parametrize("processes", [0, 1])
def test_a_stopped_published_training_ends_with_the_same_bits(
    paper, published, checkpoint_of, tmp_path, processes
) -> None:
    from umamba import Cancelled
    from umamba.events import Monitor

    seen: list[int] = []
    monitor = Monitor(lambda progress: seen.append(progress.done), lambda: len(seen) > 3)
    with pytest.raises(Cancelled):
        paper.train(tmp_path / "training", monitor=monitor, processes=processes)
    final = paper.train(tmp_path / "training", processes=processes)
    weights, wanted = (checkpoint_of(path)["network_weights"] for path in (final, published))
    assert all(torch.equal(weights[key], value) for key, value in wanted.items())


def test_pictures_of_three_channels_are_trained_as_published(tmp_path) -> None:
    pictures = picture_folder(tmp_path / "pictures", ("a", "b"))
    work = Work(tmp_path / "work", pictures, "2d", NARROW, PAPER)
    final = work.train(tmp_path / "training", Schedule(epochs=1, steps=1, precision="float32"))
    assert umamba.models.get(final).configuration.architecture.network_class == "MambaUNet"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"labels": {"background": 0, "core": 1, "ignore": 2}}, "an ignore label"),
        ({"labels": {"background": 0, "all": [1, 2], "rim": 2}, "regions_class_order": [1, 2]}, "regions"),
    ],
)
def test_labels_that_the_published_loss_cannot_take(tmp_path, changes, what) -> None:
    source = nnunet_dataset(
        tmp_path / "Dataset009_Other", ("a", "b"), shape=SHAPE, spacing=(1, 1, 5), **changes
    )
    with pytest.raises(
        InputError, match=f"the dataset has {what}, .* plain labels only; leave --preset away"
    ):
        Work(tmp_path / "work", source, "2d", NARROW, PAPER)


def test_a_published_training_is_not_shared_between_devices(paper, tmp_path) -> None:
    with pytest.raises(InputError, match=r"--preset mamba-unet-paper: .* 2 devices .* leave --devices away"):
        paper.train(tmp_path / "training", devices=2)


Saved = Callable[[MambaUNet, str], str]


@pytest.fixture
def saved(tmp_path) -> Saved:
    """Write a network's tensors as VMamba's checkpoints have them."""

    def write(network: MambaUNet, prefix: str) -> str:
        state = {key.removeprefix("mamba_unet."): tensor for key, tensor in network.state_dict().items()}
        path = tmp_path / "vmamba.pth"
        kept = {key: tensor for key, tensor in state.items() if key.startswith(("patch_embed", "layers."))}
        torch.save({"model": {prefix + key: tensor for key, tensor in kept.items()}}, path)
        return str(path)

    return write


def donor(width: int) -> MambaUNet:
    torch.manual_seed(1)
    dims = [width * 2**stage for stage in range(4)]
    return MambaUNet(3, 2, dims=dims, depths=[2, 2, 2, 2], patch_size=[4, 4])


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_training_begins_with_a_checkpoint_of_vmamba(usual, saved, tmp_path, checkpoint_of, prefix) -> None:
    path = saved(donor(8), prefix)
    check_given(path, "mamba-unet")
    schedule = Schedule(epochs=1, steps=1, validation_steps=1)
    final = usual.train(tmp_path / "training", schedule, pretrained=path)
    log = (final.parent / "training.log").read_text()
    assert "; start values: " in log
    assert "not in the checkpoint: " in log
    key = "mamba_unet.layers_up.3.blocks.0.self_attention.in_proj.weight"
    weights = checkpoint_of(final)["network_weights"][key]
    source = donor(8).state_dict()["mamba_unet.layers.0.blocks.0.self_attention.in_proj.weight"]
    # One step of AdamW away from where it began, and far from any other start (normal, 0.02).
    np.testing.assert_allclose(weights, source, atol=0.005)


def test_a_training_begins_with_another_of_its_kind(paper, published, tmp_path) -> None:
    final = paper.train(tmp_path / "training", Schedule(epochs=1, steps=1), pretrained=str(published))
    log = (final.parent / "training.log").read_text()
    assert "not in the checkpoint: 1 (output)" in log


def test_start_values_that_do_not_fit(usual, saved, tmp_path) -> None:
    from umamba.training.pretrained import check_pretrained

    home = usual.folders.preprocessed / usual.prepared.name
    plans = json.loads((home / f"{usual.prepared.plans_name}.json").read_text())
    with pytest.raises(InputError, match=r"vmamba.pth: its first stage has 16 channels, this training's 8; "):
        check_pretrained(saved(donor(16), ""), plans, "2d")
    damaged = donor(8).state_dict()
    damaged["mamba_unet.norm.weight"] *= float("nan")
    torch.save({"state_dict": damaged}, tmp_path / "damaged.pth")
    with pytest.raises(InputError, match=r"damaged.pth: .*mamba_unet\.norm\.weight.* NaN or infinity"):
        check_pretrained(str(tmp_path / "damaged.pth"), plans, "2d")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"has no tensor patch_embed\.proj\.weight"):
        check_pretrained(str(tmp_path / "other.pth"), plans, "2d")
    with pytest.raises(InputError):
        check_given(saved(donor(8), ""), "umamba-bot")
