"""Which Python runs the engine, and in which environment: Slicer's own, or one that the person has chosen.

Another one is needed where Slicer's Python has no PyTorch: on a Mac, Slicer may be an Intel program, while a
Python made for Apple silicon runs the engine natively, on the GPU too.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.logs import log
from UMambaSegmentationLib.paths import module_folder

SETTING = "UMambaSegmentation/python"
KNOWN_SETTING = "UMambaSegmentation/pythonKnown"
OLDEST, NEWEST = (3, 11), (3, 13)
PROBE_MS = 15_000
_PROBE = (
    "import json, site, sys, sysconfig; print(json.dumps([list(sys.version_info[:2]), "
    "sysconfig.get_platform(), site.getsitepackages()]))"
)
# Where installers of Python for Apple silicon put it.
_MAC_PYTHONS = (
    "/Library/Frameworks/Python.framework/Versions/{0}/bin/python{0}",
    "/opt/homebrew/bin/python{0}",
)
# What a person sets for the engine or for pip reaches a foreign Python too.
_PASSED_ON = (
    "UMAMBA_",
    "PIP_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "REQUESTS_CA",
    "SSL_CERT",
)
_ALWAYS = {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


class InterpreterError(ValueError):
    """A file that is no Python for the engine; one sentence for the person."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run the engine.

    Attributes:
        command: Its program, and arguments that always come first.
        version: Such as (3, 12).
        platform: `sysconfig.get_platform()` there.
        sites: Its folders of packages.
        own: Whether it is Slicer's.
    """

    command: tuple[str, ...]
    version: tuple[int, int]
    platform: str
    sites: tuple[str, ...]
    own: bool

    @property
    def name(self) -> str:
        """The name of a folder for packages that only this kind of Python can use."""
        return f"{self.platform}-cp{self.version[0]}{self.version[1]}"


@dataclass(frozen=True)
class Launch:
    """What to start: a program, its arguments and its whole environment."""

    program: str
    arguments: tuple[str, ...]
    environment: dict[str, str]


def current() -> Interpreter:
    """The Python that runs the engine: the chosen one while it is there, else Slicer's."""
    chosen = slicer.util.settingsValue(SETTING, "", str)
    if chosen and Path(chosen).is_file():
        known = _known(chosen)
        if known is not None:
            return known
    return slicer_interpreter()


def slicer_interpreter() -> Interpreter:
    """Slicer's own Python."""
    found = shutil.which("PythonSlicer")
    home = getattr(slicer.app, "slicerHome", None)
    beside = Path(home or "") / "bin" / ("PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer")
    if found is None and home and beside.is_file():
        found = str(beside)
    folders = [*site.getsitepackages(), *sys.path]
    sites = dict.fromkeys(folder for folder in folders if folder.endswith(("site-packages", "dist-packages")))
    return Interpreter(
        (found or sys.executable,), sys.version_info[:2], sysconfig.get_platform(), tuple(sites), own=True
    )


def choose(path: str) -> Interpreter:
    """Let this Python run the engine from now on. Asks it for its version: a tenth of a second.

    Args:
        path: Its program; "" for Slicer's own.

    Raises:
        InterpreterError: It is no Python, or one that the engine cannot use.
    """
    settings = slicer.app.userSettings()
    if not path:
        settings.remove(SETTING)
        settings.remove(KNOWN_SETTING)
        return slicer_interpreter()
    found = _probe(path)
    settings.setValue(SETTING, path)
    settings.setValue(KNOWN_SETTING, json.dumps({**asdict(found), "changed": _changed(path)}))
    return found


def suggestions() -> tuple[str, ...]:
    """Pythons on this computer that would serve better than Slicer's own; only a Mac has any."""
    if sys.platform != "darwin" or not sysconfig.get_platform().endswith("x86_64"):
        return ()
    versions = [f"3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    places = [place.format(version) for version in versions for place in _MAC_PYTHONS]
    return tuple(place for place in places if Path(place).is_file())


def launch(
    interpreter: Interpreter, module: str, arguments: Sequence[str] = (), folders: Sequence[Path] = ()
) -> Launch:
    """Start a module through start_worker.py, with `folders` before everything else on its path."""
    script = str(Path(__file__).with_name("start_worker.py"))
    paths = [word for folder in folders for word in ("--path", str(folder))]
    first, *others = interpreter.command
    words = (*others, script, *paths, module, *arguments)
    return Launch(first, words, environment(interpreter))


def worker_launch(interpreter: Interpreter, packages: Path) -> Launch:
    """Start the worker, with the engine's own packages in front."""
    return launch(interpreter, "umamba", ["worker"], [module_folder(), packages])


def environment(interpreter: Interpreter) -> dict[str, str]:
    """The environment for a process of this Python.

    Another Python than Slicer's gets the one from before Slicer's start, whose libraries are its own, and
    what the person has set for the engine, for pip and for proxies.
    """
    present = dict(os.environ)
    if interpreter.own:
        return present | _ALWAYS
    passed_on = {name: text for name, text in present.items() if name.upper().startswith(_PASSED_ON)}
    return slicer.util.startupEnvironment() | passed_on | _ALWAYS


def _known(path: str) -> Interpreter | None:
    """What was found out when the person chose it; asked again if the file is another one since."""
    try:
        found = json.loads(slicer.util.settingsValue(KNOWN_SETTING, "", str))
        known = Interpreter(
            tuple(found["command"]),
            tuple(found["version"]),
            found["platform"],
            tuple(found["sites"]),
            own=False,
        )
        if path in known.command and found["changed"] == _changed(path):
            return known
    except (ValueError, KeyError, TypeError):
        pass  # set by hand, or by another version of this extension
    try:
        return choose(path)
    except InterpreterError as error:
        log(f"the chosen Python cannot be used, Slicer's own is taken: {error}")
        choose("")
        return None


def _changed(path: str) -> int:
    return Path(path).stat().st_mtime_ns


def _probe(path: str) -> Interpreter:
    """Ask a Python for its version, platform and folders.

    From an Intel Slicer on Apple silicon, a Python for both would again run as an Intel program unless `arch`
    is told otherwise.
    """
    commands = [(path,)]
    if sys.platform == "darwin" and sysconfig.get_platform().endswith("x86_64"):
        commands.insert(0, ("/usr/bin/arch", "-arm64", path))
    for command in commands:
        answer = _ask(command)
        if answer is not None:
            version, platform, sites = answer
            found = Interpreter(command, tuple(version), platform, tuple(sites), own=False)
            if not OLDEST <= found.version <= NEWEST:
                raise InterpreterError(
                    _("This is Python {found}; the engine needs {oldest} to {newest}.").format(
                        found=_dotted(found.version), oldest=_dotted(OLDEST), newest=_dotted(NEWEST)
                    )
                )
            return found
    raise InterpreterError(_("This file is not a Python program that starts; choose python3 or python.exe."))


def _ask(command: tuple[str, ...]) -> list[Any] | None:
    """Run the probe; None if there is no sensible answer."""
    process = qt.QProcess()
    variables = qt.QProcessEnvironment()
    foreign = Interpreter(command, OLDEST, "", (), own=False)
    for name, text in environment(foreign).items():
        variables.insert(name, text)
    process.setProcessEnvironment(variables)
    process.start(command[0], [*command[1:], "-c", _PROBE])
    if not process.waitForFinished(PROBE_MS):
        process.kill()
        process.waitForFinished(PROBE_MS)
        return None
    try:
        version, platform, sites = json.loads(process.readAllStandardOutput().data())
        return [[int(part) for part in version], str(platform), [str(folder) for folder in sites]]
    except (ValueError, TypeError):
        return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
