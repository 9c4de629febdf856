"""The panel's first section: which model, what it says of itself, and how models come and go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from UMambaSegmentationLib import settings
from UMambaSegmentationLib.card_text import size
from UMambaSegmentationLib.card_zips import read_card_of_zip
from UMambaSegmentationLib.cards import Card, read_models, read_problems
from UMambaSegmentationLib.panel import dialogs
from UMambaSegmentationLib.panel.file_drop import FileDrop
from UMambaSegmentationLib.panel.import_form import ImportForm
from UMambaSegmentationLib.panel.model_card import LESS, MORE, card_html
from UMambaSegmentationLib.panel.model_list import ModelList
from UMambaSegmentationLib.panel.model_tasks import ModelTasks
from UMambaSegmentationLib.panel.question import Question
from UMambaSegmentationLib.paths import installed_models_folder

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.state import PanelState


class ModelsSection:
    """The list of models, the card of the chosen one, and import, install, export, remove.

    The engine is not needed to look: cards are read as plain JSON.
    """

    def __init__(self, ui: SimpleNamespace, services: Services) -> None:
        """Take over the widgets of `modelSection`.

        Args:
            ui: The panel's widgets by their names.
            services: What the sections share.
        """
        self._ui = ui
        self._services = services
        self._cards: dict[str, Card] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._more = False
        self._form: ImportForm | None = None
        self._list = ModelList(ui.modelSelector, self._on_chosen)
        self._tasks = ModelTasks(ui, services, changed=self._update_buttons, stopped=self.refresh)
        self._question = Question(ui.modelQuestion)
        self._drop = FileDrop(ui.modelSection.parentWidget(), self.take)
        self._menus = [self._import_menu(), self._folder_menu()]
        ui.importModelButton.setMenu(self._menus[0])
        ui.modelFolderButton.setMenu(self._menus[1])
        ui.modelCardLabel.connect("linkActivated(QString)", self._on_link)
        ui.installModelButton.connect("clicked(bool)", self._install_chosen)
        ui.exportModelButton.connect("clicked(bool)", self._export)
        ui.removeModelButton.connect("clicked(bool)", self._ask_remove)
        services.state.listen(self._on_state)
        self.refresh()

    @property
    def card(self) -> Card | None:
        """The chosen model; its source is "available" while it still has to be installed."""
        return self._cards.get(self._list.current or "")

    def refresh(self) -> None:
        """Read the models again, and choose the one that the scene names if it is there."""
        before = self.card
        folder = settings.model_folder()
        cards = read_models(available_folder=folder)
        self._cards = {card.id: card for card in cards}
        self._list.fill(cards, self._services.state.state.model or self._list.current)
        problems = read_problems(available_folder=folder)
        if problems and not self._tasks.running:
            name, fault = next(iter(problems.items()))
            self._tasks.say(_("The model {name} cannot be used: {fault}.").format(name=name, fault=fault))
        if self.card != before:
            self._on_chosen()
        else:
            self._show_card()

    def select(self, model_id: str) -> bool:
        """Choose a model; False if there is none of this id."""
        return self._list.select(model_id)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` whenever `card` has changed."""
        self._callbacks.append(callback)

    def take(self, path: Path) -> None:
        """Take what was dropped or chosen: install a model file, show the form for anything else.

        Args:
            path: A folder or a zip file.
        """
        settings.set_last_folder(path.parent)
        if _is_model_file(path):
            self._tasks.start("install", _("Installing the model..."), self._on_stored, file=str(path))
        else:
            self._close_form()
            self._tasks.start(
                "inspect",
                _("Reading the results..."),
                lambda found: self._open_form(path, found),
                path=str(path),
            )

    def close(self) -> None:
        """Stop what goes on and let go of all widgets."""
        self._callbacks.clear()
        self._close_form()
        self._drop.close()
        self._tasks.close()
        self._list.close()
        self._ui.modelCardLabel.disconnect("linkActivated(QString)", self._on_link)
        self._ui.installModelButton.disconnect("clicked(bool)", self._install_chosen)
        self._ui.exportModelButton.disconnect("clicked(bool)", self._export)
        self._ui.removeModelButton.disconnect("clicked(bool)", self._ask_remove)
        for menu in self._menus:
            menu.deleteLater()

    def _on_chosen(self) -> None:
        self._more = False
        self._question.withdraw()
        if self.card is not None:
            self._services.state.write(model=self.card.id)
        self._show_card()
        for callback in list(self._callbacks):
            callback()

    def _on_state(self, state: PanelState, changed: frozenset[str]) -> None:
        if "model" in changed and state.model and not self.select(state.model):
            self._tasks.say(
                _("The model {id} of this scene is not on this computer; install or import it.").format(
                    id=state.model
                )
            )

    def _show_card(self) -> None:
        self._ui.modelCardLabel.text = "" if self.card is None else card_html(self.card, more=self._more)
        self._ui.modelCardLabel.visible = self.card is not None
        self._update_buttons()

    def _update_buttons(self) -> None:
        ui, card, free = self._ui, self.card, not self._tasks.running
        available = card is not None and card.source == "available"
        ui.importModelButton.enabled = free and self._form is None
        ui.installModelButton.visible = available
        ui.installModelButton.enabled = free
        for button in (ui.exportModelButton, ui.removeModelButton):
            button.visible = not available  # there would be no room for all in a narrow panel
        ui.exportModelButton.enabled = free and card is not None
        ui.removeModelButton.enabled = free and card is not None and card.source == "installed"
        if self._form is not None:
            self._form.set_busy(not free)

    def _on_link(self, link: str) -> None:
        if link in (MORE, LESS):
            self._more = link == MORE
            self._show_card()
        else:
            dialogs.open_page(link)

    def _import_menu(self) -> qt.QMenu:
        menu = qt.QMenu(self._ui.importModelButton)
        menu.addAction(_("Results folder...")).connect("triggered(bool)", self._choose_folder)
        menu.addAction(_("Results or model file (zip)...")).connect("triggered(bool)", self._choose_zip)
        return menu

    def _folder_menu(self) -> qt.QMenu:
        menu = qt.QMenu(self._ui.modelFolderButton)
        menu.addAction(_("Open the folder of this model")).connect("triggered(bool)", self._open_folder)
        menu.addAction(_("Choose a shared folder...")).connect("triggered(bool)", self._choose_shared)
        menu.addAction(_("Forget the shared folder")).connect("triggered(bool)", self._forget_shared)
        return menu

    def _choose_folder(self) -> None:
        path = dialogs.choose_folder(
            self._ui.modelSection, _("Folder of a U-Mamba or nnU-Net result"), settings.last_folder()
        )
        if path is not None:
            self.take(path)

    def _choose_zip(self) -> None:
        path = dialogs.choose_file(
            self._ui.modelSection,
            _("Zip file of a result, or a model file"),
            _("Zip files") + " (*.zip)",
            settings.last_folder(),
        )
        if path is not None:
            self.take(path)

    def _open_folder(self) -> None:
        folder = installed_models_folder() if self.card is None else self.card.folder
        if folder.suffix == ".zip" and not folder.is_dir():
            folder = folder.parent
        if not (folder.is_dir() and dialogs.open_folder(folder)):
            self._tasks.say(_("The folder cannot be opened: {folder}").format(folder=folder))

    def _choose_shared(self) -> None:
        folder = dialogs.choose_folder(
            self._ui.modelSection,
            _("Folder with model files (*.zip) that a group shares"),
            settings.model_folder() or settings.last_folder(),
        )
        if folder is None:
            return
        settings.set_model_folder(folder)
        self._tasks.say("")
        self.refresh()
        found = sum(card.source == "available" for card in self._cards.values())
        if found == 1:
            self._tasks.say(_("One more model can be installed from the shared folder."))
        elif found:
            self._tasks.say(_("{n} more models can be installed from the shared folder.").format(n=found))
        elif not self._ui.modelStatusLabel.text:
            self._tasks.say(_("There is no further model in the shared folder; export one into it first."))

    def _forget_shared(self) -> None:
        settings.set_model_folder(None)
        self._tasks.say("")
        self.refresh()

    def _install_chosen(self) -> None:
        if self.card is not None and self.card.source == "available":
            self.take(self.card.folder)

    def _export(self) -> None:
        card = self.card
        if card is None:
            return
        name = str(settings.last_folder() / f"{card.id}.zip")
        file = dialogs.save_file(
            self._ui.modelSection, _("Save the model as a file"), name, _("Model files") + " (*.zip)"
        )
        if file is not None:
            settings.set_last_folder(file.parent)
            self._tasks.start(
                "export",
                _("Writing the model file..."),
                self._on_exported,
                model=card.id,
                file=str(file),
                overwrite=True,  # the dialog has asked
            )

    def _on_exported(self, result: dict[str, Any]) -> None:
        self._tasks.say(_("The model was written to {file}.").format(file=result["file"]))

    def _ask_remove(self) -> None:
        card = self.card
        if card is None or card.source != "installed":
            return
        self._tasks.say("")
        self._question.ask(
            _("Remove {name} from this computer? This frees {size}; export it first to keep a copy.").format(
                name=card.name, size=size(card)
            ),
            [(_("Remove"), lambda: self._remove(card)), (_("Keep"), lambda: None)],
        )

    def _remove(self, card: Card) -> None:
        self._tasks.start(
            "remove", _("Removing the model..."), lambda _result: self._on_removed(card), model=card.id
        )

    def _on_removed(self, card: Card) -> None:
        self.refresh()
        self._tasks.say(_("{name} was removed.").format(name=card.name))

    def _open_form(self, path: Path, found: dict[str, Any]) -> None:
        self._form = ImportForm(
            self._ui.importFormPlace,
            found,
            self._cards,
            after=self._ui.modelFolderButton,
            accept=lambda choices: self._import(path, choices),
            cancel=self._close_form,
        )
        self._update_buttons()

    def _close_form(self) -> None:
        if self._form is not None:
            self._form.close()
            self._form = None
            self._update_buttons()

    def _import(self, path: Path, choices: dict[str, Any]) -> None:
        self._tasks.start("import", _("Importing the model..."), self._on_stored, path=str(path), **choices)

    def _on_stored(self, result: dict[str, Any]) -> None:
        self._close_form()
        self.refresh()
        self.select(result["card"]["id"])
        notes = [_("{name} was installed.").format(name=result["card"]["name"])]
        self._tasks.say(" ".join([*notes, *result.get("notes", [])]))


def _is_model_file(path: Path) -> bool:
    """Whether a path is a zip file with a model of this extension in it, rather than a training's results."""
    try:
        state = path.stat()
        return path.is_file() and bool(read_card_of_zip(path, state.st_mtime_ns, state.st_size))
    except (OSError, ValueError):  # what is wrong with it the engine will say better
        return False
