"""A dataset to train on: nnU-Net's raw layout, or a plain folder with images/ and labels/.

Opening looks at names only (and, where no label names are given, at the labels' values);
`check.check_dataset` looks at every voxel.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.errors import InputError, ModelError
from umamba.imaging.files import checked_input, suffix_of
from umamba.plans import parse_dataset
from umamba.plans.jsonfile import load_json

if TYPE_CHECKING:
    from umamba.events import Monitor

DATASET_FILE = "dataset.json"
# What both nnU-Net's readers and this engine's can read. A reader of nnU-Net serves one group.
VOLUME_ENDINGS = (".nii.gz", ".nrrd", ".mha")
NATURAL_ENDINGS = (".png", ".tif")
READABLE = ((".nii", *VOLUME_ENDINGS), NATURAL_ENDINGS)
ENDINGS = tuple(ending for group in READABLE for ending in group)
# The name of a plain folder gives no number; nnU-Net keeps 500 and above for its users.
_OWN_NUMBER = 501
_NNUNET_NAME = re.compile(r"Dataset\d{3}_[A-Za-z0-9_.-]+")
_CHANNEL = re.compile(r"(.+)_(\d{4})")
# Lists of files and people in a description; neither belongs into plans, checkpoints or models.
_LISTS = ("dataset", "training", "test", "validation", "numTest", "numTraining")

# Kinds of characters that break lines or hide (Unicode's general categories).
_CONTROL = ("Cc", "Zl", "Zp")


@dataclass(frozen=True)
class Case:
    """One training case: an image file per channel (or one with all of them), and its label map."""

    name: str
    images: tuple[Path, ...]
    label: Path


@dataclass(frozen=True)
class RawDataset:
    """What is trained on.

    Attributes:
        name: nnU-Net's name of the dataset, "Dataset004_Hippocampus".
        cases: Sorted by name; files with absolute paths.
        description: Fields of dataset.json, without numbers and lists of cases.
        folder: Where it lies.
    """

    name: str
    cases: tuple[Case, ...]
    description: dict[str, Any]
    folder: Path

    @property
    def channel_count(self) -> int:
        """Channels of the network's input (before a cascade's)."""
        return len(self.description["channel_names"])


def open_dataset(
    path: str | Path,
    *,
    labels: Mapping[str, int] | None = None,
    channels: Sequence[str] | None = None,
    monitor: Monitor | None = None,
    processes: int = 1,
) -> RawDataset:
    """Find the cases of a dataset and what their labels and channels are called.

    Args:
        path: nnU-Net's raw dataset (dataset.json with imagesTr/ and labelsTr/ or a list "dataset"), or a
            folder with images/ and labels/, whose files have the same names up to their endings; images may
            end in nnU-Net's channel numbers _0000, _0001, ...
        labels: Name to value, for a plain folder. None: dataset.json, labels.json or labels.csv of the
            folder; without these the values found, called label_1, label_2, ...
        channels: Names of the channels of a plain folder. A name chooses nnU-Net's normalisation: "CT" for
            CT, anything else for z-scores.
        monitor, processes: For reading all labels, where their values must be found first.

    Raises:
        InputError: Neither layout; a case without label or image; names, labels or channels that nnU-Net
            cannot use.
    """
    from umamba.training.dataset.folder import read_plain_folder
    from umamba.training.dataset.nnunet import read_nnunet_folder

    folder = checked_input(path)
    if not folder.is_dir():
        raise InputError(f"{folder.name}: is a file; give the folder of the dataset")
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  (resolve() would follow links)
    if (folder / "imagesTr").is_dir() or _lists_cases(folder / DATASET_FILE):
        if labels is not None or channels is not None:
            raise InputError(
                f"{folder.name}: is a dataset of nnU-Net, its labels and channels stand in dataset.json; "
                "change them there"
            )
        return read_nnunet_folder(folder)
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return read_plain_folder(folder, labels, channels, monitor, processes)
    raise InputError(
        f"{folder.name}: is no dataset; wanted are images/ and labels/ with files of the same names, or "
        "nnU-Net's imagesTr/, labelsTr/ and dataset.json (convert DICOM to NIfTI or NRRD first)"
    )


def _lists_cases(path: Path) -> bool:
    return path.is_file() and "dataset" in load_json(path)


def dataset_name(folder: Path) -> str:
    """nnU-Net's name for a folder: its own if it is one, else "Dataset501_" and what is left of it."""
    if _NNUNET_NAME.fullmatch(folder.name):
        return folder.name
    plain = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    return f"Dataset{_OWN_NUMBER}_{words or 'Images'}"


def checked_description(description: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The fields of dataset.json that concern every case, held against nnU-Net's rules.

    Args:
        description: Decoded; the older key `modality` stands for `channel_names`.
        source: Where it comes from, for errors.

    Raises:
        InputError: `channel_names`, `labels` or `file_ending` are missing or wrong.
    """
    kept = {key: value for key, value in description.items() if key not in (*_LISTS, "modality")}
    if "channel_names" not in kept and "modality" in description:
        kept["channel_names"] = description["modality"]
    missing = [key for key in ("channel_names", "labels", "file_ending") if key not in kept]
    if missing:
        raise InputError(f"{source}: {', '.join(missing)} missing; nnU-Net's dataset.json must have them")
    try:
        parsed = parse_dataset(kept)
    except ModelError as error:
        reason = str(error).removeprefix(f"{DATASET_FILE}: ")
        advice = (
            "renumber the values 0, 1, 2, ... in the label files too" if "gap" in reason else "correct it"
        )
        raise InputError(f"{source}: {reason}; {advice}") from error
    for name in (*kept["labels"], *parsed.channel_names):
        if any(unicodedata.category(letter) in _CONTROL for letter in name):
            raise InputError(
                f"{source}: the name {name[:80]!r} holds a line break or another control character; rename it"
            )
    # nnU-Net takes a list of one value for the value
    kept["labels"] = {
        name: value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        for name, value in kept["labels"].items()
    }
    if parsed.file_ending not in ENDINGS:
        raise InputError(
            f"{source}: files of the kind {parsed.file_ending!r} cannot be trained on; "
            f"{', '.join(ENDINGS)} can"
        )
    return kept


def checked_case_names(names: Sequence[str], where: str) -> None:
    """Refuse names that cannot be those of files which nnU-Net writes and finds again.

    Raises:
        InputError: One of them is; or there are fewer than two cases.
    """
    for name in names:
        if not name or name.startswith(".") or re.search(r'[/\\:*?"<>|\x00-\x1f]', name):
            raise InputError(f"{where}: {name[:80]!r} cannot be the name of a case; rename its files")
        if name.endswith("_seg"):
            raise InputError(f"{where}: nnU-Net keeps names that end in _seg for itself; rename {name}")
    if not names:
        raise InputError(f"{where}: holds no case; images must be {', '.join(ENDINGS)}")
    if len(names) == 1:
        raise InputError(
            f"{where}: holds one case ({names[0]}); training needs two or more, to learn from and to "
            "check with"
        )


def channel_of(stem: str) -> tuple[str, int] | None:
    """("liver", 1) of "liver_0001"; None where no channel number stands at the end."""
    found = _CHANNEL.fullmatch(stem)
    return (found[1], int(found[2])) if found else None


def files_of(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Files with one of the endings, by their names without it; hidden ones are passed over.

    Raises:
        InputError: Two files differ in their ending only.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = suffix_of(path)
        if path.name.startswith(".") or ending not in endings or not path.is_file():
            continue
        stem = path.name[: len(path.name) - len(ending)]
        if stem in found:
            raise InputError(f"{folder.name}: {found[stem].name} and {path.name} are one case; leave one")
        found[stem] = path
    return found
