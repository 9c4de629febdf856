"""Draw the extension's icon and the module's from their SVG, as the PNG files that Slicer and its index want.

.venv/bin/python Resources/Icons/draw_icons.py
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCE = HERE / "UMambaSegmentation.svg"
PICTURES = (
    ROOT / "Resources" / "UMambaSegmentation.png",
    ROOT / "UMambaSegmentation" / "Resources" / "Icons" / "UMambaSegmentation.png",
)
SIZE = 128  # pixels


def draw(source: Path, size: int) -> QImage:
    """Draw an SVG file into a square of `size` pixels on a transparent ground; needs a QGuiApplication.

    Raises:
        ValueError: It is no SVG.
    """
    renderer = QSvgRenderer(str(source))
    if not renderer.isValid():
        raise ValueError(f"{source.name} is no SVG that Qt can draw")
    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    return image


if __name__ == "__main__":
    application = QGuiApplication(["draw_icons", "-platform", "offscreen"])
    for picture in PICTURES:
        if not draw(SOURCE, SIZE).save(str(picture)):
            raise OSError(f"{picture} cannot be written")
        print(picture)
