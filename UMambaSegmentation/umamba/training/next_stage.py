"""What the first stage of a cascade leaves for the training of the second.

nnU-Net (its trainer's perform_actual_validation) keeps, beside the folds of 3d_lowres, the label map of each
validation case on the grid of the second stage's preprocessed images:
<first stage>/predicted_next_stage/<second stage>/<case>, in the form of its preprocessed segmentations.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.plans import load_json
from umamba.training.folders import TrainingFolders

if TYPE_CHECKING:
    from umamba.models.model import Model

FOLDER = "predicted_next_stage"
_PLANS_FILE = "plans.json"
_SUFFIXES = (".b2nd", ".npz")


def next_stages(results_folder: Path, model: Model) -> dict[str, Path]:
    """The second stages that the plans build on this configuration, with the folder for the maps of each."""
    configurations = load_json(results_folder / _PLANS_FILE)["configurations"]
    named = configurations[model.configuration.name].get("next_stage") or ()
    stages = [named] if isinstance(named, str) else named
    return {stage: results_folder / FOLDER / stage for stage in stages if stage in configurations}


def find_map(folder: Path, case: str) -> Path | None:
    """The map of a case, in whichever form nnU-Net keeps it, or None."""
    return next((path for suffix in _SUFFIXES if (path := folder / f"{case}{suffix}").is_file()), None)


def write_map(
    images: Sequence[Path], model: Model, folders: TrainingFolders, stage: str, target: Path, device: str
) -> None:
    """Write the map of one case by nnU-Net's own function from the logits of our engine.

    Args:
        images: One file per channel.
        model: The first stage, with the weights of one fold.
        folders: The training's folders.
        stage: Configuration of the second stage.
        target: The map, without suffix; it appears whole or not at all.
        device: As for `umamba.segment`.
    """
    import torch

    with folders.activate(augmentation_processes=1):
        from nnunetv2.inference.export_prediction import resample_and_save
        from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        from umamba.inference import logits, preprocess

        ready = preprocess(list(images), model)
        layout = ready.layout
        plans = PlansManager(load_json(model.folder / _PLANS_FILE))
        second = plans.get_configuration(stage)
        shape = compute_new_shape(layout.crop_shape, layout.crop_spacing, second.spacing)
        hidden = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
        try:
            resample_and_save(
                torch.from_numpy(logits(ready, model, device=device)),
                [int(length) for length in shape],
                str(hidden / target.name),
                plans,
                plans.get_configuration(model.configuration.name),
                {
                    "shape_after_cropping_and_before_resampling": layout.crop_shape,
                    "spacing": layout.crop_spacing,
                },
                load_json(model.folder / "dataset.json"),
                torch.get_num_threads(),
                _dataset_class(folders.preprocessed / plans.dataset_name / second.data_identifier),
            )
            for file in hidden.iterdir():
                file.replace(target.parent / file.name)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _dataset_class(folder: Path) -> Any:  # noqa: ANN401
    """How nnU-Net keeps the second stage's images: as they lie there, else as this version writes them."""
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class, nnUNetDatasetBlosc2

    return infer_dataset_class(str(folder)) if folder.is_dir() else nnUNetDatasetBlosc2
