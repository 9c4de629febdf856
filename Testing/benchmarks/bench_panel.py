"""The panel's figures: opening, a warm run by clicking, cancel, how long the window stands still.

    python Testing/benchmarks/bench_panel.py

Needs what the panel's tests need (Testing/panel): slicer-core and PySide6, no desktop.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULE_FILE = ROOT / "UMambaSegmentation" / "UMambaSegmentation.py"
IMAGE = ROOT / "Resources" / "SampleData" / "MNI152_T1_1mm" / "MNI152_T1_1mm.nii.gz"
sys.path[:0] = [str(ROOT / "Testing" / "panel"), str(MODULE_FILE.parent)]

from bench import environment  # noqa: E402

environment.prepare()
environment.check()

from bench import scripted, slicer_app  # noqa: E402
from bench.events import spin  # noqa: E402

application = slicer_app.install()

import qt  # noqa: E402
import slicer  # noqa: E402

CENTRE_RAS = (-28.0, -20.0, -14.0)
SIDE_MM = 64.0
RUNS = 5
PATIENCE_S = 300.0
TICK_MS = 2


class Clock:
    """Ticks while the window is alive; `gap` is the longest time without a tick."""

    def __init__(self) -> None:
        self.ticks: list[float] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", lambda: self.ticks.append(time.perf_counter()))

    def __enter__(self) -> Clock:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.stop()

    @property
    def gap(self) -> float:
        """Seconds."""
        return max(after - before for before, after in itertools.pairwise(self.ticks))


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that something took, and what it gave."""
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result


def open_panel() -> Any:
    """What Slicer does when the module is chosen for the first time."""
    window = scripted.add_module(MODULE_FILE).widgetRepresentation()
    window.resize(430, 800)
    window.show()
    window.enter()
    qt.QCoreApplication.processEvents()
    return window.self()


def click(panel: Any) -> None:
    """Press Segment and wait for the segments."""
    panel.ui.segmentButton.click()
    spin(lambda: panel.ui.segmentButton.text == "Segment", PATIENCE_S)
    qt.QCoreApplication.processEvents()
    if not panel.ui.statusLabel.text.startswith("Done"):
        raise SystemExit(panel.ui.statusLabel.text)


def cancel(panel: Any, engine: Any) -> tuple[float, float]:
    """Seconds from the click on Cancel until the panel is idle, and until the engine is."""
    panel.ui.segmentButton.click()
    spin(lambda: "tiles" in panel.ui.statusLabel.text, PATIENCE_S)
    began = time.perf_counter()
    panel.ui.segmentButton.click()
    spin(lambda: panel.ui.segmentButton.text == "Segment", PATIENCE_S)
    panel_s = time.perf_counter() - began
    spin(lambda: engine._job is None, PATIENCE_S)
    return panel_s, time.perf_counter() - began


def main() -> None:
    """Print a line for each figure."""
    opened, panel = timed(open_panel)
    print(f"panel opens                                   {opened:6.2f} s   (0.5 s wanted)")
    volume = slicer.modules.volumes.logic().AddArchetypeVolume(str(IMAGE), "head")
    box = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    box.SetCenter(CENTRE_RAS)
    box.SetSize(SIDE_MM, SIDE_MM, SIDE_MM)
    spin(lambda: panel.ui.inputSelector.currentNode() == volume, 5)
    panel.ui.regionSelector.setCurrentNode(box)
    cold, _ = timed(lambda: click(panel))
    print(f"first run, engine and kernels cold            {cold:6.2f} s")
    with Clock() as clock:
        runs = [timed(lambda: click(panel))[0] for _ in range(RUNS)]
    print(
        f"warm run, 64 x 64 x 64 mm, click to segments  {statistics.median(runs):6.2f} s   (2 s wanted; "
        f"{min(runs):.2f} to {max(runs):.2f} in {RUNS})"
    )
    print(f"longest gap of the event loop meanwhile       {1000 * clock.gap:6.0f} ms")
    panel.ui.regionSelector.setCurrentNode(None)
    panel.ui.stepSlider.value = 0.1
    panel_s, engine_s = cancel(panel, panel.panel.services.engine)
    print(f"cancel, until the panel is idle               {panel_s:6.2f} s   (1 s wanted)")
    print(f"cancel, until the engine is idle              {engine_s:6.2f} s")
    print(f"torch in this process: {'torch' in sys.modules}; the engine's: {'umamba' in sys.modules}")
    scripted.remove_module(MODULE_FILE.stem)


if __name__ == "__main__":
    main()
