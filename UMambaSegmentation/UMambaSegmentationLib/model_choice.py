"""Which model a caller means: an id, a folder, or a card that was read before."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from UMambaSegmentationLib import settings
from UMambaSegmentationLib.cards import CARD_FILE, Card, CardError, decode_card, parse_card, read_models
from UMambaSegmentationLib.scene.errors import SceneError


def find_model(model: Card | str | Path) -> Card:
    """The card of a model.

    Args:
        model: An id as `models()` gives it, the folder of a model that is not installed, or a card.

    Raises:
        SceneError: There is no such model, or its card cannot be read.
    """
    if isinstance(model, Card):
        return model
    cards = {card.id: card for card in read_models(available_folder=settings.model_folder())}
    if str(model) in cards:
        return cards[str(model)]
    folder = Path(model)
    if not (folder / CARD_FILE).is_file():
        raise SceneError(
            _("There is no model {model!r}; there are {known}.").format(
                model=str(model), known=", ".join(cards) or _("none")
            )
        )
    try:
        return parse_card(decode_card((folder / CARD_FILE).read_bytes()), folder, "installed", 0)
    except (CardError, OSError) as error:
        raise SceneError(_("The model cannot be used: {reason}.").format(reason=error)) from None
