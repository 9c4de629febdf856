"""How long a training runs and what it may vary."""

from __future__ import annotations

from dataclasses import dataclass

# nnU-Net's lengths (Isensee et al., Nature Methods 18, 2021), which U-Mamba took over.
EPOCHS, STEPS = 1000, 250
# A validation batch for every so many steps, as in nnU-Net: 50 for 250.
STEPS_PER_VALIDATION = 5
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
# Seeds of epochs and processes are derived from it, and each must fit 32 bits.
MAX_SEED = 2**32 - 1


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
        precision: Of convolutions: "float32", "bfloat16", "float16" (with a scaled loss), or "auto", which is
            float16 on an NVIDIA GPU, as nnU-Net, and float32 elsewhere. Weights, Mamba layers and loss stay
            float32. On a CPU bfloat16 halves a step's time where the processor multiplies it in hardware;
            elsewhere it is slower.
    """

    epochs: int
    steps: int
    validation_steps: int = 5
    seed: int = 0
    mirror_axes: tuple[int, ...] | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        if min(self.epochs, self.steps, self.validation_steps) < 1:
            raise ValueError("epochs, steps and validation_steps must each be at least 1")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed is {self.seed}, a number from 0 to {MAX_SEED} wanted")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}, one of {', '.join(PRECISIONS)} wanted")
