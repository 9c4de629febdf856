"""The files of one run: checked before it, staged beside their places, and moved there all or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from umamba.errors import InputError


@dataclass(frozen=True)
class Output:
    """One file that was asked for.

    Attributes:
        option: How the user asked for it, as in "--preview".
        path: Its final place.
    """

    option: str
    path: Path


def check_folder(option: str, folder: Path, parents: bool = False) -> None:
    """Refuse a folder that could not be filled later; nothing is made.

    Args:
        option: How it was asked for.
        folder: It may be there or not.
        parents: Whether those above it are made too.

    Raises:
        InputError: It is a file, cannot be made, or cannot be written to.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{option} {folder} is a file; give a folder")
    first = folder / "any file" if folder.is_dir() else folder
    while parents and not os.path.lexists(first.parent) and first.parent != first:
        first = first.parent
    _check_place(option, first, overwrite=True, asked=folder)


@dataclass
class Outputs:
    """All files of one run."""

    overwrite: bool
    wanted: list[Output] = field(default_factory=list)

    def add(self, option: str, path: str | Path, suffixes: Sequence[str] = ()) -> Path:
        """Ask for a file; `suffixes` are those it may have (any if empty).

        Raises:
            InputError: Another suffix, no such folder, a folder that cannot be written to, a file that is
                there already, or the place of another output.
        """
        path = Path(path)
        if suffixes and not path.name.lower().endswith(tuple(suffixes)):
            raise InputError(f"{option} {path}: unknown suffix; choose {', '.join(suffixes)}")
        for other in self.wanted:
            if _same_place(path, other.path):
                raise InputError(f"{option} and {other.option} name the same file {path}; give two names")
        _check_place(option, path, self.overwrite)
        self.wanted.append(Output(option, path))
        return path

    def keep_apart_from(self, inputs: Sequence[Path]) -> None:
        """Raise InputError if an output would replace one of the input files."""
        for output in self.wanted:
            if any(_same_place(output.path, source) for source in inputs):
                raise InputError(f"{output.option} {output.path} is an input of this run; give another name")

    def check_space(self, needed_bytes: dict[Path, int]) -> None:
        """Raise InputError if a disk has less room than `needed_bytes` (by path) adds up to on it."""
        needed: dict[int, int] = {}
        folders: dict[int, Path] = {}
        for path, size in needed_bytes.items():
            disk = path.parent.stat().st_dev
            needed[disk] = needed.get(disk, 0) + size
            folders[disk] = path.parent
        for disk, folder in folders.items():
            free = shutil.disk_usage(folder).free
            if free < needed[disk]:
                raise InputError(
                    f"the disk of {folder} has {free / 1e6:.0f} MB left, "
                    f"up to {needed[disk] / 1e6:.0f} MB are needed; make room or choose another folder"
                )

    @contextmanager
    def staged(self) -> Iterator[Staging]:
        """A place to write every file first; its `commit` moves them. Nothing else stays behind."""
        staging = Staging(self)
        try:
            yield staging
        except OSError as error:
            raise InputError(
                f"the output cannot be written: {_why(error)}; nothing was left behind"
            ) from error
        finally:
            staging.remove()


class Staging:
    """Hidden folders beside the outputs, one for each folder, so that a move is a rename."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._folders: dict[Path, Path] = {}

    def path(self, final: Path) -> Path:
        """Where to write the file that will become `final`: the same name, so the same suffix."""
        parent = final.parent
        if parent not in self._folders:
            self._folders[parent] = Path(tempfile.mkdtemp(prefix=".umamba-", dir=parent))
        return self._folders[parent] / final.name

    def commit(self) -> None:
        """Move every staged file to its place; if one cannot be moved, put everything back as it was."""
        moves = [
            (staged, parent / staged.name)
            for parent, folder in self._folders.items()
            for staged in sorted(folder.iterdir())
        ]
        for staged, _ in moves:
            _flush(staged)
        done: list[tuple[Path, Path | None]] = []
        try:
            for staged, final in moves:
                done.append((final, _move(staged, final, self._outputs.overwrite)))
        except BaseException:
            for final, before in reversed(done):
                final.unlink(missing_ok=True) if before is None else before.replace(final)
            raise

    def remove(self) -> None:
        """Drop the hidden folders and what is left in them."""
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def _check_place(option: str, path: Path, overwrite: bool, asked: Path | None = None) -> None:
    asked = asked or path
    try:
        exists = _exists(path)
        if exists and path.is_dir():
            raise InputError(f"{option} {asked} is a folder; name a file in it")
        if exists and not overwrite:
            raise InputError(f"{option} {asked} exists; add --overwrite to replace it")
        if not path.parent.is_dir():
            raise InputError(f"{option} {asked}: the folder {path.parent} does not exist; create it first")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{option} {asked}: cannot be written: {_why(error)}; choose another place"
        ) from error


def _exists(path: Path) -> bool:
    """Whether there is anything of this name, a broken link too; other answers of the system are raised."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _move(staged: Path, final: Path, overwrite: bool) -> Path | None:
    """Rename `staged` to `final` in one step; return where a replaced file lies now, if there was one."""
    if not overwrite:
        try:
            os.link(staged, final)  # unlike a rename, never replaces a file that has come meanwhile
        except FileExistsError:
            raise InputError(f"{final} has come into being meanwhile; it was left as it is") from None
        except OSError:  # a file system without hard links
            if os.path.lexists(final):
                raise InputError(f"{final} has come into being meanwhile; it was left as it is") from None
            staged.replace(final)
        return None
    if not os.path.lexists(final):
        staged.replace(final)
        return None
    before = staged.with_name(f"before-{staged.name}")
    try:
        os.link(final, before)
    except OSError:
        shutil.copy2(final, before)
    staged.replace(final)
    return before


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _same_place(one: Path, other: Path) -> bool:
    # realpath, for Path.resolve raises where links lead in a circle
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def _why(error: OSError | ValueError) -> str:
    from umamba.imaging.files import reason

    return reason(error)
