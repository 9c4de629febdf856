"""A training's working folder made of published results: what `umamba train -o FOLDER` leaves, in no time."""

import json
import shutil
from pathlib import Path

from umamba.training import TrainingFolders


def make_working_folder(
    root: Path, case: Path, validation: dict[str, str], training: dict[str, str] | None = None
) -> TrainingFolders:
    """Results, list of images and splits of an end-to-end case.

    Args:
        root: The new folder.
        case: A folder of `oracle` with results and input/<name>_0000.nii.gz ..., input/<name>_truth.nii.gz.
        validation: Of each validation case of fold 0 the name in `case`.
        training: The same for its training cases; fold 1 has the parts exchanged.
    """
    training = training or {}
    folders = TrainingFolders(root)
    trainers = [entry for entry in case.iterdir() if "__" in entry.name]
    plans = json.loads((trainers[0] / "plans.json").read_text())
    name = plans["dataset_name"]
    for trainer in trainers:
        shutil.copytree(trainer, folders.results / name / trainer.name)
    for entry in folders.results.rglob("*"):
        entry.chmod(0o755)
    names = {**validation, **training}
    (folders.raw / name).mkdir(parents=True)
    write_json(
        folders.raw / name / "dataset.json",
        {
            **json.loads((trainers[0] / "dataset.json").read_text()),
            "numTraining": len(names),
            "dataset": {
                own: {
                    "images": [str(path) for path in sorted(case.glob(f"input/{source}_0*.nii.gz"))],
                    "label": str(case / "input" / f"{source}_truth.nii.gz"),
                }
                for own, source in names.items()
            },
        },
    )
    (folders.preprocessed / name).mkdir(parents=True)
    parts = [list(training), list(validation)]
    splits = [{"train": train, "val": held} for train, held in (parts, parts[::-1])]
    write_json(folders.preprocessed / name / "splits_final.json", splits)
    return folders


def trainer_folder(folders: TrainingFolders, configuration: str = "3d_fullres") -> Path:
    """Its results of one configuration."""
    (found,) = folders.results.glob(f"*/*__{configuration}")
    return found


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
