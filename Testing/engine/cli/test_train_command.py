"""`umamba train`: the whole way on five tiny images; going on; what it refuses, and in which words."""

import json
import os
import signal
from importlib import util
from pathlib import Path

import pytest

from dataset_builders import nnunet_dataset, picture_folder
from umamba.cli.report import Report
from umamba.cli.train_display import Display
from umamba.cli.train_options import feature_range, label_values
from umamba.events import Progress

CASES = [f"case{number}" for number in range(5)]
SMALL = ("--steps", "1", "--batch-size", "2", "--features", "4-8", "--threads", "1")
FIRST = "umamba-bot 3d_fullres fold 0"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return nnunet_dataset(tmp_path_factory.mktemp("train") / "balls", CASES)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """The folder that the tests below fill, one after the other."""
    return tmp_path_factory.mktemp("work") / "with space"


@pytest.fixture
def train(call, dataset, work):
    """Train in this process; with further words."""
    pytest.importorskip("nnunetv2", reason="training needs the extra `train`")
    return lambda *words: call("train", dataset, "-o", work, *words)


def test_the_whole_way_and_on_from_ctrl_c(train, work, monkeypatch):
    def interrupt(display: Display, record) -> None:
        if record.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "epoch", interrupt)
        stopped = train("--epochs", "2", *SMALL)
    assert stopped.status == 130
    assert stopped.err == [
        "umamba: stopped after epoch 1 of 2, which is kept; the same command with --resume goes on"
    ]

    again = train("--epochs", "2", *SMALL)
    assert again.status == 2
    assert again.err == [
        f"umamba: error: {work}: has a training of {FIRST} of Dataset501_balls (1 of 2 epochs done) "
        "already; add --resume to go on with it, or begin anew in another folder"
    ]
    longer = train("--epochs", "3", "--resume")
    assert longer.status == 2
    assert "was begun with other settings than --epochs 3 (it has 2)" in longer.err[0]

    done = train("--resume", "--threads", "1", "--precision", "float32")
    assert done.status == 0, done.err
    assert done.out[0].endswith("5 cases; channels MR0; labels core, rim")
    assert done.out[1].startswith(f"{FIRST}: patch ")
    assert done.out[2] == "training goes on after epoch 1 of 2; CPU, 1 thread"
    assert next(line for line in done.out if line.startswith("epoch ")).startswith("epoch 2 of 2: ")
    assert [line.split()[:2] for line in done.out if line.startswith("  ")][:2] == [
        ["core", "Dice"],
        ["rim", "Dice"],
    ]
    (fold,) = work.glob("results/*/*/fold_0")
    assert done.out[-1] == f"next: umamba package '{fold.parent}' balls.zip"
    assert {"checkpoint_final.pth", "progress.json", "progress.png", "settings.json", "training.log"} <= {
        path.name for path in fold.iterdir()
    }
    assert (fold / "validation" / "results.json").is_file()
    # The images are so small that the network has one output, for which nnU-Net's weights are 0 / 0.
    epochs = json.loads((fold / "progress.json").read_text())["epochs"]
    assert [(epoch["training_loss"] is None, epoch["skipped_steps"]) for epoch in epochs] == [(False, 0)] * 2
    kept = json.loads((fold / "settings.json").read_text())
    assert (kept["epochs"], kept["features"], kept["precision"]) == (2, "4-8", "float32")


def test_events(train):
    done = train("--resume", "--json", "--threads", "1")
    assert done.status == 0
    events = [json.loads(line) for line in done.out]
    assert {event["event"] for event in events} <= {"progress", "epoch", "log", "result"}
    assert events[-1]["event"] == "result"
    assert set(events[-1]["dice"]) == {"core", "rim"}
    assert events[-1]["cases"] == 1


def test_resume_wants_a_training_of_these_options(train, call, dataset, tmp_path):
    other = train("--resume", "--network", "nnunet")
    assert other.status == 2
    assert (
        f"no training of these options was begun there, only {FIRST} of Dataset501_balls (2 of 2 epochs done)"
        in other.err[0]
    )
    assert "--network nnunet (it has umamba-bot)" in other.err[0]
    none = call("train", dataset, "-o", tmp_path / "new", "--resume")
    assert none.status == 2
    assert "no training was begun there; leave --resume away" in none.err[0]
    assert not (tmp_path / "new").exists()


def test_two_processes_do_not_train_one_fold(train, work):
    from umamba.training.locks import only_training

    (fold,) = work.glob("results/*/*/fold_0")
    with only_training(fold):
        refused = train("--resume")
    assert refused.status == 2
    assert refused.err == [
        "umamba: error: fold_0: another process is training it in this folder; wait for its end, train "
        "another fold, or choose another folder"
    ]


def test_resume_wants_a_training_of_this_dataset(call, dataset, work, tmp_path):
    other = nnunet_dataset(tmp_path / "cubes", CASES)
    refused = call("train", other, "-o", work, "--resume")
    assert refused.status == 2
    assert "no training of Dataset501_cubes was begun there, only " in refused.err[0]
    assert not list(work.glob("*/Dataset501_cubes"))


@pytest.mark.parametrize(
    ("name", "advice"),
    [("progress.json", "--resume writes it anew"), ("checkpoint_latest.pth", "delete checkpoint_latest.pth")],
)
def test_a_damaged_file_of_a_training_is_named(train, work, name, advice):
    (fold,) = work.glob("results/*/*/fold_0")
    kept = {path: path.read_bytes() for path in fold.glob("checkpoint_*")}
    for path in kept:
        path.unlink()
    before = (fold / "progress.json").read_bytes()
    (fold / name).write_bytes(b"")
    refused = train("--resume", "--threads", "1")
    (fold / name).unlink()
    (fold / "progress.json").write_bytes(before)
    for path, content in kept.items():
        path.write_bytes(content)
    assert refused.status == 2
    assert f"{name}: " in refused.err[0]
    assert advice in refused.err[0]


def test_damaged_plans_are_named(train, work):
    (plans,) = work.glob("preprocessed/*/UMambaBotPlans*.json")
    whole = plans.read_bytes()
    plans.write_bytes(whole[:100])
    refused = train("--resume")
    plans.write_bytes(whole)
    assert refused.status == 2
    assert f"Dataset501_balls/{plans.name}: not valid JSON" in refused.err[0]
    assert "delete it, and the same command makes it anew" in refused.err[0]


def test_more_devices_than_patches_leave_no_training(call, dataset, work, tmp_path):
    words = ("--devices", "9", "--device", "cpu", "--threads", "1")
    early = call("train", dataset, "-o", tmp_path / "new", "--batch-size", "2", *words)
    planned = call("train", dataset, "-o", work, "--fold", "1", *words)
    for refused in (early, planned):
        assert refused.status == 2
        assert "--devices 9: a batch has 2 patches" in refused.err[0]
    assert not (tmp_path / "new").exists()
    assert not list(work.glob("results/*/*/fold_1"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resume", "--pretrained", "x"), "--pretrained begins a training and --resume goes on with one"),
        (("--device", "cuda:99"), "device cuda:99: no such GPU"),
        (("--fold", "5"), "there is no fold 5"),
        (("--fold", "x"), "--fold: 'x' found, 0 to 4 or all wanted"),
        (("--features", "16-"), "--features: '16-' found, channels as 16 or 16-128 wanted"),
        (("--features", "16-8"), "largest width is 8; 16 to"),
        (("--labels", "a=x"), "--labels: 'a=x' found"),
        (("--labels", "a,b"), "labels and channels stand in dataset.json"),
        (("--epochs", "0"), "--epochs: '0' found"),
        (("--seed", "4294967296"), "less than 2**32 wanted"),
        (("--network", "unet"), "invalid choice: 'unet'"),
        (("--pretrained", "nothing"), "there is no model 'nothing'"),
    ],
)
def test_wrong_requests(call, dataset, tmp_path, words, said):
    refused = call("train", dataset, "-o", tmp_path / "new", *words)
    assert refused.status == 2
    assert len(refused.err) == 1
    assert said in refused.err[0]
    assert not (tmp_path / "new").exists()


def test_folders_that_cannot_be_filled(call, dataset, tmp_path):
    assert "is the dataset" in call("train", dataset, "-o", dataset).err[0]
    (tmp_path / "file").write_text("mine")
    assert "is a file" in call("train", dataset, "-o", tmp_path / "file").err[0]
    for folder in (tmp_path / "file" / "new", tmp_path / "file" / "far" / "new", "/proc/new"):
        refused = call("train", dataset, "-o", folder)
        assert (refused.status, len(refused.err)) == (2, 1)
        assert f"-o {folder}" in refused.err[0]
    for name in ("imagesTr", "labelsTr/deeper"):
        assert "lies in the dataset's" in call("train", dataset, "-o", dataset / name).err[0]
    assert "cannot be read" in call("train", tmp_path / "none", "-o", tmp_path / "new").err[0]


def test_without_nnunet_it_says_what_to_install(call, dataset, tmp_path, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "nnunetv2" else find(name))
    refused = call("train", dataset, "-o", tmp_path / "new")
    assert refused.status == 2
    assert "pip install 'umamba[train]'" in refused.err[0]


def test_pictures_with_names_of_one_s_own(call, tmp_path):
    folder = picture_folder(tmp_path / "cells", CASES)
    words = ("--configuration", "2d", "--labels", "inner,outer", "--network", "nnunet", "--epochs", "1")
    done = call("train", folder, "-o", tmp_path / "work", *words, *SMALL)
    assert done.status == 0, done.err
    assert done.out[0].endswith("labels inner, outer")
    assert [line.split()[0] for line in done.out if " Dice " in line and line.startswith("  ")] == [
        "inner",
        "outer",
    ]


def test_the_bar_names_the_epoch_that_runs():
    class Bar:
        def add_task(self, *_, **__):
            return 0

        def update(self, _, **shown):
            self.shown = shown

    bar = Bar()
    display = Display(Report(False, True), 5, bar)
    said = []
    for done in (0, 9, 10, 49, 50):
        display.step(Progress("train", done, 50))
        said.append(bar.shown["description"])
    assert said == [f"epoch {epoch} of 5" for epoch in (1, 1, 2, 5, 5)]


def test_names_and_widths():
    assert label_values("liver,spleen") == {"liver": 1, "spleen": 2}
    assert label_values("liver=3, spleen = 1") == {"liver": 3, "spleen": 1}
    assert feature_range("16-128") == "16-128"
