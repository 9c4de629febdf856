"""What the values of label maps are called, and where that is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from umamba.errors import InputError, ModelError
from umamba.evaluation.pairs import Pair
from umamba.evaluation.segment_names import NamedSegment, read_segments
from umamba.imaging.files import suffix_of
from umamba.plans import load_json
from umamba.plans.labels import parse_labels

DATASET_FILE = "dataset.json"
SEGMENTATION = ".seg.nrrd"


@dataclass(frozen=True)
class Label:
    """One thing to be found: the value, or for a region of nnU-Net the values, that voxels of it have."""

    name: str
    values: tuple[int, ...]

    def is_called(self, text: str) -> bool:
        """Whether a person who types `text` means this label: its name or its single value."""
        return text.casefold() == self.name.casefold() or self.values == (_number(text),)


@dataclass(frozen=True)
class Naming:
    """The labels to score.

    Attributes:
        labels: In their order, or None: every value above 0 that occurs, called by its number.
        ignore: Value whose voxels in the reference are left out, or None.
        source: Where the names come from, for a person.
        warnings: A file that should have had names and has none.
    """

    labels: tuple[Label, ...] | None
    ignore: int | None = None
    source: str = "the values found"
    warnings: tuple[str, ...] = ()


def find_naming(model: str | None, reference: Path, prediction: Path, pairs: Sequence[Pair]) -> Naming:
    """Names by the first of: the model, dataset.json in or above the reference's folder or in the
    prediction's, the references' own segment names (.seg.nrrd).

    A dataset.json that is not nnU-Net's is passed over with a warning.

    Raises:
        ModelError: There is no such model.
    """
    if model is not None:
        from umamba import models

        card = models.get(model).card
        return Naming(
            tuple(Label(label.key, (label.value,)) for label in card.labels), source=f"model {card.id}"
        )
    reference_folder = reference if reference.is_dir() else reference.parent
    prediction_folder = prediction if prediction.is_dir() else prediction.parent
    for folder in (reference_folder, reference_folder.resolve().parent, prediction_folder):
        path = folder / DATASET_FILE
        if path.is_file():
            try:
                return _from_dataset(path)
            except ModelError as error:
                naming = _from_segments(pairs)
                return replace(naming, warnings=(f"no names were taken from {path.name}: {error}",))
    return _from_segments(pairs)


def _from_dataset(path: Path) -> Naming:
    rules = parse_labels(load_json(path))
    labels = []
    for name, value in rules.names.items():
        values = (value,) if isinstance(value, int) else value
        if name != "ignore" and set(values) != {0}:
            labels.append(Label(name, tuple(values)))
    return Naming(tuple(labels), rules.ignore, f"{path.name} in {path.resolve().parent.name}")


def _from_segments(pairs: Iterable[Pair]) -> Naming:
    """The names in all references; a value that two names want goes to the first."""
    values: dict[str, int] = {}
    for pair in pairs:
        if suffix_of(pair.reference) == SEGMENTATION:
            for segment in read_segments(pair.reference):
                if segment.name not in values:
                    taken = set(values.values())
                    free = segment.value if segment.value not in taken else max(taken) + 1
                    values[segment.name] = free
    if not values:
        return Naming(None)
    return Naming(
        tuple(Label(name, (value,)) for name, value in values.items()), source="the segments' names"
    )


def translation(segments: Sequence[NamedSegment], labels: Sequence[Label]) -> Mapping[int, int]:
    """Which value of a segmentation file stands for which value of the labels: by name.

    A segment that no label is called like keeps its value if no label has it.

    Raises:
        InputError: It does not: the segment would be taken for that label.
    """
    found = {}
    for segment in segments:
        label = next((label for label in labels if segment.is_called(label.name)), None)
        if label is not None and len(label.values) == 1:
            found[segment.value] = label.values[0]
            continue
        taken = next((label for label in labels if segment.value in label.values), None)
        if taken is not None and not _number_like(segment.name, segment.value):
            raise InputError(
                f"segment {segment.name!r} has the value of label {taken.name!r} and another name; rename "
                "it, or save both as plain label maps"
            )
        found[segment.value] = segment.value
    return found


def _number_like(name: str, value: int) -> bool:
    """Whether a name says nothing but its number: "Label 3", "Segment_3", "3"."""
    return name.casefold().replace(" ", "_") in (f"label_{value}", f"segment_{value}", str(value))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
