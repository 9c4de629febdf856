"""How the bundled model hippocampus-mr was made: `python hippocampus_mr.py DATA WORK`.

DATA is the training part of the Medical Segmentation Decathlon's Task04_Hippocampus in nnU-Net's layout
(imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz, dataset.json); WORK a folder for all that comes between.
A run that was stopped goes on from its last epoch. publish.py then makes the model's folder.
"""

import argparse
import json
import logging
import os
from pathlib import Path

from umamba.training import Schedule, TrainingFolders, planning
from umamba.training.run import train

DATASET = "Dataset004_Hippocampus"
CONFIGURATION = "3d_fullres"
PLANS = "UMambaBotPlans"
HELD_OUT = 40  # cases that neither plans nor training see: the card's accuracy is measured on them
WATCHED = 8  # cases of the training part on which each epoch's validation loss is computed
SEED = 8
LEFT_RIGHT = (2,)  # the arrays are (Z, Y, X): a mirrored right hippocampus is a left one


def cases(data: Path) -> list[planning.Case]:
    """All labelled cases of the folder."""
    names = sorted(path.name.removesuffix(".nii.gz") for path in (data / "labelsTr").glob("*.nii.gz"))
    return [
        planning.Case(
            name, (data / "imagesTr" / f"{name}_0000.nii.gz",), data / "labelsTr" / f"{name}.nii.gz"
        )
        for name in names
    ]


def split(data: Path) -> tuple[list[str], list[str], list[str]]:
    """Names of the cases to train on, to watch and to test on."""
    names = [case.name for case in cases(data)]
    seen, held_out = planning.hold_out(names, HELD_OUT, SEED)
    training, watched = planning.hold_out(seen, WATCHED, SEED)
    return training, watched, held_out


def prepare(data: Path, folders: TrainingFolders) -> None:
    """Plans by nnU-Net's planner with a narrow U-Mamba_Bot in place of its U-Net; preprocessed cases."""
    training, watched, held_out = split(data)
    description = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    seen = [case for case in cases(data) if case.name not in held_out]
    planning.write_dataset(folders, DATASET, seen, description)
    plans = planning.with_network(
        planning.plan(folders, DATASET),
        CONFIGURATION,
        "umamba.nn.UMambaBot",
        plans_name=PLANS,
        base_features=16,
        most_features=128,
        batch_size=4,
    )
    planning.preprocess(folders, DATASET, plans, CONFIGURATION)
    planning.write_split(folders, DATASET, training, watched)


def main() -> None:
    """Prepare once, then train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=50, help="optimiser steps of an epoch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(options.threads)
    folders = TrainingFolders(options.work)
    if not (folders.preprocessed / DATASET / "splits_final.json").exists():
        prepare(options.data, folders)
    schedule = Schedule(
        options.epochs, options.steps, validation_steps=4, seed=SEED, mirror_axes=LEFT_RIGHT, bfloat16=True
    )
    print(train(folders, DATASET, PLANS, CONFIGURATION, schedule))


if __name__ == "__main__":
    main()
