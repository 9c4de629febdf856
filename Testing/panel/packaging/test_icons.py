"""The extension's icons are as drawn from their SVG."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
DRAWER = ROOT / "Resources" / "Icons" / "draw_icons.py"

# Anti-aliasing may differ a little between versions of Qt; another drawing differs by far more.
MEAN_TOLERANCE = 2.0


def test_icons_are_drawn_as_they_lie_here(tmp_path: Path) -> None:
    """In a process of its own: the bench's Qt behaves like Slicer's, the drawer's is plain PySide6."""
    code = f"""
import importlib.util
from PySide6.QtGui import QGuiApplication
application = QGuiApplication(["test", "-platform", "offscreen"])
spec = importlib.util.spec_from_file_location("draw_icons", {str(DRAWER)!r})
drawer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drawer)
drawer.draw(drawer.SOURCE, drawer.SIZE).save("drawn.png")
print(*drawer.PICTURES, sep="\\n")
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    drawn = _pixels(tmp_path / "drawn.png")
    pictures = [Path(line) for line in run.stdout.splitlines()]
    assert pictures
    for path in pictures:
        assert np.abs(_pixels(path) - drawn).mean() < MEAN_TOLERANCE, f"{path.name}: run {DRAWER.name} again"


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"), dtype=np.float64)
