"""The line above the Segment button: where the model will run and what that will take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import qt

from UMambaSegmentationLib.client.job import JobError
from UMambaSegmentationLib.panel.case import Case
from UMambaSegmentationLib.planning import start_plan
from UMambaSegmentationLib.scene.errors import SceneError

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.client.job import Job
    from UMambaSegmentationLib.panel.services import Services

# The plan reads the volume: it waits until the person has chosen.
REST_MS = 400


class PlanLine:
    """Asks the engine for a plan when the choices have come to rest; one question at a time."""

    def __init__(self, ui: SimpleNamespace, services: Services, case: Callable[[], Case]) -> None:
        """Take over the line.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
            case: Gives the choices of the moment.
        """
        self._label = ui.planLabel
        self._button = ui.segmentButton
        self._services = services
        self._case = case
        self._job: Job | None = None
        self._again = False
        self._planned = ""  # the choices that the line is about
        self._rest = qt.QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.connect("timeout()", self._ask)
        self._show("")

    def ask(self) -> None:
        """Something was chosen: if it changes a run, what the line says is out of date."""
        if self._planned and self._planned == _key(self._case()):
            return
        self._planned = ""
        self._show("")
        self._rest.start()

    def show(self, event: dict[str, object]) -> None:
        """Show the plan that a run of the present choices came with."""
        self._planned = _key(self._case())
        self._show(str(event.get("line", "")))

    def stop(self) -> None:
        """Ask no more; an answer that is on its way is not shown."""
        self._rest.stop()
        self._again = False
        self._job = None

    def close(self) -> None:
        """Let go of timer and widget."""
        self.stop()
        self._rest.disconnect("timeout()", self._ask)

    def _ask(self) -> None:
        case = self._case()
        engine = self._services.engine
        if case.missing or case.card is None or self._services.busy():
            return
        if not engine.warm and not engine.keep_warm_minutes:  # a whole start of the engine for each line
            return
        if not self._button.isVisible():  # the person is in another module; opening this one asks again
            return
        if self._job is not None:  # its answer first: stopping the engine over a question would cost more
            self._again = True
            return
        try:
            self._job = start_plan(engine, case.card, case.volumes, case.region, case.options, self._answered)
        except SceneError as error:
            self._show(str(error))

    def _answered(self, job: Job) -> None:
        if job is not self._job:
            return
        self._job = None
        if self._again:
            self._again = False
            self._ask()
            return
        if self._rest.isActive():
            return
        try:
            self.show(job.check())
        except JobError as error:
            self._show("" if error.kind == "cancelled" else str(error))

    def _show(self, text: str) -> None:
        self._label.text = text
        self._label.visible = bool(text)


def _key(case: Case) -> str:
    """What a plan depends on, as it is now; two texts that differ may need two plans."""
    options = replace(case.options, same_name="replace", overwrite_edited=False)
    nodes = [node for node in (*case.volumes, case.region) if node is not None]
    times = [(node.GetID(), node.GetMTime()) for node in nodes]
    return repr((case.card.id if case.card is not None else "", case.missing, times, options))
