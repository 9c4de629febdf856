"""Mixed precision and numbers that break down: Mamba stays float32, NaN never reaches a weight or a file."""

import numpy as np
import pytest
import torch

from umamba import InputError
from umamba.nn import mamba as mamba_blocks
from umamba.training import Schedule

ONE_STEP = Schedule(epochs=1, steps=1, validation_steps=1)
STEPS = 4
BROKEN_STEP = 2


def spoil(trainer, steps, value=np.nan):
    """Let the gradients of these steps (from 0) hold a value that is not finite."""
    loss, calls = trainer.loss, []

    def spoiled(output, target):
        calls.append(1)
        training = torch.is_grad_enabled()
        factor = value if training and sum(calls) - 1 in steps else 1.0
        return loss(output, target) * factor

    trainer.loss = spoiled


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mamba_stays_float32_under_autocast(tiny, monkeypatch, precision) -> None:
    seen: list[torch.dtype] = []
    scan, convolve = mamba_blocks.selective_scan, torch.nn.functional.conv3d

    def watched(u, delta, A, B, C, D, **options):
        seen.extend(tensor.dtype for tensor in (u, delta, A, B, C, D, options["z"]))
        return scan(u, delta, A, B, C, D, **options)

    kinds: set[torch.dtype] = set()

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if function is convolve:
                kinds.add(result.dtype)
            return result

    monkeypatch.setattr(mamba_blocks, "selective_scan", watched)
    with Watch():
        tiny.train(Schedule(epochs=1, steps=1, validation_steps=1, precision=precision))
    assert set(seen) == {torch.float32}
    assert kinds == {getattr(torch, precision)}  # so the test has seen mixed precision at all


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["NaN", "infinite"])
def test_a_step_that_is_not_finite_changes_nothing(trainer, value) -> None:
    made = trainer(Schedule(epochs=1, steps=1, validation_steps=1))
    made.on_train_start()
    made.on_train_epoch_start()
    made._steps_done = 0
    spoil(made, steps={1}, value=value)
    batch = next(made.dataloader_train)
    made.train_step(batch)
    before = {key: weight.clone() for key, weight in made.network.state_dict().items()}
    momenta = [state["momentum_buffer"].clone() for state in made.optimizer.state.values()]
    assert np.isnan(made.train_step(batch)["loss"])
    assert all(torch.equal(before[key], weight) for key, weight in made.network.state_dict().items())
    after = [state["momentum_buffer"] for state in made.optimizer.state.values()]
    assert all(torch.equal(one, other) for one, other in zip(momenta, after, strict=True))
    assert np.isfinite(made.train_step(batch)["loss"])


def test_skipped_steps_are_counted_and_left_out_of_the_mean(trainer) -> None:
    made = trainer(Schedule(epochs=1, steps=STEPS, validation_steps=1))
    spoil(made, steps={BROKEN_STEP})
    made.run_training()
    (record,) = made.records()
    assert record.skipped_steps == 1
    assert record.training_loss is not None
    assert record.line().endswith("1 step skipped")


def test_an_overflow_of_float16_halves_the_scale(trainer) -> None:
    made = trainer(Schedule(epochs=1, steps=1, validation_steps=1, precision="float16"))
    made.on_train_start()
    made.on_train_epoch_start()
    made._steps_done = 0
    scale = made.grad_scaler.get_scale()
    spoil(made, steps={0}, value=np.inf)
    made.train_step(next(made.dataloader_train))
    assert made.grad_scaler.get_scale() == scale / 2


def test_many_broken_steps_in_a_row_end_the_training(trainer) -> None:
    from umamba.training.trainer import MOST_SKIPPED_IN_A_ROW

    made = trainer(Schedule(epochs=1, steps=MOST_SKIPPED_IN_A_ROW + 1, validation_steps=1))
    spoil(made, steps=range(MOST_SKIPPED_IN_A_ROW + 1))
    with pytest.raises(InputError, match=rf"in epoch 1: in {MOST_SKIPPED_IN_A_ROW} steps in a row.*float32"):
        made.run_training()
    assert not list(made._folder.glob("checkpoint*"))


def test_weights_that_are_not_finite_are_not_saved(trainer) -> None:
    made = trainer(ONE_STEP)
    with torch.no_grad():
        next(iter(made.network.parameters())).fill_(torch.nan)
    with pytest.raises(InputError, match=r"weights after epoch 1 are not finite and were not saved"):
        made.save_checkpoint(str(made._folder / "checkpoint_latest.pth"))
    assert not list(made._folder.glob("checkpoint*"))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["of a GPU", "of the computer"],
)
def test_a_lack_of_memory_says_what_to_lower(trainer, error) -> None:
    made = trainer(ONE_STEP)

    def full(_output, _target):
        raise error

    made.loss = full
    with pytest.raises(InputError, match=r"memory does not suffice.*--batch-size \(now 2\).*--features"):
        made.run_training()


def test_another_error_is_left_as_it_is(trainer) -> None:
    made = trainer(ONE_STEP)

    def broken(_output, _target):
        raise RuntimeError("sizes do not fit")

    made.loss = broken
    with pytest.raises(RuntimeError, match="sizes do not fit"):
        made.run_training()
