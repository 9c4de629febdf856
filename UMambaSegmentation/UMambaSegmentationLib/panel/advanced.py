"""The panel's section Advanced: how a run is made."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from UMambaSegmentationLib import settings

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.cards import Card
    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.state import PanelState


class AdvancedSection:
    """Device, folds, mirroring, step, threads, memory, waiting time, uncertainty."""

    def __init__(self, ui: SimpleNamespace, services: Services) -> None:
        """Take over the widgets of `advancedSection`.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
        """
        self._ui = ui
        self._services = services
        self._card: Card | None = None
        self._showing = False
        self._changed: list[Callable[[], None]] = []
        for text, value in _devices():
            ui.deviceSelector.addItem(text, value)
        services.engine.keep_warm_minutes = settings.keep_warm_minutes()
        ui.keepWarmSpinBox.value = int(settings.keep_warm_minutes())
        self._links = (
            (ui.deviceSelector, "currentIndexChanged(int)", self._on_device),
            (ui.foldsSelector, "currentIndexChanged(int)", self._on_folds),
            (ui.mirrorSelector, "currentIndexChanged(int)", self._on_mirror),
            (ui.stepSlider, "valueChanged(double)", self._on_step),
            (ui.threadsSpinBox, "valueChanged(int)", self._on_threads),
            (ui.memorySpinBox, "valueChanged(double)", self._on_memory),
            (ui.keepWarmSpinBox, "valueChanged(int)", self._on_keep_warm),
            (ui.uncertaintyCheckBox, "toggled(bool)", self._on_uncertainty),
        )
        for widget, signal, slot in self._links:
            widget.connect(signal, slot)
        services.state.listen(self._on_state)
        self.set_card(None)

    def set_card(self, card: Card | None) -> None:
        """Offer the folds and the mirroring of this model."""
        if card is not None and card == self._card:
            self.refresh()
            return
        self._card = card
        self._showing = True
        try:
            folds, mirror = self._ui.foldsSelector, self._ui.mirrorSelector
            folds.clear()
            folds.addItem(_("All"), "")
            names = _folds(card)
            for name in names if len(names) > 1 else ():
                folds.addItem(_("Only fold {name}").format(name=name), name)
            folds.enabled = len(names) > 1
            mirror.clear()
            usual = _("on") if card is not None and card.mirror else _("off")
            mirror.addItem(_("As the model says ({usual})").format(usual=usual), "")
            if card is not None and card.mirror_axes:
                mirror.addItem(_("On"), "on")
                mirror.addItem(_("Off"), "off")
            mirror.enabled = card is not None and bool(card.mirror_axes)
        finally:
            self._showing = False
        self.refresh()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after a change that concerns a run."""
        self._changed.append(callback)

    def refresh(self) -> None:
        """Bring the widgets in line with the state."""
        state = self._services.state.state
        self._showing = True
        try:
            _choose(self._ui.deviceSelector, state.device or settings.device())
            _choose(self._ui.foldsSelector, state.folds[0] if len(state.folds) == 1 else "")
            _choose(self._ui.mirrorSelector, {None: "", True: "on", False: "off"}[state.mirror])
            self._ui.stepSlider.value = float(state.step)
            self._ui.threadsSpinBox.value = int(state.threads or 0)
            self._ui.memorySpinBox.value = float(state.max_memory or 0.0)
            self._ui.uncertaintyCheckBox.checked = state.uncertainty
        finally:
            self._showing = False
        for callback in list(self._changed):
            callback()

    def close(self) -> None:
        """Let go of the widgets."""
        self._changed.clear()
        for widget, signal, slot in self._links:
            widget.disconnect(signal, slot)

    def _on_state(self, _state: PanelState, changed: frozenset[str]) -> None:
        if changed & {"device", "folds", "mirror", "step", "threads", "max_memory", "uncertainty"}:
            self.refresh()

    def _write(self, **changes: object) -> None:
        if not self._showing:
            self._services.state.write(**changes)

    def _on_device(self) -> None:
        if not self._showing:
            # The computer's, not the case's: a scene may be opened where there is no such card.
            settings.set_device(self._ui.deviceSelector.currentData)
            self._write(device=None)
            self.refresh()

    def _on_folds(self) -> None:
        fold = self._ui.foldsSelector.currentData
        self._write(folds=(fold,) if fold else ())

    def _on_mirror(self) -> None:
        self._write(mirror={"on": True, "off": False}.get(self._ui.mirrorSelector.currentData))

    def _on_step(self, value: float) -> None:
        self._write(step=round(float(value), 2))

    def _on_threads(self, value: int) -> None:
        self._write(threads=int(value) or None)

    def _on_memory(self, value: float) -> None:
        self._write(max_memory=round(float(value), 1) or None)

    def _on_uncertainty(self, checked: bool) -> None:
        self._write(uncertainty=bool(checked))

    def _on_keep_warm(self, minutes: int) -> None:
        settings.set_keep_warm_minutes(minutes)
        self._services.engine.keep_warm_minutes = float(minutes)


def _choose(selector: qt.QComboBox, value: str) -> None:
    """Choose the entry with this value; the first if there is none."""
    selector.setCurrentIndex(max(selector.findData(value), 0))


def _devices() -> list[tuple[str, str]]:
    devices = [(_("Automatic"), "auto"), (_("Processor (CPU)"), "cpu")]
    if sys.platform == "darwin":
        return [*devices, (_("Apple graphics (MPS)"), "mps")]
    return [*devices, (_("NVIDIA graphics (CUDA)"), "cuda")]


def _folds(card: Card | None) -> list[str]:
    """Which trained networks a model has: "0", "1", ... or "all"."""
    if card is None or not card.folder.is_dir():
        return []
    names = [re.fullmatch(r"fold_(\w+)\.safetensors", path.name) for path in sorted(card.folder.iterdir())]
    return [name.group(1) for name in names if name]
