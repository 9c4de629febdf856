"""Train one fold of a planned and preprocessed dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError
from umamba.evaluation.pairs import counted
from umamba.events import Monitor
from umamba.plans import parse_plans
from umamba.training.folders import TRAINER, TrainingFolders
from umamba.training.kept import load_kept
from umamba.training.locks import only_training
from umamba.training.log import BeginCallback, EpochCallback, append_line
from umamba.training.planning.presets import preset_of
from umamba.training.record import write_record
from umamba.training.schedule import Schedule
from umamba.training.telling import tell_again

if TYPE_CHECKING:
    import torch

    from umamba.training.trainer import UMambaTrainer


@dataclass(frozen=True)
class Job:
    """One training, in a form that another process can be given.

    Attributes:
        folders: The training's folders.
        name, plans_name, configuration: nnU-Net's names of dataset, plans and configuration.
        fold: Entry of the dataset's splits, or "all".
        schedule: Length, seed and precision.
        processes: Those that augment, for each device; 0 augments where the training runs, repeatably.
        pretrained: A model to take weights from, where no checkpoint is to go on from.
        preset: The published training that this is, by its name in `presets.PRESETS`.
    """

    folders: TrainingFolders
    name: str
    plans_name: str
    configuration: str
    fold: int | str
    schedule: Schedule
    processes: int = 0
    pretrained: str | None = None
    preset: str | None = None

    @property
    def results(self) -> Path:
        """The folder of this configuration's results, in nnU-Net's layout."""
        trainer = TRAINER if self.preset is None else preset_of(self.preset).trainer
        return self.folders.of_configuration(self.name, trainer, self.plans_name, self.configuration)

    @property
    def fold_folder(self) -> Path:
        """Where checkpoints and log of this fold lie."""
        return self.results / f"fold_{self.fold}"

    def plans(self) -> dict[str, Any]:
        """The plans to train by."""
        return self._json(f"{self.plans_name}.json")

    def dataset(self) -> dict[str, Any]:
        """dataset.json without names and paths of the cases, which are nobody's business in a checkpoint."""
        content = self._json("dataset.json")
        content.pop("dataset", None)
        return content

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folders.preprocessed / self.name / name
        return load_kept(path)

    def run(
        self,
        device: torch.device,
        monitor: Monitor,
        on_epoch: EpochCallback | None = None,
        on_begin: BeginCallback | None = None,
    ) -> None:
        """Train in this process, which may be one of several."""
        import torch

        from umamba.training.pretrained import take_weights

        plans = {**self.plans(), "continue_training": False}
        if device.type == "cuda":
            torch.cuda.set_device(device)
            torch.backends.cudnn.benchmark = True  # as nnU-Net; patches are all of one size
        with self.folders.activate(self.processes):
            trainer = self._trainer()(plans, self.configuration, self.fold, self.dataset(), device)
            trainer.follow(self.schedule, monitor, on_epoch)
            trainer.initialize()
            if trainer.resume():
                if trainer.local_rank == 0:
                    tell_again(self.fold_folder, trainer.records())
                began = f"goes on after epoch {trainer.current_epoch} of {self.schedule.epochs}"
            else:
                epochs, steps = self.schedule.epochs, self.schedule.steps
                began = f"begins: {counted(epochs, 'epoch')} of {counted(steps, 'step')}"
                if self.pretrained is not None:
                    began += f"; {take_weights(trainer, self.pretrained)}"
            if trainer.local_rank == 0:
                append_line(self.fold_folder, f"training {began}; device {device}")
                if on_begin is not None:
                    on_begin(f"training {began}")
                write_record(self.fold_folder, self.schedule.steps, device)
            trainer.run_training()

    def _trainer(self) -> type[UMambaTrainer]:
        if self.preset is not None:
            from umamba.training.mamba_unet.trainer import UMambaTrainerMambaUNetPaper

            return UMambaTrainerMambaUNetPaper
        from umamba.training.trainer import UMambaTrainer

        return UMambaTrainer


def train(
    folders: TrainingFolders,
    name: str,
    plans_name: str,
    configuration: str,
    schedule: Schedule,
    *,
    fold: int | str = 0,
    device: str = "cpu",
    devices: int = 1,
    processes: int = 0,
    pretrained: str | None = None,
    preset: str | None = None,
    monitor: Monitor | None = None,
    on_epoch: EpochCallback | None = None,
) -> Path:
    """Train, going on from the latest checkpoint where there is one.

    Args:
        folders: The training's folders, filled by `umamba.training.prepare` or `planning`.
        name: nnU-Net's dataset name.
        plans_name: The plans to train by.
        configuration: One of the plans' configurations.
        schedule: Length, seed and precision.
        fold: Entry of the dataset's splits, or "all": every case is trained and validated on.
        device: A torch device; with several, their kind.
        devices: How many share each batch: GPUs, or processes on the CPU.
        processes: Those that augment, for each device; 0 augments where the training runs. Only so is a
            training repeatable to the last bit.
        pretrained: Id or folder of a model whose weights a new training begins with.
        preset: The published training that this is; it must have been prepared as such.
        monitor: Is told every step and may cancel; the latest checkpoint then stays.
        on_epoch: Is told every finished epoch.

    Returns:
        The final checkpoint's path, in nnU-Net's results layout.

    Raises:
        InputError: nnU-Net is not installed, fewer patches in a batch than devices, a pretrained model that
            does not fit, a damaged checkpoint, a full disk, too little memory, numbers that broke down,
            another process that trains this fold.
        Cancelled: `monitor` said so.
    """
    require_nnunet()
    job = Job(folders, name, plans_name, configuration, fold, schedule, processes, pretrained, preset)
    check_devices(job, devices)
    with only_training(job.fold_folder):
        return train_job(job, device, devices, monitor or Monitor(), on_epoch)


def train_job(
    job: Job,
    device: str,
    devices: int,
    monitor: Monitor,
    on_epoch: EpochCallback | None = None,
    on_begin: BeginCallback | None = None,
) -> Path:
    """As `train`, of a job that was checked, in a folder where nobody else trains.

    `on_begin` is told how the training begins, in words.
    """
    from umamba.training.trainer import FINAL

    if devices > 1:
        from umamba.training.ddp import train_together

        kind = device.partition(":")[0]
        names = [f"{kind}:{number}" if kind == "cuda" else kind for number in range(devices)]
        train_together(job, names, monitor, on_epoch, on_begin)
    else:
        import torch

        job.run(torch.device(device), monitor, on_epoch, on_begin)
    return job.fold_folder / FINAL


def check_devices(job: Job, devices: int) -> None:
    """Refuse devices that a planned training's batch cannot be shared by.

    Raises:
        InputError: As `check_sharing`.
    """
    batch_size = parse_plans(job.plans()).configuration(job.configuration).batch_size
    check_sharing(batch_size, devices, job.preset)


def check_sharing(batch_size: int, devices: int, preset: str | None) -> None:
    """Refuse devices that cannot share a batch.

    Raises:
        InputError: There are more devices than patches, or the preset is for one device.
    """
    if preset is not None and devices > 1:
        raise InputError(
            f"--preset {preset}: its loss is over whole batches, which {devices} devices would share; "
            "leave --devices away"
        )
    if batch_size < devices:
        patches = "1 patch" if batch_size == 1 else f"{batch_size} patches"
        raise InputError(
            f"--devices {devices}: a batch has {patches}, at least one for each device is needed; "
            f"take --devices {batch_size} or --batch-size {devices}"
        )


def require_nnunet() -> None:
    """Raise InputError if nnU-Net, which trains, is not installed."""
    from importlib.util import find_spec

    if find_spec("nnunetv2") is None:
        raise InputError("training needs nnU-Net, which is not installed: pip install 'umamba[train]'")
