"""What the tests of the sections share: a person's hands, models to choose from, an empty Python."""

import json
import shutil
import subprocess
import sys
import warnings
import zipfile
from importlib import metadata
from pathlib import Path

import qt

BUNDLED = "hippocampus-mr"
MODELS = Path(__file__).resolve().parents[2] / "Resources" / "Models"
# Starting the worker on a busy machine; a test that waits longer has failed.
PATIENCE_S = 90.0
# What a button's text needs on each side of it, pixels.
BUTTON_EDGE = 4


def keys(widget, text):
    """Type a text into a widget, letter by letter; "\\n" is Enter, "\\b" clears the field first."""
    special = {"\n": qt.Qt.Key_Return}
    for letter in text:
        if letter == "\b":
            widget.selectAll()
            continue
        key, typed = special.get(letter, 0), "" if letter in special else letter
        for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            event = qt.QKeyEvent(kind, key, qt.Qt.NoModifier, typed)
            qt.QCoreApplication.sendEvent(widget, event)


def drop(widget, path):
    """Drag a file over a widget and drop it; whether the widget took it."""
    data = qt.QMimeData()
    data.setUrls([qt.QUrl.fromLocalFile(str(path))])
    where, how = qt.QPoint(20, 20), (qt.Qt.CopyAction, data, qt.Qt.LeftButton, qt.Qt.NoModifier)
    with warnings.catch_warnings():  # Qt 6 would rather make these events itself; Qt 5 has no other form
        warnings.simplefilter("ignore", DeprecationWarning)
        entering = qt.QDragEnterEvent(where, *how)
    qt.QCoreApplication.sendEvent(widget, entering)
    if entering.isAccepted():
        qt.QCoreApplication.sendEvent(widget, qt.QDropEvent(qt.QPointF(where), *how))
    return entering.isAccepted()


def answers(place):
    """The buttons of the question that is asked in a place, by their texts."""
    return {button.text: button for button in place.findChildren(qt.QPushButton) if not button.isHidden()}


def items(selector):
    """Text, data and whether it can be chosen, of each item of a combo box."""
    model = selector.model()
    return [
        (selector.itemText(row), selector.itemData(row), model.item(row).isEnabled())
        for row in range(selector.count)
    ]


def cut_texts(window):
    """Buttons, boxes and one-line labels whose text is wider than they are."""
    found = []
    for kind in (qt.QAbstractButton, qt.QLabel):
        for widget in window.findChildren(kind):
            text = widget.text.replace("&", "")
            plain = kind is qt.QAbstractButton or not (widget.wordWrap or "<" in text)
            if widget.isVisible() and plain and text:
                needed = widget.fontMetrics().horizontalAdvance(text)
                if needed > widget.width - (0 if kind is qt.QLabel else BUTTON_EDGE):
                    found.append((text, needed, widget.width))
    return found


def pictures(panel, shot, app, name, height=800):
    """The panel at 430 and 340 pixels, and at 340 with letters a quarter larger; no text may be cut."""
    window, font = panel.parent, qt.QFont(app.font())
    for width, scale in ((430, 1.0), (340, 1.0), (340, 1.25)):
        larger = qt.QFont(font)
        larger.setPointSizeF(font.pointSizeF() * scale)
        app.setFont(larger)
        window.resize(width, height)
        for _ in range(3):  # layouts settle from the inside out
            qt.QCoreApplication.processEvents()
            # Slicer's panel scrolls: the contents get the height that they need at this width.
            window.resize(width, max(height, window.heightForWidth(window.width)))
        shot(f"{name}_{width}_{round(100 * scale)}")
        cut = cut_texts(window)
        app.setFont(font)
        assert not cut, f"at {width} pixels and {scale:.0%}: {cut}"
    window.resize(430, height)
    qt.QCoreApplication.processEvents()


def store_copy(home, model_id, **changes):
    """Put a copy of the bundled model into the store of `home` under another id, with changes to its card."""
    folder = home / "models" / model_id
    shutil.copytree(MODELS / BUNDLED, folder)
    write_card(folder / "card.json", model_id, changes)
    return folder


def model_file(file, model_id, **changes):
    """A model file as `export` makes it, of the bundled model under another id."""
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted((MODELS / BUNDLED).iterdir()):
            if path.name != "card.json":
                archive.write(path, f"{model_id}/{path.name}")
        archive.writestr(f"{model_id}/card.json", json.dumps(_card(model_id, changes)))
    return file


def write_card(file, model_id, changes):
    """Overwrite a card with the bundled one's text and changes to it."""
    file.write_text(json.dumps(_card(model_id, changes)), encoding="utf-8")


def _card(model_id, changes):
    card = json.loads((MODELS / BUNDLED / "card.json").read_text(encoding="utf-8"))
    return {**card, "id": model_id, **changes}


def bare_python(folder):
    """A Python in which nothing is installed, as far as its metadata say: pip alone is listed.

    The modules themselves are linked, so that the engine starts once the metadata are there.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    program = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    for path in Path(metadata.distribution("pip").locate_file("")).iterdir():
        if path.suffix != ".dist-info" or path.name.startswith("pip-"):
            (site / path.name).symlink_to(path)
    return program


def wheels(folder, versions):
    """Wheels (name: version) that hold their metadata alone: pip installs them in a moment."""
    folder.mkdir()
    for name, version in versions.items():
        stem = f"{name.replace('-', '_')}-{version}"
        info = f"{stem}.dist-info"
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return folder
