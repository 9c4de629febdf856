"""nnU-Net's trainer with a schedule of its own, atomic checkpoints and exact resuming.

Data loading, augmentation, loss, deep supervision, optimiser and learning rate are nnunetv2's
(Isensee et al., Nature Methods 18, 2021); the network is the one that the plans name by its class path.
"""

from __future__ import annotations

import logging
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from umamba.events import Monitor
from umamba.training.schedule import Schedule

_log = logging.getLogger(__name__)

LATEST = "checkpoint_latest.pth"
FINAL = "checkpoint_final.pth"
_GRADIENT_NORM = 12.0  # nnU-Net's clipping
_SEEDS_PER_RUN = 100_000  # more than any run has epochs, so that two runs' seeds do not overlap


class UMambaTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Trains any network that the plans name, by a `Schedule`.

    The constructor is nnU-Net's (it stores its arguments by name in every checkpoint); call `follow` before
    anything else.
    """

    schedule: Schedule
    monitor: Monitor

    def follow(self, schedule: Schedule, monitor: Monitor | None = None) -> None:
        """Take the numbers of `schedule`; report each step to `monitor`, which may also cancel."""
        self.schedule = schedule
        self.monitor = monitor or Monitor()
        self.num_epochs = schedule.epochs
        self.num_iterations_per_epoch = schedule.steps
        self.num_val_iterations_per_epoch = schedule.validation_steps
        self.save_every = 1

    def initialize(self) -> None:
        """Build network, optimiser and loss from the schedule's seed."""
        self._seed(_SEEDS_PER_RUN - 1)
        super().initialize()

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: ANN401, N802
        """nnU-Net's augmentation, with the schedule's mirror axes where it names them."""
        rotation, dummy_2d, patch_size, axes = (
            super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        if self.schedule.mirror_axes is not None:
            axes = self.schedule.mirror_axes
            self.inference_allowed_mirroring_axes = axes
        return rotation, dummy_2d, patch_size, axes

    def on_train_epoch_start(self) -> None:
        """Set the learning rate, and seed sampling and augmentation by the epoch's number."""
        super().on_train_epoch_start()
        self._seed(self.current_epoch)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One optimiser step on `data` (B, C, *S) float32 and `target`, a list under deep supervision."""
        total = self.schedule.epochs * self.schedule.steps
        self.monitor.step("train", self._steps_done, total)
        data = batch["data"].to(self.device)
        target = batch["target"]
        target = [t.to(self.device) for t in target] if isinstance(target, list) else target.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.schedule.bfloat16):
            output = self.network(data)
        output = [o.float() for o in output] if isinstance(output, list | tuple) else output.float()
        loss = self.loss(output, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_NORM)
        self.optimizer.step()
        self._steps_done += 1
        return {"loss": loss.detach().cpu().numpy()}

    def on_epoch_end(self) -> None:
        """Log the epoch's means and write the checkpoint from which the next run can go on."""
        value = self.logger.get_value
        _log.info(
            "epoch %d of %d: training loss %.4f, validation loss %.4f, validation Dice %s",
            self.current_epoch + 1,
            self.num_epochs,
            value("train_losses", step=-1),
            value("val_losses", step=-1),
            " ".join(f"{float(dice):.4f}" for dice in value("dice_per_class_or_region", step=-1)),
        )
        self.logger.log("epoch_end_timestamps", time.time(), self.current_epoch)
        self.save_checkpoint(str(Path(self.output_folder) / LATEST))
        self.current_epoch += 1

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint whole or not at all."""
        beside = Path(filename).with_suffix(".writing")
        super().save_checkpoint(str(beside))
        beside.replace(filename)

    def resume(self) -> bool:
        """Go on from the newest checkpoint of this run's folder, if there is one; say whether there was."""
        for name in (LATEST, FINAL):
            checkpoint = Path(self.output_folder) / name
            if checkpoint.exists():
                self.load_checkpoint(str(checkpoint))
                return True
        return False

    def run_training(self) -> None:
        """Train from the present epoch to the schedule's last."""
        self._steps_done = self.current_epoch * self.schedule.steps
        super().run_training()

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
        seed = self.schedule.seed * _SEEDS_PER_RUN + number
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
