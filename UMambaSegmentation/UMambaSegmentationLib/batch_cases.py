"""What a batch consists of: the cases of a folder, or of a list of volume nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from UMambaSegmentationLib.scene.errors import SceneError

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".tif", ".tiff")
# What a batch writes is no input of the next one.
RESULT_SUFFIX = ".seg.nrrd"

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class BatchCase:
    """One case.

    Attributes:
        name: Of its result, without suffix.
        files: Image files or DICOM folders, one for each channel; empty for nodes.
        nodes: IDs of volume nodes, one for each channel; empty for files.
        fault: Why it cannot be run, or empty.
    """

    name: str
    files: tuple[Path, ...] = ()
    nodes: tuple[str, ...] = ()
    fault: str = ""


def find_cases(inputs: Any, channels: int, results: Path) -> list[BatchCase]:  # noqa: ANN401
    """The cases of a batch, by name.

    Args:
        inputs: A folder, a volume node, or a list whose entries are a volume node or a list of them.
        channels: How many the model has.
        results: The folder for the results, which is not looked into.

    Raises:
        SceneError: No such folder, nothing in it, or neither folder nor nodes.
    """
    if isinstance(inputs, str | Path):
        cases = _cases_of_folder(Path(inputs), channels, results)
    else:
        cases = _cases_of_nodes(inputs, channels)
    if not cases:
        raise SceneError(
            _("There is no case to segment; files end with {suffixes}, DICOM series lie in folders.").format(
                suffixes=", ".join(IMAGE_SUFFIXES)
            )
        )
    return _named_apart(cases)


def _cases_of_folder(folder: Path, channels: int, results: Path) -> list[BatchCase]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise SceneError(
            _("The folder of the batch cannot be read ({reason}).").format(reason=error.strerror or error)
        ) from None
    if results.exists() and results.samefile(folder):
        raise SceneError(_("Choose another folder for the results than that of the images."))
    found: dict[str, dict[int, Path]] = {}
    for entry in entries:
        if entry.is_dir() and not (results.exists() and entry.samefile(results)):
            found[entry.name] = {0: entry}
        elif entry.is_file() and _suffix(entry.name):
            stem = entry.name[: -len(_suffix(entry.name))]
            numbered = _CHANNEL.fullmatch(stem)
            if numbered and (channels > 1 or int(numbered.group(2)) == 0):
                found.setdefault(numbered.group(1), {})[int(numbered.group(2))] = entry
            else:
                group = found.setdefault(stem, {})
                group[len(group)] = entry
    return [_case_of_files(name, files, channels) for name, files in sorted(found.items())]


def _case_of_files(name: str, files: dict[int, Path], channels: int) -> BatchCase:
    whole = list(range(channels))
    if sorted(files) == whole:
        return BatchCase(name, tuple(files[number] for number in whole))
    missing = [f"{name}_{number:04}" for number in whole if number not in files]
    if missing:
        return BatchCase(name, fault=_("no file {names}").format(names=", ".join(missing)))
    return BatchCase(name, fault=_("{count} files of one name").format(count=len(files)))


def _cases_of_nodes(inputs: Any, channels: int) -> list[BatchCase]:  # noqa: ANN401
    cases = []
    for entry in inputs if isinstance(inputs, Sequence) else [inputs]:
        nodes = list(entry) if isinstance(entry, Sequence) else [entry]
        if not nodes or not all(hasattr(node, "GetID") for node in nodes):
            raise SceneError(_("A batch takes a folder, or volume nodes of the scene."))
        name = _NOT_IN_NAMES.sub("_", nodes[0].GetName() or "").strip("._") or "case"
        fault = ""
        if len(nodes) != channels:
            fault = _("{found} volumes, the model needs {count}").format(found=len(nodes), count=channels)
        cases.append(BatchCase(name, nodes=tuple(node.GetID() for node in nodes), fault=fault))
    return cases


def _named_apart(cases: Sequence[BatchCase]) -> list[BatchCase]:
    """No two results under one name, also where the disk does not tell capitals from small letters."""
    taken: set[str] = set()
    apart = []
    for case in cases:
        name, number = case.name, 2
        while name.casefold() in taken:
            name, number = f"{case.name}_{number}", number + 1
        taken.add(name.casefold())
        apart.append(BatchCase(name, case.files, case.nodes, case.fault))
    return apart


def _suffix(name: str) -> str:
    """The image suffix of a file name; empty for other files, and for results."""
    lower = name.lower()
    if lower.endswith(RESULT_SUFFIX):
        return ""
    return next((suffix for suffix in IMAGE_SUFFIXES if lower.endswith(suffix)), "")
