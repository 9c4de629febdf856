"""Loss, optimiser and learning rate of Mamba-UNet's published training (arXiv 2402.05079, and its code)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, POWER = 0.01, 0.9, 1e-4, 0.9
_SMOOTH = 1e-5


class PaperLoss(nn.Module):
    """Half the sum of cross entropy and Dice loss, both over the whole batch and with the background.

    The Dice loss of a class is 1 - (2 sum(p y) + 1e-5) / (sum(p^2) + sum(y^2) + 1e-5), p being the softmax;
    the mean over the classes counts. A class that is absent and given no probability has the loss 0.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of logits (B, K, *S) float32 for labels (B, 1, *S) of any integer type; a scalar."""
        labels = target[:, 0].long()
        probabilities = logits.softmax(1)
        truth = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
        axes = [0, *range(2, logits.dim())]
        common = (probabilities * truth).sum(axes)
        total = (probabilities * probabilities).sum(axes) + truth.sum(axes)
        dice = 1 - (2 * common + _SMOOTH) / (total + _SMOOTH)
        return 0.5 * (functional.cross_entropy(logits, labels) + dice.mean())


def make_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.SGD:
    """SGD with momentum, without Nesterov's step, decaying every tensor."""
    return torch.optim.SGD(parameters, LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)


def learning_rate(step: int, steps: int) -> float:
    """The rate of one step (from 0) of `steps`.

    The published loop sets it after each step from that step's own number, so that every step has the rate
    of the one before, and the first two have the full one.
    """
    return float(LEARNING_RATE * (1 - max(step - 1, 0) / steps) ** POWER)


class RateByStep:
    """Sets the learning rate; in the place of nnU-Net's scheduler, which counts epochs."""

    def __init__(self, optimizer: torch.optim.Optimizer, steps_of_epoch: int, steps: int) -> None:
        self._optimizer, self._steps_of_epoch, self._steps = optimizer, steps_of_epoch, steps

    def step(self, epoch: int) -> None:
        """Set the rate of an epoch's first step."""
        self.at(epoch * self._steps_of_epoch)

    def at(self, step: int) -> None:
        """Set the rate of a step."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(step, self._steps)
