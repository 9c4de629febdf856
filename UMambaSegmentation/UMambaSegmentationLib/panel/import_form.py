"""The form for a result of U-Mamba or nnU-Net: what the model, its channels and its segments are called."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Collection
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.panel.label_table import LabelTable
from UMambaSegmentationLib.paths import resources

NATIVE = "native"
_ORIENTATIONS = ("RAS", "LPS", "LAS", "LPI")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_ID_LENGTH = 100
_AXES = ("RL", "AP", "SI")


class ImportForm:
    """Fields filled in from what the engine found; nothing is written before Import is pressed."""

    def __init__(
        self,
        place: qt.QWidget,
        found: dict[str, Any],
        taken: Collection[str],
        *,
        after: qt.QWidget,
        accept: Callable[[dict[str, Any]], None],
        cancel: Callable[[], None],
    ) -> None:
        """Show the form.

        Args:
            place: A hidden widget with an empty layout.
            found: The engine's answer to `inspect`: the card as it would be, and notes.
            taken: Ids of the models that are there already.
            after: The widget before the form in the order of the Tab key.
            accept: Gets model (its id), name, orientation, channels and labels as the engine takes them.
            cancel: Called when the person wants no import.
        """
        self._place = place
        self._taken = taken
        self._accept = accept
        self._card = found["card"]
        self._widget = slicer.util.loadUI(str(resources() / "UI" / "ImportForm.ui"))
        self._ui = slicer.util.childWidgetVariables(self._widget)
        place.layout().addWidget(self._widget)
        self._channels: list[qt.QLineEdit] = []
        self._id_is_typed = False
        self._fill(found.get("notes", []))
        self._labels = LabelTable(self._ui.importLabelsTable, self._ui.importPreviewList, self._check)
        self._labels.fill(self._card["labels"])
        self._connect(cancel)
        self._check()
        place.visible = True
        self._order_fields(after)
        self._ui.importNameEdit.setFocus()
        length = len(self._card["name"])
        self._ui.importNameEdit.setSelection(length, -length)  # all, with its beginning in sight

    def choices(self) -> dict[str, Any]:
        """What the person typed, as keys of the engine's `import`."""
        return {
            "model": self._ui.importIdEdit.text.strip(),
            "name": self._ui.importNameEdit.text.strip(),
            "orientation": self._orientation(),
            "channels": [
                {**channel, "name": field.text.strip()}
                for channel, field in zip(self._card["channels"], self._channels, strict=True)
            ],
            "labels": self._labels.labels(),
        }

    def set_busy(self, busy: bool) -> None:
        """Take no changes while the import goes on."""
        self._widget.enabled = not busy

    def close(self) -> None:
        """Take the form away."""
        self._place.visible = False
        self._widget.visible = False
        self._place.layout().removeWidget(self._widget)
        self._widget.deleteLater()

    def _fill(self, notes: list[str]) -> None:
        ui, card = self._ui, self._card
        ui.importAboutLabel.text = "\n".join([card.get("description") or card["name"], *notes])
        ui.importNameEdit.text = card["name"]
        ui.importNameEdit.setCursorPosition(0)
        ui.importIdEdit.text = self._free_id(card["id"])
        ui.importIdEdit.setCursorPosition(0)
        ui.importOrientationSelector.addItem(_("As stored"), NATIVE)
        for letters in _ORIENTATIONS:
            ui.importOrientationSelector.addItem(letters, letters)
        for number, channel in enumerate(card["channels"], start=1):
            field = qt.QLineEdit(channel["name"])
            field.toolTip = _("What this input image is, such as T1 or CT; volumes are matched by it.")
            title = _("Image:")
            if len(card["channels"]) > 1:
                title = _("Image {n}:").format(n=number)
            field.accessibleName = title
            ui.importFields.addRow(title, field)
            self._channels.append(field)

    def _connect(self, cancel: Callable[[], None]) -> None:
        ui = self._ui
        ui.importNameEdit.connect("textEdited(QString)", self._on_name)
        ui.importIdEdit.connect("textEdited(QString)", self._on_id)
        ui.importOrientationSelector.connect("editTextChanged(QString)", self._check)
        for field in self._channels:
            field.connect("textEdited(QString)", self._check)
        ui.importAcceptButton.connect("clicked(bool)", self._on_accept)
        ui.importCancelButton.connect("clicked(bool)", lambda: cancel())

    def _order_fields(self, after: qt.QWidget) -> None:
        """Fields that are made here come last in Qt's order of the Tab key, behind the whole panel."""
        ui = self._ui
        order = [after, ui.importNameEdit, ui.importIdEdit, ui.importOrientationSelector, *self._channels]
        order += [ui.importLabelsTable, *self._labels.fields, ui.importPreviewList]
        order += [ui.importCancelButton, ui.importAcceptButton]
        for one, following in itertools.pairwise(order):
            qt.QWidget.setTabOrder(one, following)

    def _on_name(self, text: str) -> None:
        if not self._id_is_typed:
            self._ui.importIdEdit.text = self._free_id(slug(text))
            self._ui.importIdEdit.setCursorPosition(0)
        self._check()

    def _on_id(self) -> None:
        self._id_is_typed = True
        self._check()

    def _on_accept(self) -> None:
        if not self._problem():
            self._accept(self.choices())

    def _check(self) -> None:
        problem = self._problem()
        self._ui.importProblemLabel.text = problem
        self._ui.importProblemLabel.visible = bool(problem)
        self._ui.importAcceptButton.enabled = not problem

    def _problem(self) -> str:
        """What still has to be changed, or nothing."""
        chosen = self.choices()
        names = [channel["name"].casefold() for channel in chosen["channels"]]
        if not chosen["name"]:
            return _("Give the model a name.")
        if not _ID.fullmatch(chosen["model"]):
            return _("The name for scripts takes lower-case letters, digits and dashes, such as liver-ct.")
        if chosen["model"] in self._taken:
            return _("There is a model {id} already; choose another name for scripts.").format(
                id=chosen["model"]
            )
        if not is_orientation(chosen["orientation"]):
            return _("An orientation has three letters, one of R or L, A or P, and S or I, such as RAS.")
        if not all(names) or len(set(names)) != len(names):
            return _("Give each input image a name of its own.")
        return self._labels.problem()

    def _orientation(self) -> str:
        text = self._ui.importOrientationSelector.currentText.strip()
        return NATIVE if text == self._ui.importOrientationSelector.itemText(0) else text.upper()

    def _free_id(self, wanted: str) -> str:
        """`wanted`, or with a number behind it if it is taken."""
        free, number = wanted, 2
        while free in self._taken:
            end = f"-{number}"
            free = wanted[: _MAX_ID_LENGTH - len(end)].rstrip("-") + end
            number += 1
        return free


def is_orientation(text: str) -> bool:
    """Whether a text is "native" or three letters, one of each pair R/L, A/P, S/I."""
    fits = len(text) == len(_AXES) and all(sum(letter in axis for letter in text) == 1 for axis in _AXES)
    return text == NATIVE or fits


def slug(name: str) -> str:
    """A name as an id: its Latin letters and digits in lower case, joined by dashes.

    >>> slug("Liver & spleen (CT)")
    'liver-spleen-ct'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MAX_ID_LENGTH].strip("-")
