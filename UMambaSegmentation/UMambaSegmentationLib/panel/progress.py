"""How far a run is: one bar for all stages, and a line in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from types import SimpleNamespace

# Where each stage begins and ends on the bar, per mille of an ordinary run.
SPANS = {"read": (0, 20), "preprocess": (20, 100), "predict": (100, 1000)}
WHOLE = 1000


class Progress:
    """The progress bar and the status line while a run goes on."""

    def __init__(self, ui: SimpleNamespace) -> None:
        """Take over the widgets.

        Args:
            ui: The panel's widgets.
        """
        self._bar = ui.progressBar
        self._label = ui.statusLabel
        self._bar.visible = False

    def begin(self) -> None:
        """A run has begun; nothing is known of it yet."""
        self._bar.setRange(0, 0)
        self._bar.visible = True
        self._label.text = _("Starting...")
        self._label.visible = True

    def show(self, event: dict[str, Any]) -> None:
        """Show a `progress` event; one of a sequence has `frame` and `frames` too."""
        first, last = SPANS.get(event["stage"], (0, WHOLE))
        done, total = int(event["done"]), max(int(event["total"]), 1)
        share = first + (last - first) * min(done / total, 1.0)
        text = _stage(event["stage"], done, total)
        if "frame" in event:
            frame, frames = int(event["frame"]), int(event["frames"])
            share = (frame * WHOLE + share) / frames
            text = _("Frame {frame} of {frames}: {stage}").format(frame=frame + 1, frames=frames, stage=text)
        left = event.get("seconds_left")
        if left and event["stage"] == "predict":
            text = _("{stage}, about {time} left").format(stage=text, time=duration(float(left)))
        self._bar.setRange(0, WHOLE)
        self._bar.setValue(max(int(share), self._bar.value))
        self._label.text = text

    def wait(self, text: str) -> None:
        """The engine is done, the person is not."""
        self._bar.setRange(0, WHOLE)
        self._bar.setValue(WHOLE)
        self._label.text = text

    def end(self) -> None:
        """The run has ended."""
        self._bar.setRange(0, WHOLE)
        self._bar.setValue(0)
        self._bar.visible = False


def duration(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 90:
        return _("{n} s").format(n=max(round(seconds), 1))
    minutes = round(seconds / 60)
    if minutes < 90:
        return _("{n} min").format(n=minutes)
    return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)


def _stage(stage: str, done: int, total: int) -> str:
    if stage == "predict":
        return _("Segmenting: {done} of {total} tiles").format(done=done, total=total)
    return _("Reading the volume") if stage == "read" else _("Preparing the volume")
