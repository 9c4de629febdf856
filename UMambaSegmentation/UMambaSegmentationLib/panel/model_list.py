"""The searchable list of models: a combo box that takes words and shows the models that have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.panel.model_card import plain_tool_tip


class ModelList:
    """Models by where they come from, under head lines that cannot be chosen."""

    def __init__(self, selector: qt.QComboBox, chosen: Callable[[], None]) -> None:
        """Take over an editable combo box.

        Args:
            selector: Empty; the data of its items will be the models' ids.
            chosen: Called when the person, or `select`, chose another model.
        """
        self._selector = selector
        self._chosen = chosen
        self._cards: dict[str, Card] = {}
        self._by_completion: dict[str, str] = {}
        self._current: str | None = None
        self._items = qt.QStandardItemModel()
        self._words = qt.QStringListModel()
        self._completer = qt.QCompleter(self._words)
        self._completer.setFilterMode(qt.Qt.MatchContains)
        self._completer.setCaseSensitivity(qt.Qt.CaseInsensitive)
        self._completer.setCompletionMode(qt.QCompleter.PopupCompletion)
        selector.setModel(self._items)
        # On the line, not on the combo box: that one would look the completion up among its own items, whose
        # texts are the names alone.
        selector.lineEdit().setCompleter(self._completer)
        selector.lineEdit().setAcceptDrops(False)  # a file that is dropped here is for the panel
        selector.connect("currentIndexChanged(int)", self._on_index)
        selector.lineEdit().connect("editingFinished()", self._on_typed)
        self._completer.connect("activated(QString)", self._on_completed)

    @property
    def current(self) -> str | None:
        """The id of the chosen model."""
        return self._current

    def fill(self, cards: Sequence[Card], wanted: str | None) -> None:
        """Show these models and choose one, without calling back.

        Args:
            cards: In the order of their groups.
            wanted: Id to choose; where it is not among them the first that can be run is chosen.
        """
        self._cards = {card.id: card for card in cards}
        blocked = self._selector.blockSignals(True)
        self._items.clear()
        group = None
        for card in cards:
            if card.source != group:
                group = card.source
                self._items.appendRow(_head_line(group))
            self._items.appendRow(_item(card))
        self._by_completion = {}
        for card in cards:
            text = card.sentence()
            self._by_completion[f"{text} ({card.id})" if text in self._by_completion else text] = card.id
        self._words.setStringList(list(self._by_completion))
        self._selector.lineEdit().placeholderText = "" if cards else _("No model yet: import one")
        self._current = wanted if wanted in self._cards else next(iter(self._cards), None)
        self._show_current()
        self._selector.blockSignals(blocked)

    def select(self, model_id: str) -> bool:
        """Choose a model as a person would; False if it is not in the list."""
        if model_id not in self._cards:
            return False
        changed = model_id != self._current
        self._current = model_id
        self._show_current()
        if changed:
            self._chosen()
        return True

    def close(self) -> None:
        """Let go of the combo box."""
        self._selector.disconnect("currentIndexChanged(int)", self._on_index)
        self._selector.lineEdit().disconnect("editingFinished()", self._on_typed)
        self._completer.disconnect("activated(QString)", self._on_completed)

    def _on_index(self, index: int) -> None:
        model_id = self._selector.itemData(index)
        if model_id in self._cards:
            self.select(model_id)
        else:  # a head line whose words were typed
            self._show_current()

    def _on_completed(self, text: str) -> None:
        self.select(self._by_completion.get(text, ""))
        # The line itself writes the completion into its text, before or after this.
        qt.QTimer.singleShot(0, self._show_current)

    def _on_typed(self) -> None:
        """Take the words of the line if one model has them, else go back to the one that is chosen."""
        text = self._selector.lineEdit().text
        if text != self._selector.itemText(self._selector.currentIndex):
            found = [card.id for card in self._cards.values() if text.strip() and card.matches(text)]
            if text in self._by_completion:
                found = [self._by_completion[text]]
            if len(found) == 1:
                self.select(found[0])
        self._show_current()

    def _show_current(self) -> None:
        index = -1 if self._current is None else self._selector.findData(self._current)
        blocked = self._selector.blockSignals(True)
        self._selector.setCurrentIndex(index)
        self._selector.setEditText("" if index < 0 else self._selector.itemText(index))
        self._selector.lineEdit().setCursorPosition(0)  # of a long name, its beginning
        self._selector.blockSignals(blocked)


def _head_line(source: str) -> qt.QStandardItem:
    texts = {
        "bundled": _("Came with this extension"),
        "installed": _("Installed on this computer"),
        "available": _("In the shared folder"),
    }
    item = qt.QStandardItem(texts[source])
    item.setEnabled(False)
    item.setSelectable(False)
    return item


def _item(card: Card) -> qt.QStandardItem:
    item = qt.QStandardItem(card.name)
    item.setData(card.id, qt.Qt.UserRole)
    item.setToolTip(plain_tool_tip(card.sentence()))
    return item
