"""The images that a model was trained on, as far as they still lie beside its results.

`umamba train -o FOLDER` keeps FOLDER/raw (a list of the images), FOLDER/preprocessed (the splits) and
FOLDER/results; results that were moved away from there, or made by nnU-Net itself, have nothing at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from umamba.errors import InputError
from umamba.events import Monitor
from umamba.models.package import Comparison
from umamba.training.dataset.of_training import raw_cases, training_names, validation_names
from umamba.training.dataset.raw import Case
from umamba.training.folders import TrainingFolders

if TYPE_CHECKING:
    from umamba.models.model import Arrays, Model
    from umamba.models.results import Results

COMPARED_CASES = 3
STAGE = "compare"


@dataclass(frozen=True)
class DataAtHand:
    """What `umamba.models.package` asks of the training's images.

    Attributes:
        measure: Whether to segment some of them.
        device, threads: As for `umamba.segment`.
        monitor: Progress and cancel.
    """

    measure: bool = True
    device: str = "auto"
    threads: int | None = None
    monitor: Monitor = field(default_factory=Monitor)

    def trained_on(self, results: Results) -> int | None:
        """How many cases the folds of these results were trained on, together."""
        try:
            folders, name = _folders(results), results.plans.dataset_name
            return len({case for fold in results.checkpoints for case in training_names(folders, name, fold)})
        except InputError:
            return None

    def orientations(self, results: Results) -> Sequence[str]:
        """How some validation images lie; those that have an orientation."""
        from umamba.imaging.orientation import NATIVE, orientation_of
        from umamba.imaging.read import read_image

        cases = _validation(results)[:COMPARED_CASES]
        found = [orientation_of(read_image(case.images[0])[0].geometry) for case in cases]
        return [letters for letters in found if letters != NATIVE]

    def compare(self, results: Results, folder: Path) -> Comparison | None:
        """Segment some validation cases with the model folder, and with its weights as they were trained."""
        cases = _validation(results)[:COMPARED_CASES] if self.measure else []
        if not cases:
            return None
        from umamba import models
        from umamba.inference import segment
        from umamba.inference.session import LoadedModel

        rounded = models.get(folder)
        pair = [LoadedModel(model) for model in (rounded, as_trained(rounded, results))]
        voxels, changed = 0, 0
        values = [label.value for label in rounded.card.labels]
        both, each = np.zeros(len(values)), np.zeros(len(values))
        for done, case in enumerate(cases):
            self.monitor.step(STAGE, done, len(cases))
            maps = []
            for model in pair:
                result = segment(
                    list(case.images),
                    model,
                    device=self.device,
                    threads=self.threads,
                    progress=lambda _: self.monitor.check(),
                )
                maps.append(result.labels if result.classes is None else result.classes)
            one, other = maps
            voxels, changed = voxels + one.size, changed + int((one != other).sum())
            both += [((one == value) & (other == value)).sum() for value in values]
            each += [(one == value).sum() + (other == value).sum() for value in values]
        self.monitor.step(STAGE, len(cases), len(cases))
        dice = np.divide(2 * both, each, out=np.ones(len(values)), where=each > 0)
        return Comparison(len(cases), voxels, changed, float(dice.min()))

    def draw(self, results: Results, folder: Path, case: str, picture: Path) -> None:
        """Draw a validation case with the model folder's labels.

        Raises:
            InputError: There is no such case at hand.
        """
        known = {entry.name: entry for entry in _validation(results)}
        if case not in known:
            some = ", ".join(sorted(known)[:COMPARED_CASES])
            raise InputError(
                f"the case {case!r} cannot be drawn: "
                + (
                    f"it is no validation case of these folds; {some}, for example, are"
                    if known
                    else "the training's images are not at hand; package from the folder of the training"
                )
            )
        draw_case(known[case], folder, picture, self.device)


def draw_case(case: Case, model: Path, picture: Path, device: str = "auto") -> None:
    """Draw a case with the labels that a model folder gives it, as the picture of the model."""
    from umamba.imaging.preview import draw_preview
    from umamba.inference import segment

    result = segment(list(case.images), model, device=device)
    draw_preview(result.image, result.labels, result.model.labels, picture)


def as_trained(model: Model, results: Results) -> Model:
    """A packaged model with the weights of the checkpoints in place of its own."""
    from umamba.models.checkpoint import read_arrays

    def read_fold(fold: str) -> Arrays:
        return read_arrays(results.checkpoints[fold])

    previous = model.previous
    if previous is not None and results.previous is not None:
        previous = as_trained(previous, results.previous)
    return replace(model, previous=previous, read_fold=read_fold)


def _folders(results: Results) -> TrainingFolders:
    """FOLDER of FOLDER/results/<dataset>/<Trainer>__<Plans>__<configuration>."""
    above = results.folder.resolve().parents
    return TrainingFolders(above[2] if len(above) > 2 else results.folder)


def _validation(results: Results) -> list[Case]:
    """The validation cases of all folds whose images can be read, in the order of the folds."""
    folders, name = _folders(results), results.plans.dataset_name
    try:
        known = raw_cases(folders, name)
        names = [case for fold in results.checkpoints for case in validation_names(folders, name, fold)]
    except InputError:
        return []
    cases = [known[case] for case in dict.fromkeys(names) if case in known]
    return [case for case in cases if all(path.is_file() for path in (*case.images, case.label))]
