"""The icons: drawn by Qt, readable on light and dark themes, and the PNG files as drawn from their SVG."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
DRAWER = ROOT / "Resources" / "Icons" / "draw_icons.py"
BUTTONS = sorted((ROOT / "UMambaSegmentation" / "Resources" / "Icons").glob("*.svg"))

LIGHT, DARK = "#f0f0f0", "#3c3c3c"  # buttons of Slicer's light and dark styles
LEAST_CONTRAST = 3.0  # what WCAG 2.1 asks of graphics
SMALLEST = 16  # pixels of a button's icon on a small screen
# Anti-aliasing may differ a little between versions of Qt; another drawing differs by far more.
MEAN_TOLERANCE = 2.0


def _luminance(color: str) -> float:
    parts = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_there_are_icons() -> None:
    assert BUTTONS


@pytest.mark.parametrize("path", BUTTONS, ids=lambda path: path.stem)
def test_button_icon_is_a_small_square_without_foreign_content(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert root.get("viewBox") == "0 0 24 24"
    assert (root.get("width"), root.get("height")) == ("24", "24")
    assert path.stat().st_size < 2000
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "path", "circle"}


@pytest.mark.parametrize("path", BUTTONS, ids=lambda path: path.stem)
def test_button_icon_is_readable_on_light_and_dark_themes(path: Path) -> None:
    colors = set(re.findall(r"#[0-9a-f]{6}", path.read_text(encoding="utf-8")))
    assert colors
    for color in colors:
        assert min(_contrast(color, LIGHT), _contrast(color, DARK)) >= LEAST_CONTRAST, color


def test_icons_are_drawn_as_they_lie_here(tmp_path: Path) -> None:
    """In a process of its own: the bench's Qt behaves like Slicer's, the drawer's is plain PySide6."""
    code = f"""
import importlib.util
from pathlib import Path
from PySide6.QtGui import QGuiApplication
application = QGuiApplication(["test", "-platform", "offscreen"])
spec = importlib.util.spec_from_file_location("draw_icons", {str(DRAWER)!r})
drawer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drawer)
drawer.draw(drawer.SOURCE, drawer.SIZE).save("drawn.png")
print(*drawer.PICTURES, sep="\\n")
for path in {[str(path) for path in BUTTONS]!r}:
    drawer.draw(Path(path), {SMALLEST}).save(Path(path).stem + ".png")
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
    for path in BUTTONS:
        shown = _pixels(tmp_path / f"{path.stem}.png")[..., 3] > 100
        assert shown.mean() > 0.1, f"{path.name} is hardly seen at {SMALLEST} pixels"


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"), dtype=np.float64)
