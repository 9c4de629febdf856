"""Train a bundled model or a rival on the same split: `python train.py RECIPE DATA WORK [--network nnunet]`.

RECIPE is a module beside this one, heart_cine_lv for example; DATA the data's folder, as the module says;
WORK a folder for all that comes between. A run that was stopped goes on from its last epoch. The cases held
out are looked at after each epoch, which changes nothing of the training, and measured by publish.py, which
makes the model's folder.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from recipe import Recipe

from umamba.training import TrainingFolders
from umamba.training.dataset.raw import RawDataset
from umamba.training.planning.networks import NETWORKS
from umamba.training.prepare import prepare
from umamba.training.run import train


def make(recipe: Recipe, options: argparse.Namespace) -> Path:
    """Prepare what is not prepared yet, and train; the checkpoint's path."""
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    cases = recipe.cases(options.data, work)
    training, held_out = recipe.split(cases)
    split = work / "split.json"
    split.write_text(json.dumps([{"train": training, "val": held_out}]), encoding="utf-8")
    folders = TrainingFolders(work)
    prepared = prepare(
        RawDataset(recipe.dataset, tuple(cases), dict(recipe.description), work),
        folders,
        options.network or recipe.network,
        recipe.configuration,
        options=replace(recipe.options, base_features=options.features, most_features=None)
        if options.features
        else recipe.options,
        split=split,
        fold=0,
        processes=options.threads,
    )
    return train(
        folders,
        prepared.name,
        prepared.plans_name,
        prepared.configuration,
        replace(
            recipe.schedule, epochs=options.epochs or recipe.schedule.epochs, precision=options.precision
        ),
        device=options.device,
        processes=options.processes,
        pretrained=options.pretrained,
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", help="a module beside this one")
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--network", choices=sorted(NETWORKS), help="another than the recipe's")
    parser.add_argument("--features", type=int, help="width of the first stage, doubled without a limit")
    parser.add_argument("--epochs", type=int, help="another length than the recipe's")
    parser.add_argument(
        "--precision", default="bfloat16", help="bfloat16 is twice as fast on CPUs that have it"
    )
    parser.add_argument("--pretrained", help="a model to begin with")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--processes", type=int, default=0, help="processes that augment")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(options.threads)
    print(make(importlib.import_module(options.recipe).RECIPE, options))


if __name__ == "__main__":
    main()
