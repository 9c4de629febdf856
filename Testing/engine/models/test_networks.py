"""Every network that the published code trains goes through checkpoint, import, store and back unchanged."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from engine.models.hostile_files import save_checkpoint
from umamba import models

TRAINERS = {
    "UMambaBot": "nnUNetTrainerUMambaBot",
    "UMambaEnc": "nnUNetTrainerUMambaEncNoAMP",
    "PlainConvUNet": "nnUNetTrainer",
    "ResidualEncoderUNet": "nnUNetTrainer",
}
NETWORKS = 14  # of the oracle


def results_folder(folder: Path, case: dict, oracle: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A results folder as nnU-Net would have written it for a network of the oracle, and its weights."""
    trainer, configuration = TRAINERS[case["network"]], case["configuration"]
    place = folder / f"{trainer}__nnUNetPlans__{configuration}"
    (place / "fold_0").mkdir(parents=True)
    plans = json.loads((oracle / case["plans"]).read_text())
    dataset = json.loads((oracle / case["dataset"]).read_text())
    shutil.copy(oracle / case["plans"], place / "plans.json")
    shutil.copy(oracle / case["dataset"], place / "dataset.json")
    with np.load(oracle / case["file"]) as stored:
        weights = {key[2:]: torch.from_numpy(stored[key]) for key in stored.files if key.startswith("w.")}
    everything = {key: weights[case["aliases"].get(key, key)] for key in case["state_dict"]}
    arguments = {"plans": plans, "configuration": configuration, "fold": 0, "dataset_json": dataset}
    save_checkpoint(
        place / "fold_0" / "checkpoint_final.pth", everything, trainer_name=trainer, init_args=arguments
    )
    return place, weights


def test_every_published_network(oracle, tmp_path):
    folder = oracle / "networks"
    cases = json.loads((folder / "manifest.json").read_text())["cases"]
    assert len(cases) == NETWORKS
    for case in cases:
        place, weights = results_folder(tmp_path / case["name"], case, folder)
        stored = models.find(models.import_(place, id=case["name"].replace("_", "-")))
        network = stored.card.network
        legacy = case["generation"] if case["network"].startswith("UMamba") else None
        assert (network.class_, network.generation) == (case["network"], legacy), case["name"]
        assert stored.card.origin == ("u-mamba" if legacy else "nnunetv2")
        state = models.load_network(stored.id).state_dict()
        assert state.keys() == weights.keys()
        for key, tensor in state.items():
            assert torch.equal(tensor, weights[key]), f"{case['name']}: {key}"
