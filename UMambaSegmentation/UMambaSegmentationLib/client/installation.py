"""Installing what the engine needs into a folder of its own: by pip, beside the old one, checked, renamed.

Nothing of Slicer's own packages is changed. Until the last step the old installation stays as it was.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.client import folders, pip_errors, torch_builds
from UMambaSegmentationLib.client.child import Child, Ending, end_kept
from UMambaSegmentationLib.client.engine import Engine, shared_engine
from UMambaSegmentationLib.client.interpreter import Launch, environment, launch
from UMambaSegmentationLib.client.packages import RECORD_FILE, Packages, packages_in_use, requirements
from UMambaSegmentationLib.client.pip_command import install_words, pip_environment
from UMambaSegmentationLib.client.torch_builds import BUILDS, GIGABYTE, TorchBuild
from UMambaSegmentationLib.logs import log

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.job import Job

CPU, CUDA, SLICER = "cpu", "cuda", "slicer"
_FETCHED_MS = 3_000
_SWAP_TRIES, _SWAP_MS = 6, 500
_MEGABYTE = 1_000_000


def sizes(build: str) -> str:
    """What an installation takes, for the question before it. `build` is "cpu", "cuda" or "slicer"."""
    download, disk = torch_builds.needed_bytes(build)
    return _("about {download} to download and {disk} on the disk").format(
        download=_gigabytes(download), disk=_gigabytes(disk)
    )


class Installation:
    """One installation, upgrade or removal for the Python that runs the engine now. Use each object once.

    on_line: Each line that a person may want to read meanwhile.
    on_end: Once: whether it succeeded, and a sentence.
    """

    def __init__(self, *, on_line: Callable[[str], None], on_end: Callable[[bool, str], None]) -> None:
        self._on_line, self._on_end = on_line, on_end
        self._packages = packages_in_use()
        self._target = self._packages.folder
        # Short names: on Windows a path may have 259 characters, of which PyTorch takes up to 171.
        self._staging = folders.staging_name(self._target.parent)
        self._build = CPU
        self._from_folder = False
        self._lines: list[str] = []
        self._child: Child | None = None
        self._engine: Engine | None = None
        self._fetched = 0
        self._begun = 0.0
        self._clock = qt.QTimer()
        self._going = False

    def start(self, build: str, *, wheels: Path | None = None) -> None:
        """Install. Ends in the background with `on_end`; at once where it cannot begin.

        Args:
            build: "cpu" or "cuda" for a PyTorch in the engine's folder, "slicer" for the one that is there.
            wheels: Take everything from this folder, without the network.
        """
        self._begin()
        self._build, self._from_folder = build, wheels is not None
        refusal = self._refusal(wheels)
        if refusal is not None:
            self._end(False, refusal)
            return
        folders.clear_leftovers(self._packages.interpreter, self._target.parent)
        if build == CUDA and wheels is None:
            self._ask_driver()
        else:
            self._run_pip(BUILDS[CPU] if build == CPU and wheels is None else None, wheels)

    def cancel(self) -> None:
        """Stop, and leave everything as it was. Returns at once."""
        if self._going:
            self._fail(_("Cancelled; nothing was changed."))

    def uninstall(self) -> None:
        """Remove the engine's own packages; what Slicer has, models and settings stay."""
        self._begin()
        if shared_engine().busy:
            self._end(False, _("The engine is at work; wait for its end, or cancel it, and try again."))
            return
        shared_engine().close()
        self._swap(None, _SWAP_TRIES, _("The engine's packages were removed."))

    def _quit(self) -> None:
        """Slicer ends: cancel, and see the half-made folder removed."""
        self.cancel()
        end_kept()

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("an Installation is used once")
        self._begun = time.time()
        self._going = True
        slicer.app.connect("aboutToQuit()", self._quit)

    def _refusal(self, wheels: Path | None) -> str | None:
        """Why it cannot begin, or None."""
        interpreter = self._packages.interpreter
        download, disk = torch_builds.needed_bytes(self._build)
        free = folders.free_bytes(self._target)
        if shared_engine().busy:
            return _("The engine is at work; wait for its end, or cancel it, and try again.")
        if wheels is None and os.environ.get("UMAMBA_OFFLINE") == "1":
            return _("UMAMBA_OFFLINE is set, so the network is not used; install from a folder.")
        if wheels is not None and not any(wheels.glob("*.whl")):
            return _("There are no wheels (*.whl) in this folder; fill it with fetch_wheels.py.")
        if self._build == SLICER and self._packages.torch_of_interpreter() is None:
            return _("There is no suitable PyTorch in Slicer; choose the CPU or the CUDA build.")
        if self._build != SLICER and not torch_builds.has_torch(interpreter.platform):
            return _(
                "There is no current PyTorch for Intel Macs; choose a Python for Apple silicon under Set-up."
            )
        if free < download + disk:
            return _("{needed} are needed in {folder}, and only {free} are free.").format(
                needed=_gigabytes(download + disk), folder=self._target.parent, free=_gigabytes(free)
            )
        return None

    def _ask_driver(self) -> None:
        answer: list[str] = []
        program, *words = torch_builds.DRIVER_QUESTION
        start = Launch(program, tuple(words), environment(self._packages.interpreter))

        def answered(ending: Ending) -> None:
            self._child = None
            build = torch_builds.build_for_cards("\n".join(answer)) if ending.good else None
            if build is None:
                self._fail(
                    _(
                        "No NVIDIA driver of version 525 or later was found; install it first, or choose the "
                        "CPU build."
                    )
                )
            else:
                self._run_pip(build, None)

        self._run(start, lambda line: answer.append(line.decode("utf-8", "replace")), answered)

    def _run_pip(self, build: TorchBuild | None, wheels: Path | None) -> None:
        """Install into the staging folder. Without a build: the PyTorch of the folder of wheels, or none."""
        unpack = self._staging / "t"
        try:
            unpack.mkdir(parents=True)
        except OSError as error:
            text = _("{folder} cannot be written to ({why}).")
            self._fail(text.format(folder=self._target.parent, why=error.strerror))
            return
        interpreter = self._packages.interpreter
        words = install_words(
            self._staging / "p",
            requirements(),
            platform=interpreter.platform,
            with_torch=self._build != SLICER,
            build=build,
            wheels=wheels,
        )
        start = launch(interpreter, "pip", words)
        # On Windows the usual place has the shorter name; elsewhere this is the disk that has the room.
        variables = pip_environment(start.environment, None if sys.platform == "win32" else unpack)
        self._on_line("pip " + " ".join(words))
        self._clock.connect("timeout()", self._say_fetched)
        self._clock.start(_FETCHED_MS)
        self._run(Launch(start.program, start.arguments, variables), self._pip_line, self._pip_ended)

    def _run(self, start: Launch, on_line: Callable[[bytes], None], on_end: Callable[[Ending], None]) -> None:
        self._child = Child(
            start, on_line=on_line, on_error_line=lambda line: self._pip_line(line.encode()), on_end=on_end
        )
        self._child.start()

    def _pip_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self._lines.append(text)
        log(f"pip: {text}")
        self._on_line(text)
        if self._build == CPU and text.startswith("Collecting nvidia-"):
            self._fail(
                _(
                    "PyTorch's index of CPU builds (download.pytorch.org) cannot be reached, and the usual "
                    "index would bring gigabytes for NVIDIA cards; check the proxy, or install from a folder."
                )
            )

    def _say_fetched(self) -> None:
        """pip is silent while it fetches a large file: say how much has come."""
        place = self._staging / "t" if sys.platform != "win32" else Path(tempfile.gettempdir())
        fetched = folders.bytes_in(place, "pip-unpack-*/*", since=self._begun)
        if fetched > self._fetched + _MEGABYTE:
            self._fetched = fetched
            self._on_line(_("... {n} MB fetched").format(n=fetched // _MEGABYTE))

    def _pip_ended(self, ending: Ending) -> None:
        self._child = None
        self._stop_clock()
        if ending.good:
            self._check()
            return
        log(f"pip: {ending.text}")
        if not ending.started:
            text = _("The engine's Python, {program}, could not be started; check it under Set-up.")
            self._fail(text.format(program=self._packages.interpreter.command[0]))
            return
        kind = self._packages.interpreter.name
        self._fail(pip_errors.sentence(self._lines, from_folder=self._from_folder, platform=kind))

    def _check(self) -> None:
        """Start the engine with what was installed, and let it look at this computer."""
        self._on_line(_("Checking: the engine is started with what was installed..."))
        self._engine = Engine(packages=Packages(self._packages.interpreter, self._staging / "p"))
        self._engine.submit("doctor", on_end=self._checked)

    def _checked(self, job: Job) -> None:
        """The engine has answered. It is closed from the event loop: not from within its own answer."""
        qt.QTimer.singleShot(0, lambda: self._conclude(job))

    def _conclude(self, job: Job) -> None:
        if not self._going:
            return  # cancelled
        if job.error is not None:
            log(f"the new packages do not work: {job.error.message}")
            self._fail(
                _("The engine does not run with what was installed, so nothing was changed: {why}").format(
                    why=job.error.message
                )
            )
            return
        report = job.check().get("report", {})
        if self._build == CUDA and not self._from_folder and not _knows_cuda(report):
            self._fail(_("The index gave a PyTorch without CUDA; nothing was changed. Try again later."))
            return
        self._close_engine()
        shared_engine().close()
        self._write_record(report)
        self._swap(self._staging / "p", _SWAP_TRIES, self._done_sentence(report))

    def _write_record(self, report: dict[str, Any]) -> None:
        folder = self._staging / "p"
        record = {
            "bytes": folders.recorded_bytes(folder),
            "build": self._build,
            "torch": report.get("torch"),
            "engine": report.get("version"),
            "date": time.strftime("%Y-%m-%d"),
        }
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=1), encoding="utf-8")

    def _done_sentence(self, report: dict[str, Any]) -> str:
        device = report.get("devices", [{}])[0]
        if self._build == CUDA and device.get("device") == "cpu":
            text = _("The engine is installed: PyTorch {version}, but no GPU can be used: {why}")
            return text.format(version=report.get("torch"), why=report.get("no_gpu"))
        return _("The engine is installed: PyTorch {version}, on {device}.").format(
            version=report.get("torch"), device=device.get("name", "CPU")
        )

    def _swap(self, new: Path | None, tries: int, message: str) -> None:
        """Put `new` in the old one's place. Windows lets go of files late: it is tried for some seconds."""
        if not self._going:
            return
        try:
            folders.replace(self._target, new)
        except OSError as error:
            log(f"the engine's folder cannot be renamed: {error.strerror}")
            if tries > 1:
                qt.QTimer.singleShot(_SWAP_MS, lambda: self._swap(new, tries - 1, message))
            else:
                self._fail(_("The engine's files are in use; close other Slicer windows and try again."))
            return
        replaced = folders.removed(self._target.parent)
        folders.remove_in_background(self._packages.interpreter, [self._staging, *replaced])
        self._end(True, message)

    def _fail(self, message: str) -> None:
        """Stop whatever goes on, remove what it made, and say why."""
        child, self._child = self._child, None
        if child is not None:
            child.abandon()
        self._close_engine()
        folders.remove_in_background(self._packages.interpreter, [self._staging])
        self._end(False, message)

    def _end(self, good: bool, message: str) -> None:
        if self._going:
            self._going = False
            self._stop_clock()
            slicer.app.disconnect("aboutToQuit()", self._quit)
            log(f"installation: {message}")
            self._on_end(good, message)

    def _stop_clock(self) -> None:
        if self._clock.active:
            self._clock.stop()
            self._clock.disconnect("timeout()", self._say_fetched)

    def _close_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


def _knows_cuda(report: dict[str, Any]) -> bool:
    """Whether PyTorch is a build for NVIDIA cards: the usual index names none, but is one on Linux only."""
    return "+cu" in str(report.get("torch")) or (
        sys.platform == "linux" and "+cpu" not in str(report.get("torch"))
    )


def _gigabytes(number: int) -> str:
    return f"{number / GIGABYTE:.1f} GB"
