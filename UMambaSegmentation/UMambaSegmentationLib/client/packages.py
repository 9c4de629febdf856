"""What the engine needs and what is there of it: read from metadata folders, nothing imported or started."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from UMambaSegmentationLib.client.interpreter import Interpreter, current
from UMambaSegmentationLib.client.requirements import OPTIONAL, Requirement, read_requirements
from UMambaSegmentationLib.paths import module_folder, resources, user_data_folder

REQUIREMENTS_FILE = "engine-requirements.txt"
# Written at the end of an installation, into its folder: counting the bytes takes too long for a look.
RECORD_FILE = "installed.json"
TORCH = "torch"
_VERSION_LINE = re.compile(r"^Version: *(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Status:
    """What a person needs to know of the installation.

    Attributes:
        ready: Whether the engine can run.
        missing: Names of packages that are absent or of an unsuitable version.
        torch: Version of PyTorch that the engine will load, or None.
        torch_place: "engine" (the engine's own folder), "slicer" (the packages of its Python), or None.
        python: Version of the Python that runs the engine, such as "3.12".
        folder: The engine's own folder of packages. It may not exist.
        engine_version: Version of the engine that came with the extension, or None without one.
        bytes: About how much the folder holds.
    """

    ready: bool
    missing: tuple[str, ...]
    torch: str | None
    torch_place: str | None
    python: str
    folder: Path
    engine_version: str | None
    bytes: int


@dataclass(frozen=True)
class Packages:
    """A Python and a folder of packages that its worker finds first.

    Attributes:
        interpreter: The Python.
        folder: The packages; it may not exist.
    """

    interpreter: Interpreter
    folder: Path

    def status(self) -> Status:
        """Look at what is installed; some milliseconds."""
        own, needs = [str(self.folder)], requirements()
        folders = own + list(self.interpreter.sites)  # in the order in which the worker looks
        versions = {needed.name: _version(needed.name, folders) for needed in needs}
        missing = tuple(
            needed.name
            for needed in needs
            if needed.name not in OPTIONAL and not needed.accepts(versions[needed.name] or "")
        )
        torch = None if TORCH in missing else versions[TORCH]
        place = None if torch is None else "engine" if _version(TORCH, own) else "slicer"
        engine = engine_version()
        return Status(
            ready=not missing and engine is not None,
            missing=missing,
            torch=torch,
            torch_place=place,
            python=".".join(str(part) for part in self.interpreter.version),
            folder=self.folder,
            engine_version=engine,
            bytes=self._recorded_bytes(),
        )

    def torch_of_interpreter(self) -> str | None:
        """Version of a suitable PyTorch that the Python has without the engine's folder, or None."""
        version = _version(TORCH, list(self.interpreter.sites))
        needed = next(entry for entry in requirements() if entry.name == TORCH)
        return version if version and needed.accepts(version) else None

    def _recorded_bytes(self) -> int:
        try:
            return int(json.loads((self.folder / RECORD_FILE).read_text(encoding="utf-8"))["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0


def packages_in_use() -> Packages:
    """The Python that runs the engine now, and the engine's folder for it."""
    interpreter = current()
    return Packages(interpreter, engine_folder() / interpreter.name)


def status() -> Status:
    """What is installed for the Python that runs the engine now."""
    return packages_in_use().status()


def engine_folder() -> Path:
    """The folder that holds the engine's packages, one folder for each kind of Python. It may not exist."""
    return user_data_folder() / "engine"


def requirements() -> tuple[Requirement, ...]:
    """What the engine needs."""
    return read_requirements(resources() / REQUIREMENTS_FILE)


def engine_version() -> str | None:
    """Version of the engine beside this module, read from its source; None if there is none."""
    try:
        text = (module_folder() / "umamba" / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r'__version__ = "([^"]+)"', text)
    return match[1] if match else None


def _version(name: str, folders: list[str]) -> str | None:
    """Version of an installed package by its metadata; None if absent or unreadable."""
    for found in Distribution.discover(name=name, path=folders):
        # Reading it properly means to parse whole licences and descriptions.
        match = _VERSION_LINE.search(found.read_text("METADATA") or found.read_text("PKG-INFO") or "")
        if match:
            return match[1]
    return None
