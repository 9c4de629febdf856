"""How the bundled model heart-cine-lv is made: `python heart_cine_lv.py DATA WORK`.

DATA is the Sunnybrook Cardiac Data in nnU-Net's layout (imagesTr/<patient>_<ED or ES>_0000.nii.gz,
labelsTr/<patient>_<ED or ES>.nii.gz, dataset.json); WORK a folder for all that comes between. A run that was
stopped goes on from its last epoch. publish.py then makes the model's folder.
"""

import argparse
import json
import logging
import os
from pathlib import Path

from umamba.training import Schedule, TrainingFolders, planning
from umamba.training.run import train

DATASET = "Dataset027_CardiacCineLV"
CONFIGURATION = "2d"
NETWORKS = {"umamba-enc": "umamba.nn.UMambaEnc", "nnunet": "umamba.nn.PlainConvUNet"}
HELD_OUT = 7  # patients, both phases, that neither plans nor training see
WATCHED = 3  # patients of the training part on whom each epoch's validation loss is computed
SEED = 27


def cases(data: Path) -> list[planning.Case]:
    """All labelled cases of the folder."""
    names = sorted(path.name.removesuffix(".nii.gz") for path in (data / "labelsTr").glob("*.nii.gz"))
    return [
        planning.Case(
            name, (data / "imagesTr" / f"{name}_0000.nii.gz",), data / "labelsTr" / f"{name}.nii.gz"
        )
        for name in names
    ]


def patient(name: str) -> str:
    """The patient of a case: its name without the phase."""
    return name.rpartition("_")[0]


def split(data: Path) -> tuple[list[str], list[str], list[str]]:
    """Names of the cases to train on, to watch and to test on; a patient's two phases stay together."""
    names = [case.name for case in cases(data)]
    seen, held_out = planning.hold_out(sorted({patient(name) for name in names}), HELD_OUT, SEED)
    training, watched = planning.hold_out(seen, WATCHED, SEED)
    parts = [[name for name in names if patient(name) in part] for part in (training, watched, held_out)]
    return parts[0], parts[1], parts[2]


def prepare(data: Path, folders: TrainingFolders, network: str) -> None:
    """Plans by nnU-Net's planner with a narrow network in place of its U-Net; preprocessed cases."""
    training, watched, held_out = split(data)
    description = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    seen = [case for case in cases(data) if case.name not in held_out]
    planning.write_dataset(folders, DATASET, seen, description)
    plans = planning.with_network(
        planning.plan(folders, DATASET),
        CONFIGURATION,
        NETWORKS[network],
        plans_name=network,
        base_features=16,
        most_features=192,
        batch_size=8,
    )
    planning.preprocess(folders, DATASET, plans, CONFIGURATION)
    planning.write_split(folders, DATASET, training, watched)


def main() -> None:
    """Prepare once, then train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="umamba-enc")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=50, help="optimiser steps of an epoch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(options.threads)
    folders = TrainingFolders(options.work)
    if not (folders.preprocessed / DATASET / f"{options.network}.json").exists():
        prepare(options.data, folders, options.network)
    schedule = Schedule(options.epochs, options.steps, validation_steps=4, seed=SEED, bfloat16=True)
    print(train(folders, DATASET, options.network, CONFIGURATION, schedule, device=options.device))


if __name__ == "__main__":
    main()
