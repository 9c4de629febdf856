"""A run's labels as a file that the caller named, for programs that segment files and want no arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from umamba.errors import InputError

if TYPE_CHECKING:
    from umamba.inference.result import Result

# NIfTI has no room for the record of a run: it is written beside.
SUFFIXES_WITHOUT_HEADER = (".nii.gz", ".nii")


def check(path: Path, overwrite: bool) -> None:
    """What can be said of an output before the run.

    Raises:
        InputError: A name that cannot be written to, or a file that is there already.
    """
    from umamba.imaging.write import check_output

    check_output(path)
    if not path.parent.is_dir():
        raise InputError(f"output: the folder of {path.name} does not exist; create it first")
    for file in (path, _record(path)):
        if file is not None and file.exists() and not overwrite:
            raise InputError(f"output: {file.name} exists already; allow overwriting or give another name")


def write(result: Result, path: Path, overwrite: bool) -> dict[str, str]:
    """Write the labels, and beside a NIfTI the record of the run; each file whole or not at all.

    Returns:
        The paths that were written: `output`, and `record`.

    Raises:
        InputError: The format cannot hold the image, or the disk is full.
    """
    from umamba.imaging.files import write_json

    record = _record(path)
    if record is None:
        result.write(path, overwrite)
        return {"output": str(path)}
    write_json(record, dict(result.provenance), overwrite)
    try:
        result.write(path, overwrite)
    except BaseException:
        record.unlink(missing_ok=True)
        raise
    return {"output": str(path), "record": str(record)}


def _record(path: Path) -> Path | None:
    """Where the record of a run goes, if the format has no room for it."""
    from umamba.imaging.files import suffix_of

    suffix = suffix_of(path)
    return path.with_name(f"{path.name[: -len(suffix)]}.json") if suffix in SUFFIXES_WITHOUT_HEADER else None
