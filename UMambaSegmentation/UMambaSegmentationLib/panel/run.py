"""The button that starts and cancels a run, and everything around it that tells how it goes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from UMambaSegmentationLib.client.job import JobError
from UMambaSegmentationLib.panel.case import Case
from UMambaSegmentationLib.panel.plan_line import PlanLine
from UMambaSegmentationLib.panel.progress import Progress, duration
from UMambaSegmentationLib.panel.question import Question
from UMambaSegmentationLib.scene.edits import EditedSegments
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.merging import SameName

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.run import Run

# Names that a question lists; of more it says how many.
MOST_NAMES = 4
# How the engine tells a fault of its own: by the name of Python's error.
_CLASS_NAME = re.compile(r"[A-Za-z_.]+(Error|Exception|Interrupt)\b")

# The run sections of all open panels: they share the engine, and one run goes on at a time.
_SECTIONS: list[RunSection] = []


class _SingleClicks(qt.QObject):
    """Takes the second press of a double click away: it would cancel what the first has begun."""

    def eventFilter(self, _watched: qt.QObject, event: qt.QEvent) -> bool:  # noqa: N802  (Qt's name)
        """Qt's hook: True where the event ends here."""
        return bool(event.type() == qt.QEvent.MouseButtonDblClick)


class RunSection:
    """One run at a time: start, progress, log, cancel, questions about edited segments."""

    def __init__(self, ui: SimpleNamespace, services: Services, case: Callable[[], Case]) -> None:
        """Take over the widgets of `runWidget`.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
            case: Gives the choices of the moment.
        """
        self._ui = ui
        self._services = services
        self._case = case
        self._run: Run | None = None
        self._outcome = ""
        self._began = 0.0
        self._ready: list[Callable[[bool], None]] = []
        self._ended: list[Callable[[Run], None]] = []
        self._plan = PlanLine(ui, services, case)
        self._progress = Progress(ui)
        self._question = Question(ui.runQuestion)
        self._links = (
            (ui.segmentButton, "clicked(bool)", self._on_button),
            (ui.setupLinkButton, "clicked(bool)", services.show_setup),
            (ui.logButton, "toggled(bool)", self._on_log),
        )
        for sender, signal, slot in self._links:
            sender.connect(signal, slot)
        self._single_clicks = _SingleClicks()
        ui.segmentButton.installEventFilter(self._single_clicks)
        _SECTIONS.append(self)

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._run is not None

    def on_ready(self, callback: Callable[[bool], None]) -> None:
        """Call `callback(ready)` when it may have changed whether a run could begin."""
        self._ready.append(callback)

    def on_end(self, callback: Callable[[Any], None]) -> None:
        """Call `callback(run)` when a run has ended, however."""
        self._ended.append(callback)

    def say(self, message: str) -> None:
        """Show one sentence below the button, until the next."""
        self._outcome = message
        self._show(message)

    def choices_changed(self) -> None:
        """The person has chosen something else: plan again, and say what is missing."""
        self._question.withdraw()
        if not self.running:
            self._plan.ask()
        self.refresh()

    def refresh(self) -> None:
        """Bring the button and the line below it in line with what is chosen."""
        self._ui.segmentButton.text = _("Cancel") if self.running else _("Segment")
        case = self._case()
        missing = self._missing(case)
        for callback in list(self._ready):
            callback(not self.running and not missing)
        if self.running:
            self._ui.segmentButton.enabled = True
            self._ui.setupLinkButton.visible = False
            return
        self._ui.segmentButton.enabled = not missing
        self._ui.setupLinkButton.visible = case.needs_setup
        self._show(missing or self._outcome)

    def start(self, **choices: Any) -> None:  # noqa: ANN401  (fields of RunOptions)
        """Begin, unless something is missing or a run goes on already.

        Args:
            choices: Options that count for this run only, such as what to do with edited segments.
        """
        case = self._case()
        if self.running or self._missing(case) or case.card is None:
            self.refresh()
            return
        self._question.withdraw()
        self._plan.stop()
        self._outcome = ""
        options = replace(case.options, **choices)
        try:
            self._run = self._services.logic.start(
                list(case.volumes),
                case.card,
                case.output,
                region=case.region,
                all_frames=case.all_frames,
                options=options,
                callback=self._on_event,
                on_end=self._on_end,
                ask=self._ask_at_end,
            )
        except EditedSegments as edited:
            self._ask_before(list(edited.names))
            return
        except (SceneError, OSError) as error:
            self.say(str(error))
            return
        self._ui.logText.clear()
        self._began = time.monotonic()
        self._progress.begin()
        self._refresh_all()

    def cancel(self) -> None:
        """Stop the run, if there is one."""
        self._question.withdraw()
        if self._run is not None:
            self._run.cancel()

    def close(self) -> None:
        """Cancel, and let go of the widgets."""
        self._ready.clear()
        self._ended.clear()
        self.cancel()
        self._plan.close()
        for sender, signal, slot in self._links:
            sender.disconnect(signal, slot)
        self._ui.segmentButton.removeEventFilter(self._single_clicks)
        _SECTIONS.remove(self)
        self._refresh_all()

    def _missing(self, case: Case) -> str:
        """Why no run can begin; empty if one can."""
        if any(section.running for section in _SECTIONS if section is not self):
            return _("A run goes on in another panel of this module; wait for its end, or cancel it there.")
        return case.missing

    def _refresh_all(self) -> None:
        """Of panels open side by side, each says whether a run goes on."""
        for section in list(_SECTIONS):
            section.refresh()

    def _show(self, message: str) -> None:
        self._ui.statusLabel.text = message
        self._ui.statusLabel.visible = bool(message)

    def _on_button(self) -> None:
        if self.running:
            self.cancel()
        else:
            self.start()

    def _on_log(self, shown: bool) -> None:
        self._ui.logText.visible = bool(shown)

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "plan":
            self._plan.show(event)
            self._write(str(event.get("line", "")))
        elif event["event"] == "progress":
            self._progress.show(event)
        elif event["event"] == "log":
            self._write(str(event.get("message", "")))

    def _write(self, line: str) -> None:
        self._ui.logText.appendPlainText(line)

    def _on_end(self, run: Run) -> None:
        self._run = None
        self._question.withdraw()
        self._progress.end()
        self.say(_outcome(run, time.monotonic() - self._began))
        self._write(self._outcome)
        self._refresh_all()
        for callback in list(self._ended):
            callback(run)

    def _ask_before(self, names: list[str]) -> None:
        self._question.ask(
            _question(names),
            [
                (_("Replace"), lambda: self.start(overwrite_edited=True)),
                (_("Add beside"), lambda: self.start(same_name="beside")),
                (_("Cancel"), self.refresh),
            ],
        )

    def _ask_at_end(self, names: list[str], answer: Callable[[SameName | None], None]) -> None:
        self._progress.wait(_("The result is there; it waits for your answer."))
        self._question.ask(
            _question(names),
            [
                (_("Replace"), lambda: answer("replace")),
                (_("Add beside"), lambda: answer("beside")),
                (_("Drop the result"), lambda: answer(None)),
            ],
        )


def _question(names: list[str]) -> str:
    listed = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        listed = _("{names} and {count} more").format(names=listed, count=len(names) - MOST_NAMES)
    return _(
        "You have edited {names}. Replace your work, or keep it and add the new segments beside?"
    ).format(names=listed)


def _outcome(run: Run, seconds: float) -> str:
    if run.state == "cancelled":
        return _("Cancelled; the scene is as it was.")
    if run.error is not None:
        return _fault(run.error)
    return " ".join([_("Done in {time}.").format(time=duration(seconds)), *run.warnings])


def _fault(error: Exception) -> str:
    """A sentence: as it was written for a person, or that a program failed where nobody foresaw it."""
    known = isinstance(error, (JobError, SceneError))
    if known and not (isinstance(error, JobError) and _CLASS_NAME.match(str(error))):
        option, colon, rest = str(error).partition(": ")
        return f"{_fields()[option]}{colon}{rest}" if option in _fields() else str(error)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    return _(
        "Something failed that should not have ({error}); copy the report under Set-up for help."
    ).format(error=text)


def _fields() -> dict[str, str]:
    """How the panel calls the options that the engine names in its sentences."""
    return {
        "max_memory": _("Memory limit"),
        "roi": _("Region"),
        "around": _("Point"),
        "device": _("Device"),
        "threads": _("Threads"),
        "step": _("Step"),
        "folds": _("Folds"),
        "mirror": _("Mirroring"),
        "labels": _("Structures"),
    }
