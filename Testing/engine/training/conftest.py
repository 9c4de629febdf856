"""A tiny planned dataset that trains in tenths of a second a step, and trainings of it."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from umamba.training import Schedule, TrainingFolders
from umamba.training.dataset.raw import Case, RawDataset
from umamba.training.planning.options import PlanOptions

DATASET = "Dataset900_Balls"
CONFIGURATION = "3d_fullres"
OPTIONS = PlanOptions(batch_size=2, base_features=4, most_features=8)
PLANS = f"UMambaBotPlans{OPTIONS.suffix}"
SIZE = (20, 24, 16)  # (Z, Y, X)
CASES = 5
DESCRIPTION = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "ball": 1},
    "file_ending": ".nii.gz",
}


def write_ball(folder: Path, name: str, seed: int) -> Case:
    """A bright ball in noise, as nnU-Net names images and labels."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SIZE), indexing="ij"))
    centre = np.array(SIZE)[:, None, None, None] / 2 + generator.uniform(-2, 2, (3, 1, 1, 1))
    label = (((grid - centre) ** 2).sum(0) < 5**2).astype(np.uint8)
    image = (generator.normal(size=SIZE) + 3 * label).astype(np.float32)
    image_path, label_path = folder / f"{name}_0000.nii.gz", folder / f"{name}.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), str(image_path))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(label), str(label_path))
    return Case(name, (image_path,), label_path)


@dataclass(frozen=True)
class Tiny:
    """The prepared dataset; every training gets a copy of its folders."""

    folders: TrainingFolders
    dataset: str = DATASET
    plans: str = PLANS
    configuration: str = CONFIGURATION

    def copy(self, root: Path) -> "Tiny":
        shutil.copytree(self.folders.root, root)
        return Tiny(TrainingFolders(root))

    def train(self, schedule: Schedule, **options) -> Path:
        from umamba.training.run import train

        return train(self.folders, DATASET, PLANS, CONFIGURATION, schedule, **options)

    @property
    def fold_folder(self) -> Path:
        return self.folders.results / DATASET / f"UMambaTrainer__{PLANS}__{CONFIGURATION}" / "fold_0"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Four cases to train on and one to validate on, for a U-Mamba_Bot of 4 to 8 channels."""
    pytest.importorskip("nnunetv2", reason="training needs the extra `train`")
    from umamba.training.prepare import prepare

    source = tmp_path_factory.mktemp("source")
    names = [f"patient-meier-{index}" for index in range(CASES)]
    cases = [write_ball(source, name, seed) for seed, name in enumerate(names)]
    folders = TrainingFolders(tmp_path_factory.mktemp("training"))
    split = source / "split.json"
    split.write_text(json.dumps([{"train": names[:-1], "val": names[-1:]}]), encoding="utf-8")
    raw = RawDataset(DATASET, tuple(cases), DESCRIPTION, source)
    prepare(raw, folders, "umamba-bot", CONFIGURATION, options=OPTIONS, split=split)
    return Tiny(folders)


@pytest.fixture
def tiny(prepared: Tiny, tmp_path: Path) -> Tiny:
    """A copy of the prepared dataset for one test."""
    return prepared.copy(tmp_path / "training")


@pytest.fixture
def tinies(prepared: Tiny, tmp_path: Path) -> Callable[[str], Tiny]:
    """As many copies as a test wants, by name."""
    return lambda name: prepared.copy(tmp_path / name)


@pytest.fixture(scope="session")
def checkpoint_of() -> Callable[[Path], dict]:
    """Everything that a checkpoint of our own trainer holds."""
    import torch

    return lambda path: torch.load(path, map_location="cpu", weights_only=False)


@pytest.fixture
def trainer(tiny: Tiny) -> Iterator[Callable]:
    """Make a trainer of the tiny dataset, ready to train; the folders stay active."""
    import torch

    from umamba.training.run import Job
    from umamba.training.trainer import UMambaTrainer

    active = tiny.folders.activate()
    active.__enter__()

    def make(schedule: Schedule):
        job = Job(tiny.folders, tiny.dataset, tiny.plans, tiny.configuration, 0, schedule)
        plans = {**job.plans(), "continue_training": False}
        made = UMambaTrainer(plans, tiny.configuration, 0, job.dataset(), torch.device("cpu"))
        made.follow(schedule)
        made.initialize()
        return made

    yield make
    active.__exit__(None, None, None)
