"""Mamba-UNet's published training in nnU-Net's loop (Wang et al. 2024, arXiv 2402.05079, and its code).

An epoch is what lies between two validations. Each validation segments the fold's volumes as the published
script does, and the best is kept: mean Dice over volumes, then over labels, an empty prediction counting 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from umamba.training.mamba_unet.augment import bring_to
from umamba.training.mamba_unet.batches import SliceBatches, cases_of, volumes
from umamba.training.mamba_unet.loss import PaperLoss, RateByStep, make_optimizer
from umamba.training.trainer import UMambaTrainer

Batch = dict[str, torch.Tensor]


class UMambaTrainerMambaUNetPaper(UMambaTrainer):
    """Loss, optimiser, rate, slices, augmentation and validation as published, the rest `UMambaTrainer`'s.

    The schedule's validation steps and mirror axes mean nothing here.
    """

    gradient_norm = math.inf  # no clipping
    best_by = "mean_fg_dice"

    def configure_optimizers(self) -> tuple[torch.optim.SGD, RateByStep]:
        """The published optimiser and rate."""
        optimizer = make_optimizer(self.network.parameters())
        steps = self.schedule.steps
        return optimizer, RateByStep(optimizer, steps, steps * self.schedule.epochs)

    def _build_loss(self) -> PaperLoss:
        return PaperLoss()

    def get_dataloaders(self) -> tuple[Iterator[Batch], Iterator[Batch]]:
        """Slices to train on from the present step on, and volumes to validate on."""
        self.inference_allowed_mirroring_axes = ()
        training, validation = (cases_of(dataset) for dataset in self.get_tr_and_val_datasets())
        self.num_val_iterations_per_epoch = len(validation)
        side, steps = self._side(), self.schedule.steps
        slices = SliceBatches(training, self.batch_size, side, self.schedule.seed)
        first, last = self.current_epoch * steps, self.schedule.epochs * steps
        return slices.from_step(first, last, get_allowed_n_proc_DA()), volumes(validation, side)

    def _side(self) -> tuple[int, int]:
        rows, columns = self.configuration_manager.patch_size
        return int(rows), int(columns)

    def run_training(self) -> None:
        """As `UMambaTrainer`; the processes that load end with it."""
        try:
            super().run_training()
        finally:
            self.dataloader_train = self.dataloader_val = None

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """One step at its own learning rate."""
        self.lr_scheduler.at(self._steps_done)
        return super().train_step(batch)

    def validation_step(self, batch: Batch) -> dict[str, Any]:
        """Loss and Dice of one volume, slice by slice; the Dice at the volume's own size."""
        losses, found = [], []
        for start in range(0, len(batch["data"]), self.batch_size):
            data, target = (batch[key][start : start + self.batch_size] for key in ("data", "target"))
            logits = self._logits(self.network, data.to(self.device))
            losses.append(float(self.loss(logits, target.to(self.device))) * len(data))
            found.append(logits.argmax(1).to(torch.uint8).cpu().numpy())
            self.monitor.check()
        truth = batch["labels"].numpy()
        rows, columns = truth.shape[1:]
        labels = bring_to(np.concatenate(found), (rows, columns))
        heads = range(1, self.label_manager.num_segmentation_heads)
        return {
            "loss": np.array(sum(losses) / len(truth)),
            "dice": np.array([dice(labels == value, truth == value) for value in heads]),
        }

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Log the means over the volumes, and their mean over the labels."""
        by_label = np.mean([output["dice"] for output in val_outputs], axis=0)
        self.logger.log("mean_fg_dice", float(by_label.mean()), self.current_epoch)
        self.logger.log("dice_per_class_or_region", list(by_label), self.current_epoch)
        self.logger.log("val_losses", float(np.mean([o["loss"] for o in val_outputs])), self.current_epoch)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """The published Dice of two masks; 0 where nothing was found, even if there was nothing to find."""
    if not found.any():
        return 0.0
    return float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)))
