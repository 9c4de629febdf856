"""The panel's last section: what the engine needs, installing it, and the way back."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from UMambaSegmentationLib import settings
from UMambaSegmentationLib.client import interpreter, packages, torch_builds
from UMambaSegmentationLib.client.installation import CPU, CUDA, SLICER, Installation, sizes
from UMambaSegmentationLib.client.job import Job, JobError
from UMambaSegmentationLib.panel import dialogs
from UMambaSegmentationLib.panel.question import Question
from UMambaSegmentationLib.panel.setup_text import breakable, report_text, size, status_text
from UMambaSegmentationLib.paths import logs_folder

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.client.packages import Status
    from UMambaSegmentationLib.panel.services import Services


class SetupSection:
    """Open while something is missing; everything that changes the computer is asked first."""

    def __init__(self, ui: SimpleNamespace, services: Services) -> None:
        """Take over the widgets of `setupSection`.

        Args:
            ui: The panel's widgets by their names.
            services: What the sections share.
        """
        self._ui = ui
        self._services = services
        self._callbacks: list[Callable[[], None]] = []
        self._status: Status = packages.status()
        self._question = Question(ui.setupQuestion)
        self._installation: Installation | None = None
        self._report: Job | None = None
        self._slots = (
            (ui.installButton, self._ask_install),
            (ui.installFolderButton, self._ask_install_folder),
            (ui.uninstallButton, self._ask_uninstall),
            (ui.cancelInstallButton, self._cancel),
            (ui.copyReportButton, self._copy_report),
            (ui.openLogsButton, self._open_logs),
            (ui.pythonButton, self._choose_python),
        )
        for button, slot in self._slots:
            button.connect("clicked(bool)", slot)
        self._show()
        ui.setupSection.collapsed = self.ready

    @property
    def ready(self) -> bool:
        """Whether the engine can run."""
        return self._status.ready

    def refresh(self) -> None:
        """Look again at what is installed; opens the section if something has gone missing."""
        was_ready = self.ready
        self._status = packages.status()
        self._show()
        if was_ready and not self.ready:
            self._ui.setupSection.collapsed = False
        if was_ready != self.ready:
            for callback in list(self._callbacks):
                callback()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` whenever `ready` has changed."""
        self._callbacks.append(callback)

    def close(self) -> None:
        """Stop an installation and let go of all widgets."""
        self._callbacks.clear()
        installation, self._installation = self._installation, None
        if installation is not None:
            installation.cancel()
        report, self._report = self._report, None
        if report is not None:
            report.cancel()
        for button, slot in self._slots:
            button.disconnect("clicked(bool)", slot)

    def _show(self) -> None:
        ui, busy, own = self._ui, self._installation is not None, self._status.folder.is_dir()
        python = packages.packages_in_use().interpreter
        offline = os.environ.get("UMAMBA_OFFLINE") == "1"
        lines = [status_text(self._status, own_python=python.own), self._mismatch()]
        if offline:
            lines.append(_("UMAMBA_OFFLINE is set: it can be installed from a folder of wheels only."))
        ui.setupStatusLabel.text = "\n".join(line for line in lines if line)
        self._fill_builds()
        ui.buildSelector.enabled = not busy
        ui.installButton.text = _("Upgrade...") if own else _("Install...")
        ui.installButton.enabled = not busy and not offline
        ui.installFolderButton.enabled = not busy
        ui.uninstallButton.visible = own
        ui.uninstallButton.enabled = not busy
        ui.pythonButton.visible = not (python.own and torch_builds.has_torch(python.platform))
        ui.pythonButton.enabled = not busy
        ui.installBusy.visible = busy

    def _mismatch(self) -> str:
        """A worker that was started from another version's files, if one has answered."""
        running = self._services.engine.version
        if running is None or running == self._status.engine_version:
            return ""
        return _(
            "The engine that answered is version {running}, but this panel came with {own}; restart Slicer."
        ).format(running=running, own=self._status.engine_version)

    def _fill_builds(self) -> None:
        cuda = [] if sys.platform == "darwin" else [(_("For an NVIDIA card (CUDA)"), CUDA)]
        builds = [(_("For the processor (CPU)") if cuda else _("For this Mac"), CPU), *cuda]
        present = packages.packages_in_use().torch_of_interpreter()
        if present is not None:
            builds.insert(0, (_("PyTorch of Slicer ({version})").format(version=present), SLICER))
        selector = self._ui.buildSelector
        if [selector.itemText(index) for index in range(selector.count)] == [text for text, _build in builds]:
            return
        selector.clear()
        for text, build in builds:
            selector.addItem(text, build)
        if cuda and present is None and shutil.which("nvidia-smi"):
            selector.setCurrentIndex(selector.findData(CUDA))

    def _ask_install(self) -> None:
        text = _(
            "This installs what the engine needs from the network: {sizes}, in {folder}. "
            "Slicer's own packages are not changed."
        )
        self._ask(text.format(sizes=sizes(self._build), folder=breakable(self._status.folder)), None)

    def _ask_install_folder(self) -> None:
        wheels = dialogs.choose_folder(
            self._ui.setupSection, _("Folder with the wheels to install"), settings.last_folder()
        )
        if wheels is None:
            return
        settings.set_last_folder(wheels)
        _download, disk = torch_builds.needed_bytes(self._build)
        text = _(
            "This installs what the engine needs from the folder that you chose, without the network: about "
            "{size} on the disk, in {folder}. Slicer's own packages are not changed."
        )
        self._ask(text.format(size=size(disk), folder=breakable(self._status.folder)), wheels)

    @property
    def _build(self) -> str:
        return str(self._ui.buildSelector.currentData)

    def _ask(self, text: str, wheels: Path | None) -> None:
        build, label = self._build, self._ui.installButton.text.rstrip(".")
        self._question.ask(
            text, [(label, lambda: self._install(build, wheels)), (_("Not now"), lambda: None)]
        )

    def _install(self, build: str, wheels: Path | None) -> None:
        if not self._free():
            return
        self._ui.installOutput.clear()
        self._ui.installOutput.visible = True
        self._begin(_("Installing...")).start(build, wheels=wheels)

    def _ask_uninstall(self) -> None:
        self._question.ask(
            _(
                "Remove what was installed for the engine? This frees {size}; models and settings stay."
            ).format(size=size(self._status.bytes)),
            [(_("Uninstall"), self._uninstall), (_("Keep"), lambda: None)],
        )

    def _uninstall(self) -> None:
        if self._free():
            self._begin(_("Removing...")).uninstall()

    def _free(self) -> bool:
        """Whether packages may be changed now."""
        if self._services.busy():
            self._say(_("A run goes on; wait until it has ended, or cancel it."))
            return False
        return self._installation is None

    def _begin(self, text: str) -> Installation:
        installation = Installation(on_line=self._on_line, on_end=self._on_end)
        self._installation = installation
        self._say(text)
        self._show()
        return installation

    def _cancel(self) -> None:
        if self._installation is not None:
            self._installation.cancel()

    def _on_line(self, line: str) -> None:
        self._ui.installOutput.appendPlainText(line)

    def _on_end(self, ok: bool, message: str) -> None:
        if self._installation is None:
            return  # the panel has gone
        self._installation = None
        self._say(message)
        self.refresh()
        if ok and self.ready:
            self._ui.installOutput.visible = False
            self._ui.setupSection.collapsed = True
            self._services.say(message)

    def _copy_report(self) -> None:
        if not self.ready:
            self._copied(_("The engine is not installed, so it has nothing to say."))
            return
        self._ui.copyReportButton.enabled = False
        self._say(_("Asking the engine what works on this computer..."))
        self._report = self._services.engine.submit("doctor")
        self._report.on_end(self._on_report)

    def _on_report(self, job: Job) -> None:
        if job is not self._report:
            return  # the panel has gone
        self._report = None
        self._ui.copyReportButton.enabled = True
        try:
            text = str(job.check()["text"])
        except JobError as error:
            text = error.message
        self._copied(text)

    def _copied(self, engine_report: str) -> None:
        dialogs.copy_text(report_text(self._status, engine_report))
        self._say(_("The report is on the clipboard; paste it into your question. It holds no patient data."))

    def _open_logs(self) -> None:
        folder = logs_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            opened = dialogs.open_folder(folder)
        except OSError:
            opened = False
        if not opened:
            self._say(_("The folder cannot be opened: {folder}").format(folder=breakable(folder)))

    def _choose_python(self) -> None:
        offered = [(path, partial(self._use_python, path)) for path in interpreter.suggestions()]
        if not interpreter.current().own:
            offered.append((_("Slicer's own"), partial(self._use_python, "")))
        self._question.ask(
            _("Which Python (3.11 to 3.13) shall run the engine?"),
            [*offered, (_("Choose..."), self._choose_python_file), (_("Leave it"), lambda: None)],
        )

    def _choose_python_file(self) -> None:
        path = dialogs.choose_file(self._ui.setupSection, _("Program of a Python"), _("All files") + " (*)")
        if path is not None:
            self._use_python(str(path))

    def _use_python(self, path: str) -> None:
        if not self._free():
            return
        try:
            interpreter.choose(path)
        except interpreter.InterpreterError as error:
            self._say(str(error))
            return
        self._services.engine.close()
        self._say("")
        self.refresh()

    def _say(self, text: str) -> None:
        self._ui.setupResultLabel.text = text
        self._ui.setupResultLabel.visible = bool(text)
