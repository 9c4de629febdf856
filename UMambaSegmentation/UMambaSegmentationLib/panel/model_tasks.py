"""What the engine is asked to do with models: one request at a time, with its progress and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from UMambaSegmentationLib.client.job import Job, JobError

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.panel.services import Services


class ModelTasks:
    """Shows what goes on below the models, and lets the person stop it."""

    def __init__(
        self,
        ui: SimpleNamespace,
        services: Services,
        *,
        changed: Callable[[], None],
        stopped: Callable[[], None],
    ) -> None:
        """Take over the section's status line, progress bar and Cancel.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
            changed: Called when a request begins or ends.
            stopped: Called when the engine has let go of a cancelled request, which may have come too late.
        """
        self._ui = ui
        self._services = services
        self._changed = changed
        self._stopped: Callable[[], None] | None = stopped
        self._job: Job | None = None
        ui.modelCancelButton.connect("clicked(bool)", self.cancel)

    @property
    def running(self) -> bool:
        """Whether a request goes on."""
        return self._job is not None

    def start(self, do: str, text: str, done: Callable[[dict[str, Any]], None], **keys: Any) -> None:  # noqa: ANN401
        """Ask the engine, unless it is busy.

        Args:
            do: The worker's request.
            text: What goes on, for the person.
            done: Gets the answer if all went well; after `changed`.
            keys: Of the request.
        """
        if self._job is not None or self._services.busy():
            self.say(_("The engine is busy; wait until it has done, or cancel it."))
            return
        self.say(text)
        self._ui.modelProgressBar.setRange(0, 0)
        self._ui.modelBusy.visible = True
        job = self._services.engine.submit(do, on_event=self._on_event, **keys)
        self._job = job
        self._changed()
        job.on_end(lambda ended: self._on_end(ended, done))

    def say(self, text: str) -> None:
        """Show one sentence; an empty one hides the line."""
        self._ui.modelStatusLabel.text = text
        self._ui.modelStatusLabel.visible = bool(text)

    def cancel(self) -> None:
        """Stop the request, if there is one."""
        if self._job is not None:
            self._job.cancel()

    def close(self) -> None:
        """Stop what goes on and let go of the widgets."""
        self._ui.modelCancelButton.disconnect("clicked(bool)", self.cancel)
        self._stopped = None
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _on_event(self, event: dict[str, Any]) -> None:
        if self._job is not None and event.get("event") == "progress" and event.get("total"):
            self._ui.modelProgressBar.setRange(0, int(event["total"]))
            self._ui.modelProgressBar.setValue(int(event["done"]))

    def _on_end(self, job: Job, done: Callable[[dict[str, Any]], None]) -> None:
        if job is not self._job:
            return  # the panel has gone
        self._job = None
        self._ui.modelBusy.visible = False
        answer = None
        if job.state == "cancelled":
            self.say(_("Cancelled."))
            job.on_release(lambda _job: self._after_cancel())
        else:
            try:
                answer = job.check()
                self.say("")
            except JobError as error:
                self.say(error.message.rstrip(".") + ".")
        self._changed()
        if answer is not None:
            done(answer)

    def _after_cancel(self) -> None:
        if self._stopped is not None:
            self._stopped()
