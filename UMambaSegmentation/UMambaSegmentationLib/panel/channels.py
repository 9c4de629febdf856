"""A volume selector for each channel of the model, filled in by name and by what is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card, Channel
from UMambaSegmentationLib.scene.volumes import components

if TYPE_CHECKING:
    from types import SimpleNamespace

    from UMambaSegmentationLib.panel.services import Services
    from UMambaSegmentationLib.state import PanelState

# Grey and colour volumes, without label maps and other kinds of volumes.
VOLUME_CLASSES = ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"]


class Channels:
    """The selectors; what they show and the state's `inputs` are the same at any time."""

    def __init__(self, ui: SimpleNamespace, services: Services) -> None:
        """Take over the first selector; further ones are made when a model needs them.

        Args:
            ui: The panel's widgets.
            services: What the sections share.
        """
        self._ui = ui
        self._services = services
        self._channels: tuple[Channel, ...] = ()
        self._grey_repeat = False
        self._labels: list[qt.QLabel] = [ui.inputLabel]
        self._selectors: list[slicer.qMRMLNodeComboBox] = [ui.inputSelector]
        self._showing = False
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_chosen)
        services.state.listen(self._on_state)

    @property
    def selectors(self) -> list[slicer.qMRMLNodeComboBox]:
        """One for each channel, in the card's order."""
        return self._selectors[: max(len(self._channels), 1)]

    def volumes(self) -> list[slicer.vtkMRMLScalarVolumeNode | None]:
        """The chosen volume, or None, for each channel."""
        return [selector.currentNode() for selector in self.selectors]

    @property
    def complete(self) -> bool:
        """Whether every channel has its volume; a colour volume has all, and one grey may stand for all."""
        first, *others = self.volumes()
        if first is None or all(node is not None for node in others):
            return first is not None
        alone = not any(node is not None for node in others)
        return alone and (self._grey_repeat or components(first) == len(self._channels))

    def set_card(self, card: Card | None) -> None:
        """Show as many selectors as the model has channels, by their names."""
        self._channels = card.channels if card is not None else ()
        self._grey_repeat = card is not None and card.grey_repeat
        while len(self._selectors) < len(self._channels):
            self._add_selector()
        several = len(self._channels) > 1
        for index, (label, selector) in enumerate(zip(self._labels, self._selectors, strict=True)):
            used = index < max(len(self._channels), 1)
            label.visible = used
            selector.visible = used
            label.text = f"{self._channels[index].name}:" if several and used else _("Volume:")
            label.toolTip = self._channels[index].description if used and self._channels else ""
        self._services.state.write(inputs=self._chosen())
        self.show_state()
        self.fill()

    def fill(self) -> None:
        """Choose volumes for the channels that have none; what a person chose stays."""
        if not self._channels or slicer.mrmlScene.IsBatchProcessing():
            return
        nodes = [
            node
            for node in slicer.util.getNodesByClass(VOLUME_CLASSES[0])
            if node.GetClassName() in VOLUME_CLASSES
            and not node.GetHideFromEditors()
            and node.GetImageData() is not None
        ]
        selection = slicer.app.applicationLogic().GetSelectionNode()
        found = suggest(
            [channel.name for channel in self._channels],
            [(node.GetID(), node.GetName() or "") for node in nodes],
            self._chosen(),
            (selection.GetActiveVolumeID() or "") if selection is not None else "",
        )
        self._services.state.write(inputs=found)

    def use(self, volumes: Sequence[slicer.vtkMRMLScalarVolumeNode | None]) -> None:
        """Choose these volumes, one (or none) for each channel."""
        self._services.state.write(
            inputs=tuple(volume.GetID() if volume is not None else None for volume in volumes)
        )

    def show_state(self) -> None:
        """Bring the selectors in line with the state."""
        inputs = self._services.state.state.inputs
        self._showing = True
        try:
            for selector, chosen in zip(self.selectors, inputs, strict=False):
                node = slicer.mrmlScene.GetNodeByID(chosen) if chosen else None
                if selector.currentNode() != node:
                    selector.setCurrentNode(node)
        finally:
            self._showing = False

    def close(self) -> None:
        """Let go of the widgets."""
        for selector in self._selectors:
            selector.disconnect("currentNodeChanged(vtkMRMLNode*)", self._on_chosen)

    def _chosen(self) -> tuple[str | None, ...]:
        """What the state says, with an entry for each channel; a closed scene's has none."""
        count = max(len(self._channels), 1)
        return (*self._services.state.state.inputs, *[None] * count)[:count]

    def _on_state(self, _state: PanelState, changed: frozenset[str]) -> None:
        if "inputs" in changed:
            self.show_state()

    def _on_chosen(self) -> None:
        # While a scene is read or closed nodes come and go; the state that comes with the scene counts.
        if not self._showing and not slicer.mrmlScene.IsBatchProcessing():
            self.use(self.volumes())

    def _add_selector(self) -> None:
        selector = slicer.qMRMLNodeComboBox()
        selector.objectName = f"channelSelector{len(self._selectors) + 1}"
        selector.nodeTypes = VOLUME_CLASSES
        selector.showChildNodeTypes = False
        selector.noneEnabled = True
        selector.noneDisplay = _("Choose a volume")
        selector.addEnabled = False
        selector.removeEnabled = False
        selector.renameEnabled = False
        selector.toolTip = _("The volume of this channel, on the grid of the first.")
        selector.setMRMLScene(slicer.mrmlScene)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_chosen)
        label = qt.QLabel()
        label.setBuddy(selector)
        selector.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        selector.setMinimumWidth(80)
        self._ui.inputSection.layout().insertRow(len(self._selectors), label, selector)
        qt.QWidget.setTabOrder(self._selectors[-1], selector)
        self._labels.append(label)
        self._selectors.append(selector)


def suggest(
    channels: Sequence[str],
    volumes: Sequence[tuple[str, str]],
    chosen: Sequence[str | None],
    active: str,
) -> tuple[str | None, ...]:
    """Volumes for the channels that have none.

    A volume whose name has the channel's words comes first; then, for the last channel that is open, the
    volume that the views show, or the only one left.

    Args:
        channels: Names of the channels.
        volumes: ID and name of every volume of the scene.
        chosen: A volume's ID or None for each channel; what is chosen stays.
        active: ID of the volume that the slice views show, or empty.
    """
    found = list(chosen)
    for index, name in enumerate(channels):
        if found[index] is None:
            named = [key for key, text in volumes if key not in found and _words(name) <= _words(text)]
            found[index] = named[0] if named else None
    open_channels = [index for index, key in enumerate(found) if key is None]
    left = [key for key, _text in volumes if key not in found]
    if len(open_channels) == 1 and left:
        if active in left and len(channels) == 1:
            found[open_channels[0]] = active
        elif len(left) == 1:
            found[open_channels[0]] = left[0]
    return tuple(found)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.casefold()))
