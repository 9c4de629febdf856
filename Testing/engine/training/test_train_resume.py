"""Trainings that are killed, stopped, or run into a full disk: no epoch is lost, none is done twice."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from umamba import Cancelled, InputError, ModelError
from umamba.events import Monitor
from umamba.training import Schedule

SCHEDULE = Schedule(epochs=3, steps=2, validation_steps=1, seed=5)
SCALED = Schedule(epochs=2, steps=1, validation_steps=1, seed=5, precision="float16")
SMALL_FILE_BYTES = 50_000  # a fifth of the checkpoint

# Trains in forked children, each of which kills itself, without a last word, at its own moment.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from umamba.events import Monitor
from umamba.training import Schedule, TrainingFolders
from umamba.training import telling, trainer
from umamba.training.run import train

dataset, plans, configuration = sys.argv[1:4]
schedule = Schedule(epochs=3, steps=2, validation_steps=1, seed=5)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def in_a_step():
    return Monitor(lambda progress: die() if progress.done == 3 else None)

def while_writing():
    save, checkpoint = torch.save, trainer.UMambaTrainer.save_checkpoint
    def half(content, path):
        save(content, path)
        os.truncate(path, os.path.getsize(path) // 2)
        die()
    def watched(self, filename):
        if "latest" in filename and self.current_epoch == 1:
            torch.save = half
        checkpoint(self, filename)
    trainer.UMambaTrainer.save_checkpoint = watched

def between_checkpoint_and_figures():
    write = telling.write_progress
    telling.write_progress = lambda folder, records: die() if len(records) == 2 else write(folder, records)

moments = (in_a_step, while_writing, between_checkpoint_and_figures)
for folder, prepare in zip(sys.argv[4:], moments, strict=True):
    child = os.fork()
    if not child:
        monitor = prepare()
        train(TrainingFolders(Path(folder)), dataset, plans, configuration, schedule, monitor=monitor)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (prepare.__name__, status)
"""
MOMENTS = {"in a step": 1, "while writing": 1, "between checkpoint and figures": 2}


def figures(folder: Path) -> list[dict]:
    return json.loads((folder / "progress.json").read_text())["epochs"]


def same_weights(one: dict, other: dict) -> bool:
    assert one["network_weights"].keys() == other["network_weights"].keys()
    return all(
        torch.equal(other["network_weights"][key], value) for key, value in one["network_weights"].items()
    )


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory) -> Path:
    """The final checkpoint of a training that nobody stopped, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return prepared.copy(tmp_path_factory.mktemp("whole") / "training").train(SCHEDULE)
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def one_thread():
    """Sums in the same order whatever the computer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def killed(prepared, tmp_path_factory) -> dict[str, object]:
    """A training that was killed, for each of the moments."""
    if not hasattr(os, "fork"):
        pytest.skip("the test kills copies of one prepared process, and this system has no fork")
    root = tmp_path_factory.mktemp("killed")
    tinies = {moment: prepared.copy(root / str(index)) for index, moment in enumerate(MOMENTS)}
    roots = [str(tiny.folders.root) for tiny in tinies.values()]
    words = [prepared.dataset, prepared.plans, prepared.configuration, *roots]
    run = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return tinies


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("moment", "finished"), MOMENTS.items())
def test_a_killed_training_ends_with_the_same_bits(killed, whole, checkpoint_of, moment, finished) -> None:
    tiny = killed[moment]
    latest = checkpoint_of(tiny.fold_folder / "checkpoint_latest.pth")
    assert latest["current_epoch"] == finished

    seen: list[int] = []
    final = tiny.train(SCHEDULE, monitor=Monitor(lambda progress: seen.append(progress.done)))
    assert seen == list(range(finished * SCHEDULE.steps, SCHEDULE.epochs * SCHEDULE.steps))
    expected, found = checkpoint_of(whole), checkpoint_of(final)
    assert same_weights(expected, found)
    assert found["_best_ema"] == expected["_best_ema"]
    assert same_weights(
        checkpoint_of(whole.with_name("checkpoint_best.pth")),
        checkpoint_of(final.with_name("checkpoint_best.pth")),
    )
    untimed = [{**entry, "seconds": None} for entry in figures(final.parent)]
    assert untimed == [{**entry, "seconds": None} for entry in figures(whole.parent)]
    assert [entry["epoch"] for entry in untimed] == [1, 2, 3]
    rates = [entry["learning_rate"] for entry in untimed]
    assert rates == [1e-2 * (1 - epoch / 3) ** 0.9 for epoch in range(3)]
    assert not list(final.parent.glob(".umamba-*"))
    assert not (final.parent / "checkpoint_latest.pth").exists()


@pytest.mark.usefixtures("one_thread")
def test_the_scale_of_the_loss_goes_on(tinies: Callable, checkpoint_of) -> None:
    uninterrupted = checkpoint_of(tinies("whole").train(SCALED))
    tiny, seen = tinies("stopped"), []
    with pytest.raises(Cancelled):
        tiny.train(SCALED, monitor=Monitor(seen.append, lambda: len(seen) == 1))
    resumed = checkpoint_of(tiny.train(SCALED))
    assert uninterrupted["grad_scaler_state"]["_growth_tracker"] > 0
    assert resumed["grad_scaler_state"] == uninterrupted["grad_scaler_state"]
    assert same_weights(uninterrupted, resumed)


def test_a_finished_training_is_not_trained_again(prepared, whole, checkpoint_of) -> None:
    before = checkpoint_of(whole)
    tiny = type(prepared)(type(prepared.folders)(whole.parents[4]))
    seen: list[object] = []
    assert tiny.train(SCHEDULE, monitor=Monitor(seen.append)) == whole
    assert not seen
    assert same_weights(before, checkpoint_of(whole))


def test_figures_of_the_last_epoch_that_were_not_written_are_made_up_for(tiny) -> None:
    tiny.train(SCHEDULE)
    whole, log = figures(tiny.fold_folder), tiny.fold_folder / "training.log"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(line for line in lines if "epoch 3 of 3: " not in line) + "\n")
    for left in ({"epochs": whole[:2]}, None):
        (tiny.fold_folder / "progress.json").write_text("" if left is None else json.dumps(left))
        tiny.train(SCHEDULE)
        assert figures(tiny.fold_folder) == whole
        assert log.read_text().count("epoch 3 of 3: ") == 1


def test_a_full_disk_leaves_the_epoch_before(tiny, checkpoint_of) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    full: list[int] = []

    def fill_the_disk(record) -> None:
        full.append(record.epoch)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE_BYTES, limits[1]))

    try:
        with pytest.raises(InputError, match=r"of epoch 2 could not be written .*make room.*--resume"):
            tiny.train(SCHEDULE, on_epoch=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full == [1]
    assert checkpoint_of(tiny.fold_folder / "checkpoint_latest.pth")["current_epoch"] == 1
    assert not list(tiny.fold_folder.glob(".umamba-*"))


def test_a_checkpoint_that_names_code_is_not_resumed(tiny) -> None:
    tiny.train(Schedule(epochs=1, steps=1, validation_steps=1))
    final = tiny.fold_folder / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "run": os.getcwd}, final)
    with pytest.raises(ModelError, match=r"nothing in it was run"):
        tiny.train(Schedule(epochs=1, steps=1, validation_steps=1))


def test_leftovers_of_a_killed_writer_go(tiny) -> None:
    tiny.fold_folder.mkdir(parents=True)
    leftover = tiny.fold_folder / ".umamba-0123456789ab.pth"
    leftover.write_bytes(b"half")
    tiny.train(Schedule(epochs=1, steps=1, validation_steps=1))
    assert not leftover.exists()
