"""A question inside the panel, with a button for each answer.

A modal dialog would stop the window and be invisible to a script; this one can wait, be withdrawn, and be
answered by a test as a person answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt

# What a push button needs around its text, in pixels: frame and padding of the styles that Slicer has.
BUTTON_FRAME = 36


class Question:
    """Asks one thing at a time in a widget that is hidden while there is nothing to ask."""

    def __init__(self, place: qt.QWidget) -> None:
        """Fill an empty place.

        Args:
            place: A widget with a vertical layout, hidden.
        """
        self._place = place
        self._label = qt.QLabel()
        self._label.wordWrap = True
        self._label.textFormat = qt.Qt.PlainText
        self._grid = qt.QGridLayout()
        self._buttons: list[qt.QPushButton] = []
        self._answers: list[Callable[[], None]] = []
        place.layout().addWidget(self._label)
        place.layout().addLayout(self._grid)

    @property
    def open(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._answers)

    def ask(self, text: str, answers: Sequence[tuple[str, Callable[[], None]]]) -> None:
        """Show a question in place of the one before, which stays unanswered.

        Args:
            text: One or two sentences.
            answers: The text of each button, and what it does after the question has gone.
        """
        self.withdraw()
        self._label.text = text
        self._answers = [act for _, act in answers]
        while len(self._buttons) < len(answers):
            self._add_button()
        columns = self._columns([label for label, _ in answers])
        for index, button in enumerate(self._buttons):
            self._grid.removeWidget(button)
            button.visible = index < len(answers)
            if index < len(answers):
                button.text = answers[index][0]
                self._grid.addWidget(button, index // columns, index % columns)
        self._place.visible = True

    def withdraw(self) -> None:
        """Take the question back without an answer; nothing happens if there is none."""
        self._answers = []
        self._place.visible = False

    def _add_button(self) -> None:
        index = len(self._buttons)
        button = qt.QPushButton(self._place)
        button.connect("clicked(bool)", lambda: self._answer(index))
        self._buttons.append(button)

    def _answer(self, index: int) -> None:
        if index < len(self._answers):  # a click that was already on its way when the question went
            act = self._answers[index]
            self.withdraw()
            act()

    def _columns(self, labels: Sequence[str]) -> int:
        """All buttons in one row where they fit, else one below the other."""
        metrics = self._place.fontMetrics()
        needed = sum(metrics.boundingRect(label).width() + BUTTON_FRAME for label in labels)
        return len(labels) if needed <= self._place.parentWidget().width else 1
