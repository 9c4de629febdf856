"""Where one training lies on disk, and how nnU-Net is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The trainer's class, by whose name nnU-Net calls the folder of the results.
TRAINER = "UMambaTrainer"


@dataclass(frozen=True)
class TrainingFolders:
    """nnU-Net's three folders below one working folder.

    Attributes:
        root: The working folder; created when first used.
    """

    root: Path

    @property
    def raw(self) -> Path:
        """The list of the training cases (nnU-Net's nnUNet_raw)."""
        return self.root / "raw"

    @property
    def preprocessed(self) -> Path:
        """Fingerprint, plans and resampled cases."""
        return self.root / "preprocessed"

    @property
    def results(self) -> Path:
        """Checkpoints, in nnU-Net's layout."""
        return self.root / "results"

    def of_configuration(self, dataset: str, trainer: str, plans_name: str, configuration: str) -> Path:
        """The folder of a configuration's results."""
        return self.results / dataset / f"{trainer}__{plans_name}__{configuration}"

    @contextmanager
    def activate(self, augmentation_processes: int = 0) -> Iterator[None]:
        """Let nnU-Net see these folders until the block ends.

        nnU-Net takes its folders from environment variables and passes them on to its worker processes the
        same way; what was set before is restored.

        Args:
            augmentation_processes: 0 augments in this process, in a repeatable order. (nnU-Net's planner also
                takes this as its number of threads, so planning needs at least 1.)
        """
        wanted = {
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results),
            "nnUNet_n_proc_DA": str(augmentation_processes),
        }
        for folder in (self.raw, self.preprocessed, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
