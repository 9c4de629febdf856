"""A results folder of nnU-Net, U-Mamba or our own training, read safely and checked as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umamba.errors import InputError, ModelError
from umamba.models.checkpoint import Checkpoint, read_checkpoint
from umamba.models.locate import (
    DATASET,
    PLANS,
    POSTPROCESSING,
    TrainerFolder,
    find_trainer_folders,
    postprocessing_files,
)
from umamba.models.mamba_unet_bare import BareModel, BareOptions, read_bare
from umamba.models.paths import FILE, kind_of, reading
from umamba.plans import (
    NETWORK_CLASSES,
    Configuration,
    Dataset,
    Plans,
    load_json,
    parse_dataset,
    parse_plans,
)
from umamba.plans.architecture import BOT, ENC, MAMBA_UNET, PLAIN, RESIDUAL

U_MAMBA, NNUNET, OURS, MAMBA_UNET_CODE = "u-mamba", "nnunetv2", "umamba", "mamba-unet"
# Trainers of U-Mamba's fork, whose plans do not name the network.
_FORK_TRAINER = "nnUNetTrainerUMamba"
_FORK_NETWORKS = {"nnUNetTrainerUMambaBot": BOT, "nnUNetTrainerUMambaEnc": ENC}
_OUR_TRAINER = "UMambaTrainer"
BARE_SUFFIX = ".pth"


@dataclass(frozen=True)
class Results:
    """One trained configuration, all folds.

    Attributes:
        folder: Where it lies.
        plans, dataset: Typed; `plans_raw`, `dataset_raw` as decoded from JSON.
        configuration: The one that was trained.
        network, generation: As `umamba.nn.build` takes them.
        trainer: nnU-Net's trainer class, a name only.
        origin: The code that trained it: "u-mamba", "nnunetv2", "umamba" or "mamba-unet".
        mirror_axes: Axes that the training allowed to mirror.
        checkpoints: By fold: "0", "1", ... before "all".
        previous: The first stage of a cascade, or None.
        notes: What a person should know of what was taken.
    """

    folder: Path
    plans: Plans
    dataset: Dataset
    plans_raw: Mapping[str, Any]
    dataset_raw: Mapping[str, Any]
    configuration: Configuration
    network: str
    generation: str | None
    trainer: str
    origin: str
    mirror_axes: tuple[int, ...]
    checkpoints: Mapping[str, Checkpoint]
    previous: Results | None
    notes: tuple[str, ...]


def read_results(path: Path, unfinished: bool = False, bare: BareOptions | None = None) -> Results:
    """Read a results folder of any level, one checkpoint, or a bare state dict of Mamba-UNet.

    Args:
        path: The folder or file.
        unfinished: Whether a training that has not finished will do.
        bare: What a bare state dict does not say; None takes the published values.

    Raises:
        ModelError: No model, several models, or one that is unsafe, damaged or of an unknown kind.
        InputError: `bare` for a model that is none, or that does not fit it.
    """
    with reading(path):
        if path.suffix == BARE_SUFFIX and kind_of(path) == FILE:
            found = read_bare(path, bare or BareOptions())
            if found is not None:
                return _of_bare(found)
        chosen = _choose(path, find_trainer_folders(path, unfinished))
        if bare is not None:
            raise InputError(
                f"{path.name or path}: labels and image_size are for bare state dicts, that is tensors by "
                "their names; this is none"
            )
        return _read(chosen)


def _of_bare(bare: BareModel) -> Results:
    """A bare state dict as one fold of the configuration that its shapes tell."""
    from umamba.models.strict import check_shapes

    path = bare.checkpoint.path
    plans, dataset = parse_plans(bare.plans), parse_dataset(bare.dataset)
    configuration = plans.configuration(bare.checkpoint.configuration)
    source = "of the sizes that its other tensors have"
    check_shapes(configuration, dataset, MAMBA_UNET, None, bare.checkpoint.shapes, path.name, source)
    size = configuration.patch_size[0]
    return Results(
        folder=path.parent,
        plans=plans,
        dataset=dataset,
        plans_raw=bare.plans,
        dataset_raw=bare.dataset,
        configuration=configuration,
        network=MAMBA_UNET,
        generation=None,
        trainer=bare.checkpoint.trainer,
        origin=MAMBA_UNET_CODE,
        mirror_axes=(),
        checkpoints={bare.checkpoint.fold: bare.checkpoint},
        previous=None,
        notes=(
            f"a bare state dict: slices go in at {size} x {size} pixels, as in the published ACDC scripts",
        ),
    )


def _choose(path: Path, found: Sequence[TrainerFolder]) -> TrainerFolder:
    """The one model that is meant: a cascade counts as one."""
    if len(found) == 1:
        return found[0]
    if len(found) == 2:
        for entry in found:
            other = next(candidate for candidate in found if candidate is not entry)
            previous = _previous_stage(entry)
            if previous is not None and entry.sibling(previous) == other.folder:
                return entry
    names = ", ".join(sorted(str(entry.folder.relative_to(path)) for entry in found))
    raise ModelError(f"{path.name or path}: {len(found)} trained models found, give one of them: {names}")


def _previous_stage(trainer: TrainerFolder) -> str | None:
    path, name = trainer.json_file(PLANS), trainer.configuration
    if path is None or name is None:
        return None
    plans = parse_plans(load_json(path))
    return plans.configuration(name).previous_stage if name in plans.configurations else None


def _read(trainer: TrainerFolder) -> Results:
    checkpoints = {}
    for fold, path in trainer.folds.items():
        checkpoint = read_checkpoint(path)
        checkpoints[fold or checkpoint.fold] = checkpoint
    first = next(iter(checkpoints.values()))
    _check_agreement(checkpoints)
    plans_raw, dataset_raw = _json(trainer, PLANS, first.plans), _json(trainer, DATASET, first.dataset)
    plans, dataset = parse_plans(plans_raw), parse_dataset(dataset_raw)
    configuration = plans.configuration(first.configuration)
    _check_channels(configuration, dataset)
    network, generation, origin = _network(first, configuration)
    _check_weights(checkpoints, configuration, dataset, network, generation)
    notes = list(trainer.notes)
    if postprocessing_files(trainer.folder):
        notes.append(f"{POSTPROCESSING} is ignored: the labels are the network's own")
    if "all" in checkpoints and len(checkpoints) > 1:
        notes.append("fold_all is stored too; a run averages the numbered folds")
    return Results(
        folder=trainer.folder,
        plans=plans,
        dataset=dataset,
        plans_raw=plans_raw,
        dataset_raw=dataset_raw,
        configuration=configuration,
        network=network,
        generation=generation,
        trainer=first.trainer,
        origin=origin,
        mirror_axes=tuple(axis for axis in first.mirror_axes if axis < configuration.axes),
        checkpoints=checkpoints,
        previous=_read_previous(trainer, configuration, dataset),
        notes=tuple(notes),
    )


def _check_agreement(checkpoints: Mapping[str, Checkpoint]) -> None:
    """All folds must be of one training."""
    aspects: dict[str, Callable[[Checkpoint], object]] = {
        "trainer": lambda checkpoint: checkpoint.trainer,
        "configuration": lambda checkpoint: checkpoint.configuration,
        "mirroring axes": lambda checkpoint: checkpoint.mirror_axes,
    }
    for what, value in aspects.items():
        found = {fold: value(checkpoint) for fold, checkpoint in checkpoints.items()}
        if len(set(found.values())) > 1:
            said = ", ".join(f"fold {fold}: {entry}" for fold, entry in found.items())
            raise ModelError(f"the folds are of different trainings ({what}: {said}); keep those that belong")


def _check_channels(configuration: Configuration, dataset: Dataset) -> None:
    """Each channel needs a scheme; further schemes are ignored, as nnU-Net does."""
    schemes, channels = len(configuration.normalization), len(dataset.channel_names)
    if schemes < channels:
        raise ModelError(
            f"plans.json has {schemes} normalization_schemes for the {channels} channels of dataset.json"
        )


def _json(trainer: TrainerFolder, name: str, stored: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """plans.json or dataset.json: the file, as nnU-Net takes it; without one, the checkpoint's copy."""
    path = trainer.json_file(name)
    if path is not None:
        return load_json(path)
    if stored is None:
        raise ModelError(f"{trainer.folder.name}: {name} is missing; give the folder that has it")
    return stored


def _network(checkpoint: Checkpoint, configuration: Configuration) -> tuple[str, str | None, str]:
    """Class, generation and origin, from trainer, plans and keys, which must agree.

    Returns:
        (network, generation, origin).
    """
    from umamba.nn.keys import identify

    name = checkpoint.path.name
    try:
        found = identify(checkpoint.shapes)
    except ModelError:
        raise ModelError(
            f"{name}: the network of {checkpoint.trainer} is none of those known here "
            f"({', '.join(NETWORK_CLASSES)})"
        ) from None
    planned = configuration.architecture.network_class
    origin = NNUNET
    if checkpoint.trainer.startswith(_FORK_TRAINER):
        origin = U_MAMBA
        planned = next(
            (net for trainer, net in _FORK_NETWORKS.items() if checkpoint.trainer.startswith(trainer)),
            found.network,
        )
    elif planned not in (PLAIN, RESIDUAL) or checkpoint.trainer.startswith(_OUR_TRAINER):
        origin = OURS
    if found.network != planned:
        raise ModelError(
            f"{name}: its weights are of a {found.network}, while {checkpoint.trainer} and plans.json name "
            f"a {planned}; the files do not belong together"
        )
    if found.axes != configuration.axes:
        raise ModelError(
            f"{name}: its weights are {found.axes}D, while the configuration {configuration.name!r} is "
            f"{configuration.axes}D; the files do not belong together"
        )
    return found.network, found.generation, origin


def _check_weights(
    checkpoints: Mapping[str, Checkpoint],
    configuration: Configuration,
    dataset: Dataset,
    network: str,
    generation: str | None,
) -> None:
    from umamba.models.strict import check_shapes

    for checkpoint in checkpoints.values():
        where = f"{checkpoint.path.parent.name}/{checkpoint.path.name}"
        check_shapes(configuration, dataset, network, generation, checkpoint.shapes, where)


def _read_previous(trainer: TrainerFolder, configuration: Configuration, dataset: Dataset) -> Results | None:
    """The first stage of a cascade, which nnU-Net keeps beside the second."""
    name = configuration.previous_stage
    if name is None:
        return None
    folder = trainer.sibling(name)
    if folder is None:
        raise ModelError(
            f"{trainer.folder.name}: it is the second stage of a cascade, and the first one ({name}) is not "
            "beside it; give the dataset's folder with both"
        )
    previous = _read(find_trainer_folders(folder)[0])
    if previous.previous is not None:
        raise ModelError(f"{trainer.folder.name}: a cascade of more than two stages is not known to nnU-Net")
    if previous.dataset.labels.values != dataset.labels.values:
        raise ModelError(f"{trainer.folder.name}: the two stages of the cascade have different labels")
    return previous
