"""One training in two processes on the CPU (gloo): the same weights as in one, and no hang when one dies."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
import torch

from umamba import Cancelled, InputError
from umamba.events import Monitor
from umamba.training import Schedule, ddp

SCHEDULE = Schedule(epochs=2, steps=2, validation_steps=1, seed=5)
LONG = Schedule(epochs=500, steps=2, validation_steps=1, seed=5)
# Gradients are summed in another order, over float32 steps of a hundredth.
TOLERANCE = 2e-5


# A known batch of two patches: two steps with both in one process, and with one each in two.
HALVES = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from umamba.training import Schedule, TrainingFolders
from umamba.training.run import Job
from umamba.training.trainer import UMambaTrainer

root, dataset, plans_name, configuration, out = sys.argv[1:]
job = Job(TrainingFolders(Path(root)), dataset, plans_name, configuration, 0, Schedule(2, 2, 1, seed=5))
meeting = (Path(out) / "meeting").as_uri()

def trainer():
    plans = {**job.plans(), "continue_training": False}
    made = UMambaTrainer(plans, configuration, 0, job.dataset(), torch.device("cpu"))
    made.follow(job.schedule)
    made.initialize()
    made._steps_done = 0
    return made

def train(made, network, batch, name):
    for _ in range(2):
        made.train_step(batch)
    torch.save(network.state_dict(), f"{out}/{name}.pt")

def half(rank, name):
    torch.distributed.init_process_group("gloo", init_method=meeting, world_size=2, rank=rank)
    made = trainer()
    data, targets = batch["data"], batch["target"]
    mine = {"data": data[rank : rank + 1], "target": [target[rank : rank + 1] for target in targets]}
    train(made, made.network.module, mine, name)
    torch.distributed.destroy_process_group()

with job.folders.activate():
    whole = trainer()
    torch.save(whole.network.state_dict(), f"{out}/begun.pt")
    loader, _ = whole.get_dataloaders()
    batch = next(loader)
    children = []
    for rank, name in enumerate(("first", "second")):
        child = os.fork()
        if not child:
            try:
                half(rank, name)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    train(whole, whole.network, batch, "alone")
"""


@pytest.fixture
def children():
    """Process numbers of those that this test started; other tests may have left pools of theirs."""
    before = {child.pid for child in multiprocessing.active_children()}
    return lambda: sorted({child.pid for child in multiprocessing.active_children()} - before)


def test_two_processes_share_a_training(tiny, checkpoint_of, children) -> None:
    told, steps = [], []
    final = tiny.train(
        SCHEDULE,
        devices=2,
        on_epoch=told.append,
        monitor=Monitor(lambda progress: steps.append(progress.done)),
    )
    assert [record.epoch for record in told] == [1, 2]
    assert steps == [0, 1, 2, 3]
    assert told[1].training_loss < told[0].training_loss
    checkpoint = checkpoint_of(final)
    assert checkpoint["current_epoch"] == SCHEDULE.epochs
    assert not any(key.startswith("module.") for key in checkpoint["network_weights"])
    assert not children()


def test_a_killed_process_ends_all_with_a_sentence(tiny, checkpoint_of, children) -> None:
    def kill_the_second(record) -> None:
        os.kill(children()[1], signal.SIGKILL)

    with pytest.raises(InputError, match=r"process [12] of the 2 .*ended from outside.*--resume"):
        tiny.train(LONG, devices=2, on_epoch=kill_the_second)
    assert checkpoint_of(tiny.fold_folder / "checkpoint_latest.pth")["current_epoch"] >= 1
    assert not children()


def test_a_cancelled_training_leaves_no_process(tiny, children) -> None:
    seen: list[int] = []
    with pytest.raises(Cancelled):
        tiny.train(
            LONG,
            devices=2,
            monitor=Monitor(cancel=lambda: seen.append(len(children())) is None),
        )
    assert seen == [2]
    assert not children()


class Ended:
    """A process of which only the exit code is known."""

    def __init__(self, exitcode: int | None) -> None:
        self.exitcode = exitcode


def test_what_a_process_finds_wrong_is_said_in_its_words() -> None:
    reports = multiprocessing.SimpleQueue()
    reports.put(("failure", InputError("the disk is full")))
    failure = ddp._pass_on(reports, {})
    assert str(ddp._cause([Ended(1), Ended(None)], failure)) == "the disk is full"
    # The others' connections break when one is killed: that is not the cause.
    assert "process 2 of the 2" in str(ddp._cause([Ended(1), Ended(-signal.SIGKILL)], failure))


def test_more_devices_than_patches_are_refused(tiny) -> None:
    with pytest.raises(
        InputError, match=r"--devices 3: a batch has 2 patches.*--devices 2 or --batch-size 3"
    ):
        tiny.train(SCHEDULE, devices=3)


def test_the_halves_of_a_batch_move_the_weights_like_the_whole(tiny, tmp_path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("the test divides one prepared process in two, and this system has no fork")
    words = [tiny.folders.root, tiny.dataset, tiny.plans, tiny.configuration, tmp_path]
    run = subprocess.run(
        [sys.executable, "-c", HALVES, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    begun, alone, first, second = (
        torch.load(tmp_path / f"{name}.pt") for name in ("begun", "alone", "first", "second")
    )
    assert first.keys() == second.keys() == alone.keys()
    assert any(not torch.equal(begun[key], value) for key, value in alone.items())
    for key, value in alone.items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], value, rtol=0, atol=TOLERANCE)
