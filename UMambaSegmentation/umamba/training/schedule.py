"""How long a training runs and what it may vary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The numbers of one training.

    Attributes:
        epochs: The learning rate falls polynomially to zero over these.
        steps: Optimiser steps of an epoch.
        validation_steps: Validation batches after each epoch.
        seed: Seeds weights, sampling and augmentation; each epoch is seeded anew from it, so that a training
            that was resumed sees the batches it would have seen.
        mirror_axes: Axes of the network's input (Z, Y, X) that augmentation may mirror; None: nnU-Net's.
        bfloat16: Convolutions in bfloat16; weights, Mamba layers and loss stay float32. Halves a step's time
            on processors that multiply bfloat16 in hardware; elsewhere it is slower.
    """

    epochs: int
    steps: int
    validation_steps: int = 5
    seed: int = 0
    mirror_axes: tuple[int, ...] | None = None
    bfloat16: bool = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.steps, self.validation_steps) < 1:
            raise ValueError("epochs, steps and validation_steps must each be at least 1")
