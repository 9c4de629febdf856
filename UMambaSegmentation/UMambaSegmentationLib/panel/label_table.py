"""The labels of a model that is being imported: what each will be called, its colour and its codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import qt
from slicer.i18n import tr as _

from UMambaSegmentationLib.panel import dialogs
from UMambaSegmentationLib.panel.model_card import plain_tool_tip
from UMambaSegmentationLib.scene import terminology
from UMambaSegmentationLib.scene.vocabulary import vocabulary

Color = tuple[int, int, int]

_LABEL, _COLOR, _NAME, _CODES = range(4)
_MOST_ROWS, _MOST_PREVIEWED = 7, 4
_SWATCH = 14
# Around a line of text, pixels: frame and padding of a line edit.
_ROW_PADDING = 10


@dataclass
class LabelRow:
    """One label.

    Attributes:
        value: In the label map.
        label: Its name in the training's data.
        name: Of the segment.
        color: Red, green, blue, each 0 to 255.
        terminology: Codes as in a card, or None.
        typed: The words for them that are in the cell.
        known: Whether the words are those of the codes.
    """

    value: int
    label: str
    name: str
    color: Color
    terminology: dict[str, Any] | None
    typed: str
    known: bool = True


class LabelTable:
    """A row of fields for each label, and below them how the segments will be listed."""

    def __init__(self, table: qt.QTableWidget, preview: qt.QListWidget, changed: Callable[[], None]) -> None:
        """Take over two widgets.

        Args:
            table: With the four columns of the form.
            preview: Empty.
            changed: Called after each change by the person.
        """
        self._table = table
        self._preview = preview
        self._changed = changed
        self._rows: list[LabelRow] = []
        self._buttons: list[qt.QToolButton] = []
        self._fields: list[tuple[qt.QLineEdit, qt.QLineEdit]] = []
        self._completer = qt.QCompleter(vocabulary().names)
        self._completer.setFilterMode(qt.Qt.MatchContains)
        self._completer.setCaseSensitivity(qt.Qt.CaseInsensitive)
        header = table.horizontalHeader()
        for column in (_LABEL, _NAME, _CODES):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(_COLOR, qt.QHeaderView.ResizeToContents)
        header.setMinimumSectionSize(_SWATCH)

    @property
    def rows(self) -> Sequence[LabelRow]:
        """What the fields hold."""
        return tuple(self._rows)

    @property
    def fields(self) -> list[qt.QWidget]:
        """Everything that takes the keyboard, row by row."""
        pairs = zip(self._buttons, self._fields, strict=True)
        return [widget for button, (name, codes) in pairs for widget in (button, name, codes)]

    def fill(self, labels: Sequence[Mapping[str, Any]]) -> None:
        """Show the labels of a card, with names, colours and codes guessed where the card has none.

        Args:
            labels: value, name, color and perhaps terminology of each.
        """
        self._rows = guessed(labels)
        self._table.setRowCount(len(self._rows))
        for index in range(len(self._rows)):
            self._add(index)
        self._fit()
        self._show_preview()

    def problem(self) -> str:
        """What still has to be changed, or nothing."""
        names = [row.name.casefold() for row in self._rows]
        for row in self._rows:
            if not row.name:
                return _("Give the label {value} a name.").format(value=row.value)
            if names.count(row.name.casefold()) > 1:
                return _("Two labels are called {name}; give each its own name.").format(name=row.name)
            if not row.known:
                return _("The terminology has no {text}; choose from its list, or leave it empty.").format(
                    text=row.typed
                )
        return ""

    def labels(self) -> list[dict[str, Any]]:
        """The labels as the engine takes them."""
        return [
            {"value": row.value, "name": row.name, "color": list(row.color), "terminology": row.terminology}
            for row in self._rows
        ]

    def _add(self, index: int) -> None:
        row = self._rows[index]
        item = qt.QTableWidgetItem(f"{row.value} {row.label}")
        item.setToolTip(plain_tool_tip(f"{row.value} {row.label}"))
        item.setFlags(qt.Qt.ItemIsEnabled)
        self._table.setItem(index, _LABEL, item)
        button = qt.QToolButton()
        button.setAutoRaise(True)
        button.toolTip = _("Colour of this segment; click to choose another.")
        button.accessibleName = _("Colour of {name}").format(name=row.name)
        button.setIcon(swatch(row.color))
        button.connect("clicked(bool)", lambda: self._choose_color(index))
        name, codes = qt.QLineEdit(row.name), qt.QLineEdit(row.typed)
        for field in (name, codes):
            field.setFrame(False)
            field.setCursorPosition(0)
        name.toolTip = _("Name of this segment.")
        name.accessibleName = _("Name of label {value}").format(value=row.value)
        name.connect("textEdited(QString)", lambda text: self._set_name(index, text))
        codes.setCompleter(self._completer)
        codes.placeholderText = _("none")
        codes.accessibleName = _("Terminology of label {value}").format(value=row.value)
        codes.connect("textEdited(QString)", lambda text: self._set_codes(index, text))
        codes.connect("editingFinished()", lambda: self._set_codes(index, codes.text))
        for column, widget in ((_COLOR, button), (_NAME, name), (_CODES, codes)):
            self._table.setCellWidget(index, column, widget)
        self._buttons.append(button)
        self._fields.append((name, codes))
        self._show_meaning(index)

    def _choose_color(self, index: int) -> None:
        row = self._rows[index]
        color = dialogs.choose_color(self._table, _("Colour of {name}").format(name=row.name), row.color)
        if color is not None:
            row.color = color
            self._buttons[index].setIcon(swatch(color))
            self._after_change(index)

    def _set_name(self, index: int, text: str) -> None:
        self._rows[index].name = text.strip()
        self._after_change(index)

    def _set_codes(self, index: int, text: str) -> None:
        row, words = self._rows[index], text.strip()
        if words == row.typed:
            return
        found = terminology.guess(words) if words else None
        row.typed = words
        row.terminology = None if found is None else found.terminology
        row.known = not words or found is not None
        self._after_change(index)

    def _after_change(self, index: int) -> None:
        self._show_meaning(index)
        self._show_preview()
        self._changed()

    def _show_meaning(self, index: int) -> None:
        self._fields[index][1].toolTip = plain_tool_tip(meaning(self._rows[index].terminology))

    def _show_preview(self) -> None:
        self._preview.clear()
        for row in self._rows:
            codes = words_of(row.terminology) or meaning(None)
            item = qt.QListWidgetItem(swatch(row.color), f"{row.name} – {codes}")
            item.setToolTip(plain_tool_tip(meaning(row.terminology)))
            self._preview.addItem(item)

    def _fit(self) -> None:
        """Make table and preview as high as their rows, and no higher than a few."""
        height = self._table.fontMetrics().height() + _ROW_PADDING
        self._table.verticalHeader().setDefaultSectionSize(height)
        shown = min(len(self._rows), _MOST_ROWS)
        frame = 2 * self._table.frameWidth
        self._table.horizontalHeader().setFixedHeight(height)
        self._table.setFixedHeight((1 + shown) * height + frame)
        line = self._table.fontMetrics().height() + _ROW_PADDING // 2
        self._preview.setFixedHeight(min(len(self._rows), _MOST_PREVIEWED) * line + frame)


def guessed(labels: Sequence[Mapping[str, Any]]) -> list[LabelRow]:
    """Rows for the labels of a card, each with a name and a colour of its own."""
    rows: list[LabelRow] = []
    for label in labels:
        found = terminology.guess(label["name"])
        codes = label.get("terminology") or (None if found is None else found.terminology)
        name = readable(label["name"])
        color = (label["color"][0], label["color"][1], label["color"][2])
        if found is not None:
            if all(row.name.casefold() != found.name.casefold() for row in rows):
                name = found.name
            if found.color is not None and all(row.color != found.color for row in rows):
                color = found.color
        rows.append(LabelRow(label["value"], label["name"], name, color, codes, words_of(codes)))
    return rows


def readable(name: str) -> str:
    """A label's name as words: "left_ventricle" as "Left ventricle"."""
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:]


def words_of(codes: Mapping[str, Any] | None) -> str:
    """The words of a terminology entry, as they are typed: "Kidney, Right"."""
    if not codes:
        return ""
    return ", ".join(codes[part][2] for part in ("type", "modifier", "region") if codes.get(part))


def meaning(codes: Mapping[str, Any] | None) -> str:
    """A terminology entry for a person: "Anatomical Structure: Kidney, Right"."""
    if not codes:
        return _("no terminology entry")
    return f"{codes['category'][2]}: {words_of(codes)}"


def swatch(color: Color) -> qt.QIcon:
    """A square of a colour."""
    picture = qt.QPixmap(_SWATCH, _SWATCH)
    picture.fill(qt.QColor(*color))
    return qt.QIcon(picture)
