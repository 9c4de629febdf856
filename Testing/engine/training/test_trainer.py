"""A training of a few steps on a few small images: planned, stopped, resumed, read back."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from umamba import Cancelled
from umamba.events import Monitor
from umamba.training import Schedule, TrainingFolders, planning

pytest.importorskip("nnunetv2", reason="training needs the extra `train`")

DATASET = "Dataset900_Balls"
CONFIGURATION = "3d_fullres"
PLANS = "TinyPlans"
SIZE = (20, 24, 16)  # (Z, Y, X): small enough for a step in a tenth of a second
MIRROR_AXES = (2,)
SCHEDULE = Schedule(epochs=2, steps=2, validation_steps=1, seed=5, mirror_axes=MIRROR_AXES)
# nnU-Net's augmentation times two ways to blur and takes the faster: a batch may differ in its last bits.
RESUMED_TOLERANCE = 1e-4
DESCRIPTION = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "ball": 1},
    "file_ending": ".nii.gz",
}


def _write_case(folder: Path, name: str, seed: int) -> planning.Case:
    """A bright ball in noise."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SIZE), indexing="ij"))
    centre = np.array(SIZE)[:, None, None, None] / 2 + generator.uniform(-2, 2, (3, 1, 1, 1))
    label = (((grid - centre) ** 2).sum(0) < 5**2).astype(np.uint8)
    image = (generator.normal(size=SIZE) + 3 * label).astype(np.float32)
    image_path, label_path = folder / f"{name}_0000.nii.gz", folder / f"{name}.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), str(image_path))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(label), str(label_path))
    return planning.Case(name, (image_path,), label_path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> TrainingFolders:
    """A planned and preprocessed dataset of five cases."""
    source = tmp_path_factory.mktemp("source")
    names = [f"patient-meier-{index}" for index in range(5)]
    cases = [_write_case(source, name, seed) for seed, name in enumerate(names)]
    folders = TrainingFolders(tmp_path_factory.mktemp("training"))
    planning.write_dataset(folders, DATASET, cases, DESCRIPTION)
    plans = planning.with_network(
        planning.plan(folders, DATASET),
        CONFIGURATION,
        "umamba.nn.UMambaBot",
        plans_name=PLANS,
        base_features=4,
        most_features=8,
        batch_size=2,
    )
    planning.preprocess(folders, DATASET, plans, CONFIGURATION)
    planning.write_split(folders, DATASET, names[:4], names[4:])
    return folders


def _copy(prepared: TrainingFolders, root: Path) -> TrainingFolders:
    shutil.copytree(prepared.root, root)
    return TrainingFolders(root)


def _train(folders: TrainingFolders, schedule: Schedule = SCHEDULE, monitor: Monitor | None = None) -> Path:
    from umamba.training.run import train

    return train(folders, DATASET, PLANS, CONFIGURATION, schedule, monitor=monitor)


@pytest.fixture(scope="module")
def trained(prepared: TrainingFolders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The final checkpoint of an uninterrupted training."""
    return _train(_copy(prepared, tmp_path_factory.mktemp("whole") / "training"))


def _checkpoint(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=False)


def test_plans_hold_one_narrow_configuration(prepared: TrainingFolders) -> None:
    from umamba.plans import load_json, parse_plans

    plans = parse_plans(load_json(prepared.preprocessed / DATASET / f"{PLANS}.json"))
    architecture = plans.configuration(CONFIGURATION).architecture
    assert plans.configurations == (CONFIGURATION,)
    assert architecture.network_class == "UMambaBot"
    assert architecture.features[0] == 4
    assert max(architecture.features) == 8


def test_training_moves_the_weights(trained: Path) -> None:
    from umamba.training.trainer import UMambaTrainer

    checkpoint = _checkpoint(trained)
    assert checkpoint["trainer_name"] == UMambaTrainer.__name__
    assert checkpoint["current_epoch"] == SCHEDULE.epochs
    assert checkpoint["inference_allowed_mirroring_axes"] == MIRROR_AXES
    momenta = [entry["momentum_buffer"] for entry in checkpoint["optimizer_state"]["state"].values()]
    assert any(momentum.abs().max() > 0 for momentum in momenta)
    assert not trained.with_name("checkpoint_latest.pth").exists()


def test_a_stopped_training_goes_on_where_it_was(
    prepared: TrainingFolders, trained: Path, tmp_path: Path
) -> None:
    folders = _copy(prepared, tmp_path / "training")
    seen: list[int] = []
    monitor = Monitor(lambda progress: seen.append(progress.done), lambda: len(seen) > SCHEDULE.steps)
    with pytest.raises(Cancelled):
        _train(folders, monitor=monitor)
    latest = next(folders.results.rglob("checkpoint_latest.pth"))
    assert _checkpoint(latest)["current_epoch"] == 1
    assert not list(folders.results.rglob("*.writing"))

    seen.clear()
    final = _train(folders, monitor=Monitor(lambda progress: seen.append(progress.done)))
    assert seen == [2, 3]
    whole, resumed = _checkpoint(trained)["network_weights"], _checkpoint(final)["network_weights"]
    assert whole.keys() == resumed.keys()
    for key in whole:
        torch.testing.assert_close(resumed[key], whole[key], rtol=0, atol=RESUMED_TOLERANCE)


def test_another_seed_gives_another_network(prepared: TrainingFolders, trained: Path, tmp_path: Path) -> None:
    other = _train(
        _copy(prepared, tmp_path / "training"),
        Schedule(epochs=1, steps=1, validation_steps=1, seed=6, bfloat16=True),
    )
    key = "encoder.stem.0.conv1.weight"
    weights = _checkpoint(other)["network_weights"][key]
    assert torch.isfinite(weights).all()
    assert not torch.equal(weights, _checkpoint(trained)["network_weights"][key])


def test_no_case_is_named_in_what_leaves_the_training(
    prepared: TrainingFolders, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="umamba"):
        checkpoint = _train(
            _copy(prepared, tmp_path / "training"), Schedule(epochs=1, steps=1, validation_steps=1)
        )
    results = checkpoint.parent.parent
    texts = [path.read_bytes() for path in results.rglob("*") if path.is_file()]
    assert len(texts) >= 4  # plans, dataset, fingerprint, checkpoint
    assert not any(b"meier" in text for text in texts)
    assert "epoch 1 of 1" in caplog.text
    assert "meier" not in caplog.text
    assert capfd.readouterr().out == ""


def test_the_checkpoint_becomes_a_model(trained: Path) -> None:
    import umamba.models

    model = umamba.models.get(umamba.models.import_(trained.parent.parent, id="balls"))
    assert (model.card.id, model.card.origin) == ("balls", "umamba")
    assert model.card.network.class_ == "UMambaBot"
    assert model.mirror_axes == MIRROR_AXES
    network = model.network(model.folds[0])
    weights = _checkpoint(trained)["network_weights"]
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, weights[key], rtol=0, atol=0)


def test_hold_out_is_repeatable_and_disjoint() -> None:
    names = [f"case{index}" for index in range(20)]
    training, held = planning.hold_out(names[::-1], 5, seed=3)
    assert (training, held) == planning.hold_out(names, 5, seed=3)
    assert len(held) == 5
    assert sorted(training + held) == sorted(names)
    assert held != planning.hold_out(names, 5, seed=4)[1]


def test_a_schedule_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Schedule(epochs=1, steps=0)
