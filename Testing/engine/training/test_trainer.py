"""A training of a few steps on a few small images: planned, stopped, resumed, read back."""

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from umamba import Cancelled
from umamba.events import Monitor
from umamba.training import Schedule
from umamba.training.log import EpochRecord, read_progress

MIRROR_AXES = (2,)
SCHEDULE = Schedule(epochs=2, steps=2, validation_steps=1, seed=5, mirror_axes=MIRROR_AXES)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory) -> Path:
    """The final checkpoint of an uninterrupted training."""
    return prepared.copy(tmp_path_factory.mktemp("whole") / "training").train(SCHEDULE)


def test_plans_are_as_narrow_as_was_asked(prepared) -> None:
    from umamba.plans import load_json, parse_plans

    home = prepared.folders.preprocessed / prepared.dataset
    plans = parse_plans(load_json(home / f"{prepared.plans}.json"))
    architecture = plans.configuration(prepared.configuration).architecture
    assert architecture.network_class == "UMambaBot"
    assert architecture.features[0] == 4
    assert max(architecture.features) == 8


def test_training_moves_the_weights(trained: Path, checkpoint_of) -> None:
    from umamba.training.trainer import UMambaTrainer

    checkpoint = checkpoint_of(trained)
    assert checkpoint["trainer_name"] == UMambaTrainer.__name__
    assert checkpoint["current_epoch"] == SCHEDULE.epochs
    assert checkpoint["inference_allowed_mirroring_axes"] == MIRROR_AXES
    momenta = [entry["momentum_buffer"] for entry in checkpoint["optimizer_state"]["state"].values()]
    assert any(momentum.abs().max() > 0 for momentum in momenta)
    assert not trained.with_name("checkpoint_latest.pth").exists()


def test_a_stopped_training_keeps_its_epochs(tiny, checkpoint_of) -> None:
    seen: list[int] = []
    monitor = Monitor(lambda progress: seen.append(progress.done), lambda: len(seen) > SCHEDULE.steps)
    with pytest.raises(Cancelled):
        tiny.train(SCHEDULE, monitor=monitor)
    assert checkpoint_of(tiny.fold_folder / "checkpoint_latest.pth")["current_epoch"] == 1

    seen.clear()
    final = tiny.train(SCHEDULE, monitor=Monitor(lambda progress: seen.append(progress.done)))
    assert seen == [2, 3]
    assert checkpoint_of(final)["current_epoch"] == SCHEDULE.epochs


def test_every_epoch_is_told_and_written(tiny) -> None:
    told: list[EpochRecord] = []
    final = tiny.train(SCHEDULE, on_epoch=told.append)
    assert read_progress(final.parent) == told
    assert [(record.epoch, record.epochs) for record in told] == [(1, 2), (2, 2)]
    first, second = told
    assert first.learning_rate > second.learning_rate
    assert list(first.dice) == ["ball"]
    assert first.mean_dice == first.dice["ball"] == first.smooth_dice
    assert second.smooth_dice == pytest.approx(0.9 * first.mean_dice + 0.1 * second.mean_dice)
    lines = (final.parent / "training.log").read_text().splitlines()
    assert "training begins: 2 epochs of 2 steps" in lines[0]
    assert [line.split(" ", 2)[2] for line in lines[1:]] == [record.line() for record in told]
    with Image.open(final.parent / "progress.png") as picture:
        assert picture.width > picture.height / 2


def test_another_seed_gives_another_network(tiny, trained: Path, checkpoint_of) -> None:
    other = tiny.train(Schedule(epochs=1, steps=1, validation_steps=1, seed=6, precision="bfloat16"))
    key = "encoder.stem.0.conv1.weight"
    weights = checkpoint_of(other)["network_weights"][key]
    assert torch.isfinite(weights).all()
    assert not torch.equal(weights, checkpoint_of(trained)["network_weights"][key])


def test_all_cases_make_a_fold(tiny, checkpoint_of) -> None:
    final = tiny.train(Schedule(epochs=1, steps=1, validation_steps=1), fold="all")
    assert final.parent.name == "fold_all"
    assert checkpoint_of(final)["init_args"]["fold"] == "all"


def test_no_case_is_named_in_what_leaves_the_training(
    tiny, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="umamba"):
        checkpoint = tiny.train(Schedule(epochs=1, steps=1, validation_steps=1))
    results = checkpoint.parent.parent
    texts = [path.read_bytes() for path in results.rglob("*") if path.is_file()]
    assert len(texts) >= 4  # plans, dataset, fingerprint, checkpoint
    assert not any(b"meier" in text for text in texts)
    assert not any(bytes(tiny.folders.root) in text for text in texts)
    assert "epoch 1 of 1" in caplog.text
    assert "meier" not in caplog.text
    assert capfd.readouterr().out == ""


def test_the_checkpoint_becomes_a_model(trained: Path, checkpoint_of) -> None:
    import umamba.models

    model = umamba.models.get(umamba.models.import_(trained.parent.parent, id="balls"))
    assert (model.card.id, model.card.origin) == ("balls", "umamba")
    assert model.card.network.class_ == "UMambaBot"
    assert model.mirror_axes == MIRROR_AXES
    network = model.network(model.folds[0])
    weights = checkpoint_of(trained)["network_weights"]
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, weights[key], rtol=0, atol=0)


def test_a_schedule_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Schedule(epochs=1, steps=0)


def test_a_schedule_of_another_precision_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'float8'.*auto, float32"):
        Schedule(epochs=1, steps=1, precision="float8")


def test_a_seed_that_generators_do_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="seed is -1"):
        Schedule(epochs=1, steps=1, seed=-1)
