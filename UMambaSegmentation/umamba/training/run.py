"""Train one fold of a planned and preprocessed dataset."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

from umamba.events import Monitor
from umamba.training.folders import TrainingFolders
from umamba.training.schedule import Schedule


def train(
    folders: TrainingFolders,
    name: str,
    plans_name: str,
    configuration: str,
    schedule: Schedule,
    *,
    fold: int = 0,
    device: str = "cpu",
    monitor: Monitor | None = None,
) -> Path:
    """Train, going on from the latest checkpoint where there is one.

    Args:
        folders: The training's folders, filled by `umamba.training.planning`.
        name: nnU-Net's dataset name.
        plans_name: The plans to train by.
        configuration: One of the plans' configurations.
        schedule: Length, seed and precision.
        fold: Entry of the dataset's splits.
        device: A torch device.
        monitor: Is told every step and may cancel; the latest checkpoint then stays.

    Returns:
        The final checkpoint's path, in nnU-Net's results layout.
    """
    import torch

    from umamba.training.trainer import FINAL, UMambaTrainer

    home = folders.preprocessed / name
    plans = json.loads((home / f"{plans_name}.json").read_text(encoding="utf-8"))
    dataset = json.loads((home / "dataset.json").read_text(encoding="utf-8"))
    dataset.pop("dataset", None)  # the cases' names and paths are nobody's business in a checkpoint
    with folders.activate():
        with redirect_stdout(io.StringIO()):  # nnU-Net announces its device
            trainer = UMambaTrainer(
                {**plans, "continue_training": False}, configuration, fold, dataset, torch.device(device)
            )
        trainer.follow(schedule, monitor)
        trainer.initialize()
        trainer.resume()
        trainer.run_training()
        return Path(trainer.output_folder) / FINAL
