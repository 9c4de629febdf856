"""nnU-Net's trainer with a schedule of its own, whole checkpoints, exact resuming and safe mixed precision.

Data loading, augmentation, loss, deep supervision, optimiser and learning rate are nnunetv2's
(Isensee et al., Nature Methods 18, 2021); the network is the one that the plans name by its class path.
"""

from __future__ import annotations

import io
import logging
import random
import shutil
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform  # type: ignore[import-untyped]
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from umamba.errors import InputError
from umamba.events import Monitor
from umamba.imaging.files import MEGABYTE, atomic_write
from umamba.models.advice import advising
from umamba.models.checkpoint import read_checkpoint
from umamba.plans.architecture import MAMBA_UNET
from umamba.training import ddp
from umamba.training.log import SKIPPED, EpochCallback, EpochRecord, defined, records_of
from umamba.training.mamba_unet.optimizer import LEARNING_RATE, make_optimizer
from umamba.training.memory import saying_what_lacks_memory
from umamba.training.processes import EndWithParent
from umamba.training.schedule import Schedule
from umamba.training.telling import tell

_log = logging.getLogger(__name__)

LATEST, BEST, FINAL = "checkpoint_latest.pth", "checkpoint_best.pth", "checkpoint_final.pth"
# Numbers that seeds are drawn for besides the epochs'.
_SEED_OF_WEIGHTS, _SEED_OF_LOADERS = 2**31, 2**30
# A scaled loss begins at 2**16 and is halved by each step that overflows, so 16 in a row are no fault.
MOST_SKIPPED_IN_A_ROW = 25
HIDDEN = ".umamba-"  # how `atomic_write` calls what is not whole yet
KEPT = "the last finished epoch is kept"
_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class UMambaTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Trains any network that the plans name, by a `Schedule`.

    The constructor takes nnU-Net's arguments (it stores them by name in every checkpoint); call `follow`
    before anything else.
    """

    schedule: Schedule
    monitor: Monitor
    is_ddp: bool
    network: Any
    gradient_norm = 12.0  # nnU-Net's clipping
    best_by = "ema_fg_dice"  # the figure whose best epoch is kept
    grad_scaler: torch.amp.GradScaler | None
    _best_ema: float | None

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cpu"),  # noqa: B008  (stored by nnU-Net, never changed)
    ) -> None:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():  # nnU-Net announces its device,
            warnings.simplefilter("ignore")  # and takes a GPU for granted
            super().__init__(plans, configuration, fold, dataset_json, device)
        self.device = device  # nnU-Net takes the first GPU, or that of the process's rank
        network = self.configuration_manager.network_arch_class_name
        self._is_mamba_unet = network.endswith(MAMBA_UNET)
        self.enable_deep_supervision = not self._is_mamba_unet  # which has one output only
        self.grad_scaler = None
        self._on_epoch: EpochCallback | None = None
        self._skipped = self._skipped_in_a_row = 0

    def follow(
        self, schedule: Schedule, monitor: Monitor | None = None, on_epoch: EpochCallback | None = None
    ) -> None:
        """Take the numbers of `schedule`; report each step to `monitor`, which may also cancel.

        Args:
            schedule: Length, seed and precision.
            monitor: Is told every step.
            on_epoch: Is told every finished epoch, after its checkpoint was written.
        """
        self.schedule = schedule
        self.monitor = monitor or Monitor()
        self._on_epoch = on_epoch
        self.num_epochs = schedule.epochs
        self.num_iterations_per_epoch = schedule.steps
        self.num_val_iterations_per_epoch = schedule.validation_steps
        precision = schedule.precision
        if precision == "auto":
            precision = "float16" if self.device.type == "cuda" else "float32"
        self._dtype = _DTYPES[precision]
        self.grad_scaler = torch.amp.GradScaler(self.device.type) if precision == "float16" else None

    def initialize(self) -> None:
        """Build network, optimiser and loss from the schedule's seed; wrap the network for several processes.

        nnU-Net's own wrapping is for GPUs only, so it is told of one process, and the rest is done here.
        """
        self._seed(_SEED_OF_WEIGHTS)
        together, self.is_ddp = self.is_ddp, False
        super().initialize()
        if self.device.type == "cpu":
            _keep_activations(self.network)
        self.is_ddp = together
        if together:
            with redirect_stdout(io.StringIO()):  # the share of each process
                self._set_batch_size_and_oversample()
            self.network = ddp.wrap(self.network, self.device)
            self.loss = self._build_loss()
        self._log_lists().setdefault(SKIPPED, [])

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """nnU-Net's SGD, or AdamW for a Mamba-UNet; nnU-Net's polynomial decay by epochs for both."""
        if not self._is_mamba_unet:
            chosen: tuple[torch.optim.Optimizer, Any] = super().configure_optimizers()
            return chosen
        optimizer = make_optimizer(self.network)
        return optimizer, PolyLRScheduler(optimizer, LEARNING_RATE, self.num_epochs)

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Nothing for a network that has one output only."""
        if self.enable_deep_supervision:
            super().set_deep_supervision_enabled(enabled)

    def _build_loss(self) -> Any:  # noqa: ANN401
        """nnU-Net's; where the network has one output only, that has the whole weight.

        Images so small that two stages are planned give such a network, and nnU-Net's weights are 0 / 0 then.
        """
        with np.errstate(invalid="ignore"):
            loss = super()._build_loss()
        if self.enable_deep_supervision and len(loss.weight_factors) == 1:
            loss.weight_factors = (1.0,)
        return loss

    def _do_i_compile(self) -> bool:
        """Never: torch.compile does not know the scan's kernels."""
        return False

    def get_dataloaders(self) -> Any:  # noqa: ANN401
        """nnU-Net's loaders; processes that augment begin with numbers of their own after a resume."""
        self._seed(_SEED_OF_LOADERS + self.current_epoch)
        return super().get_dataloaders()

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """nnU-Net's augmentation, blurring always in the same way.

        nnU-Net times two ways to blur and takes the faster, so that the last bits of a batch depend on how
        busy the computer is. Its kernels are short, for which the direct way is the fast one anyway.
        """
        transforms = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        transforms.transforms.insert(0, EndWithParent())
        for transform in transforms.transforms:
            inner = getattr(transform, "transform", None)
            if isinstance(inner, GaussianBlurTransform):
                inner.benchmark = False
        return transforms

    @staticmethod
    def get_validation_transforms(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """nnU-Net's."""
        transforms = nnUNetTrainer.get_validation_transforms(*args, **kwargs)
        transforms.transforms.insert(0, EndWithParent())
        return transforms

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: ANN401, N802
        """nnU-Net's augmentation, with the schedule's mirror axes where it names them."""
        rotation, dummy_2d, patch_size, axes = (
            super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        if self.schedule.mirror_axes is not None:
            axes = self.schedule.mirror_axes
            self.inference_allowed_mirroring_axes = axes
        return rotation, dummy_2d, patch_size, axes

    def run_training(self) -> None:
        """Train from the present epoch to the schedule's last.

        Raises:
            InputError: The memory does not suffice, the disk is full, or the numbers broke down.
            Cancelled: `monitor` said so; the last finished epoch stays.
        """
        self._steps_done = self.current_epoch * self.schedule.steps
        try:
            with saying_what_lacks_memory(self.device, self.configuration_manager.batch_size):
                super().run_training()
        finally:
            for loader in (self.dataloader_train, self.dataloader_val):
                if hasattr(loader, "_finish"):  # its processes would wait for ever
                    loader._finish()

    def on_train_epoch_start(self) -> None:
        """Set the learning rate, and seed sampling and augmentation by the epoch's number."""
        super().on_train_epoch_start()
        self._skipped = 0
        self._seed(self.current_epoch)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One optimiser step on `data` (B, C, *S) float32 and `target`, a list under deep supervision.

        A step whose loss or gradient is not finite changes nothing; its loss is given as NaN.

        Raises:
            InputError: Too many such steps in a row.
        """
        self.monitor.step("train", self._steps_done, self.schedule.epochs * self.schedule.steps)
        target = batch["target"]
        target = [t.to(self.device) for t in target] if isinstance(target, list) else target.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self._logits(self.network, batch["data"].to(self.device)), target)
        scaler = self.grad_scaler
        (loss if scaler is None else scaler.scale(loss)).backward()
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_norm)
        finite = bool(torch.isfinite(norm) & torch.isfinite(loss.detach()))
        if self.is_ddp:
            finite = ddp.all_agree(finite, self.device)
        if finite:
            self.optimizer.step() if scaler is None else scaler.step(self.optimizer)
        if scaler is not None:
            scaler.update()
        self._count(finite)
        return {"loss": loss.detach().cpu().numpy() if finite else np.array(np.nan, np.float32)}

    def _logits(self, network: Any, data: torch.Tensor) -> Any:  # noqa: ANN401
        """Logits (B, K, *S) float32, or a list of them, computed in the schedule's precision."""
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not None):
            output = network(data)
        return [o.float() for o in output] if isinstance(output, list | tuple) else output.float()

    def _count(self, finite: bool) -> None:
        self._steps_done += 1
        self._skipped += not finite
        self._skipped_in_a_row = 0 if finite else self._skipped_in_a_row + 1
        if self._skipped_in_a_row == MOST_SKIPPED_IN_A_ROW:
            raise InputError(
                f"the training broke down in epoch {self.current_epoch + 1}: in {MOST_SKIPPED_IN_A_ROW} "
                f"steps in a row loss or gradient were not finite; {KEPT}. Look for NaN in the images, or "
                "go on with --resume --precision float32"
            )

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the mean loss of the steps that counted."""
        counted = [output for output in train_outputs if np.isfinite(output["loss"])]
        super().on_train_epoch_end(counted or train_outputs)
        self.logger.log(SKIPPED, self._skipped, self.current_epoch)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's, in the schedule's precision (nnU-Net's is float16 on any GPU)."""
        network = self.network
        self.network = lambda data: self._logits(network, data)
        try:
            result: dict[str, Any] = super().validation_step(batch)
        finally:
            self.network = network
        return result

    def on_epoch_end(self) -> None:
        """Write the checkpoint from which the next run can go on; then tell of the epoch."""
        self.logger.log("epoch_end_timestamps", time.time(), self.current_epoch)
        score = defined(self.logger.get_value(self.best_by, step=-1))
        if score is not None and (self._best_ema is None or score > self._best_ema):
            self._best_ema = score
            self.save_checkpoint(str(self._folder / BEST))
        self.save_checkpoint(str(self._folder / LATEST))
        self.current_epoch += 1
        if self.local_rank == 0:
            self._tell(self.records())

    def _tell(self, records: list[EpochRecord]) -> None:
        _log.info("%s", records[-1].line())
        tell(self._folder, records)
        if self._on_epoch is not None:
            self._on_epoch(records[-1])

    def records(self) -> list[EpochRecord]:
        """Every finished epoch, those before a resume included."""
        return records_of(self._log_lists(), self._label_names(), self.current_epoch, self.num_epochs)

    def _label_names(self) -> list[str]:
        """Names of what the network segments, in the order of its Dice figures."""
        labels = self.dataset_json["labels"]
        named = [name for name in labels if name not in ("background", "ignore")]
        return named if self.label_manager.has_regions else sorted(named, key=lambda name: int(labels[name]))

    def _log_lists(self) -> dict[str, list[Any]]:
        """nnU-Net's log: a list for each figure, with an entry for each epoch."""
        lists: dict[str, list[Any]] = self.logger.local_logger.my_fantastic_logging
        return lists

    @property
    def _folder(self) -> Path:
        return Path(self.output_folder)

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint whole or not at all; one process of several does it.

        Raises:
            InputError: A weight is not finite, or the disk does not take the file. The one before stays.
        """
        if self.local_rank:
            return
        if not all(bool(torch.isfinite(weight).all()) for weight in self.network.parameters()):
            raise InputError(
                f"the weights after epoch {self.current_epoch + 1} are not finite and were not saved; "
                f"{KEPT}: go on with --resume --precision float32"
            )
        try:
            with atomic_write(filename, overwrite=True) as beside:
                super().save_checkpoint(str(beside))
        except (InputError, RuntimeError) as error:  # PyTorch's writer gives a RuntimeError
            raise InputError(
                f"the checkpoint of epoch {self.current_epoch + 1} could not be written "
                f"({_why(error, filename)}); {KEPT}: make room, then go on with --resume"
            ) from error

    def resume(self) -> bool:
        """Go on from the newest checkpoint of this run's folder, if there is one; say whether there was.

        Raises:
            ModelError: The checkpoint is damaged, or holds what no training writes; nothing in it was run.
        """
        if self.local_rank == 0:
            for leftover in self._folder.glob(f"{HIDDEN}*"):  # of a writer that was killed
                leftover.unlink(missing_ok=True)
        for name in (LATEST, FINAL):
            checkpoint = self._folder / name
            if checkpoint.exists():
                with advising(self._without(name)):
                    read_checkpoint(checkpoint)  # nnU-Net's reader would run what it names
                try:
                    self.load_checkpoint(str(checkpoint))
                except ValueError:  # PyTorch's optimisers, of a state with other groups
                    raise InputError(
                        f"{name} is of a training with another optimiser, which cannot go on here; take its "
                        "weights with --pretrained, into another folder"
                    ) from None
                lists = self._log_lists()
                lists.setdefault(SKIPPED, [0] * self.current_epoch)
                return True
        return False

    def _without(self, name: str) -> str:
        """What to do about a checkpoint that cannot be read."""
        best = self._folder / BEST
        if best.is_file():
            return f"copy {BEST} over {name} to go on from there, or delete both to begin anew"
        return f"delete {name} to begin anew"

    def print_to_log_file(
        self, *args: object, also_print_to_console: bool = True, add_timestamp: bool = True
    ) -> None:
        """nnU-Net's messages go to the log, in debug, instead of a file and the terminal."""
        _log.debug(" ".join(str(arg).strip() for arg in args))

    def plot_network_architecture(self) -> None:
        """No drawing: nnU-Net's needs a package that no longer works."""

    def _save_debug_information(self) -> None:
        """No debug.json: it would name this computer and the cases."""

    def _seed(self, number: int) -> None:
        """Seed every generator for this process of the training by one of its numbers."""
        words = np.random.SeedSequence((self.schedule.seed, number, self.local_rank)).generate_state(1)
        seed = int(words[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def _why(error: Exception, path: str) -> str:
    """What the system said; PyTorch's writer does not pass it on, so the room that is left."""
    if isinstance(error, InputError):
        return str(error).partition(";")[0]
    return f"{shutil.disk_usage(Path(path).parent).free / MEGABYTE:.0f} MB are free on the disk"


def _keep_activations(network: torch.nn.Module) -> None:
    """Let activations write new maps. In place they write into a view, the instance norm's output, for which
    autograd copies the whole map four times on the way back: a sixth of the time of
    convolution, norm and activation on a CPU.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.LeakyReLU):
            module.inplace = False
