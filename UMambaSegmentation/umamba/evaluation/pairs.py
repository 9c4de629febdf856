"""Which prediction belongs to which reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from umamba.errors import InputError
from umamba.imaging.files import checked_input, reason, suffix_of

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".tif", ".tiff")
# So many names fit into one line.
MOST_NAMES = 4


@dataclass(frozen=True)
class Pair:
    """One case: its name (the reference's, without its suffix) and its two files."""

    name: str
    reference: Path
    prediction: Path


def find_pairs(
    reference: Path, prediction: Path, *, allow_missing: bool, ending: str = ""
) -> tuple[list[Pair], list[str]]:
    """Two files are one pair, whatever their names; in two folders names alike up to the suffix are.

    Files of other kinds and hidden ones are passed over. Where a folder holds one name with several suffixes,
    the one that the other side has is taken.

    Args:
        reference, prediction: Two files or two folders.
        allow_missing: References without a prediction are left out, with a warning.
        ending: What the names of the references have more than those of the predictions, such as "_label".

    Returns:
        The pairs, sorted by name, and warnings: predictions without a reference, references left out.

    Raises:
        InputError: A file and a folder, the same place twice, no image, no pair, a reference without a
            prediction, one name for several files.
    """
    reference, prediction = checked_input(reference), checked_input(prediction)
    if reference.is_dir() != prediction.is_dir():
        raise InputError("REFERENCE and PREDICTION must be two files or two folders; one of each was given")
    if reference.resolve() == prediction.resolve():
        raise InputError(f"{reference} is given as REFERENCE and as PREDICTION; give two places")
    if reference.is_file():
        return [Pair(_stem(reference, ending), _image(reference), _image(prediction))], []
    references, predictions = _images(reference, ending), _images(prediction, "")
    names = sorted(references.keys() & predictions.keys())
    missing = sorted(references.keys() - predictions.keys())
    if not names:
        raise InputError(
            f"no prediction has the name of a reference: {reference.name} has {some(missing)}, "
            f"{prediction.name} has {some(sorted(predictions))}; give them the same names"
        )
    if missing and not allow_missing:
        raise InputError(
            f"{prediction.name} has no prediction of {some(missing)}; add what is missing, or "
            "--allow-missing to leave it out"
        )
    pairs = [_pair(name, references[name], predictions[name]) for name in names]
    return pairs, _warnings(missing, sorted(predictions.keys() - references.keys()))


def counted(number: int, what: str) -> str:
    """ "1 case", "2 cases"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """The first few of the names and how many more there are."""
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES])
    return f"{listed} and {more} more" if more > 0 else listed


def _warnings(missing: Sequence[str], extra: Sequence[str]) -> list[str]:
    found = []
    if missing:
        found.append(f"{_without(missing, 'reference')} no prediction and {_left_out(missing)}")
    if extra:
        found.append(f"{_without(extra, 'prediction')} no reference and {_left_out(extra)}")
    return found


def _without(names: Sequence[str], what: str) -> str:
    return f"{counted(len(names), what)} {'has' if len(names) == 1 else 'have'}"


def _left_out(names: Sequence[str]) -> str:
    return f"{'was' if len(names) == 1 else 'were'} left out: {some(names)}"


def _images(folder: Path, ending: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder.name}: cannot be read: {reason(error)}; check the folder") from error
    for path in paths:
        if suffix_of(path) in SUFFIXES and not path.name.startswith(".") and path.is_file():
            found.setdefault(_stem(path, ending), []).append(path)
    if not found:
        raise InputError(f"{folder.name}: holds no label image; known are {', '.join(SUFFIXES)}")
    return found


def _image(path: Path) -> Path:
    if suffix_of(path) not in SUFFIXES:
        raise InputError(f"{path.name}: is no label image by its name; known are {', '.join(SUFFIXES)}")
    return path


def _stem(path: Path, ending: str) -> str:
    return path.name[: len(path.name) - len(suffix_of(path))].removesuffix(ending)


def _pair(name: str, references: list[Path], predictions: list[Path]) -> Pair:
    both = [(one, other) for one in references for other in predictions]
    if len(both) > 1:
        both = [(one, other) for one, other in both if suffix_of(one) == suffix_of(other)]
    if len(both) != 1:
        files = ", ".join(path.name for path in (*references, *predictions))
        raise InputError(f"case {name}: {files} all have its name; leave one reference and one prediction")
    return Pair(name, *both[0])
