"""A model card in short lines for a person."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from UMambaSegmentationLib.cards import Card

_MOST_NAMES = 6
_MEGABYTE = 1e6


def sentence(card: Card) -> str:
    """One line for a list: name, anatomy, modality, how many structures."""
    facts = [
        fact for fact in (card.anatomy, card.modality) if fact and fact.casefold() not in card.name.casefold()
    ]
    facts.append(
        _("1 structure") if len(card.labels) == 1 else _("{n} structures").format(n=len(card.labels))
    )
    return f"{card.name}: {', '.join(facts)}"


def structures(card: Card) -> str:
    """What it segments: the first few names, and how many more."""
    names = [label.name for label in card.labels]
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    shown = ", ".join(names[: _MOST_NAMES - 1])
    return _("{names} and {n} more").format(names=shown, n=len(names) - _MOST_NAMES + 1)


def channels(card: Card) -> list[str]:
    """For each channel its name and what the card says of it."""
    return [
        f"{channel.name}: {channel.description}" if channel.description else channel.name
        for channel in card.channels
    ]


def accuracy(card: Card) -> list[str]:
    """What was measured, one line a label: "Anterior hippocampus: Dice 0.895 ± 0.037 (40 cases)"."""
    names = {label.key: label.name for label in card.labels}
    return [f"{names.get(entry['label'], entry['label'])}: {_measured(entry)}" for entry in card.accuracy]


def accuracy_data(card: Card) -> str | None:
    """On what data the accuracy was measured, or None where the card does not say."""
    said = dict.fromkeys(str(entry["data"]) for entry in card.accuracy if entry.get("data"))
    return "; ".join(said) or None


def licence(card: Card) -> str:
    """The licence, and whether it allows commercial use."""
    name = card.licence or _("licence not stated")
    if card.commercial_use is False:
        return _("{licence}, no commercial use").format(licence=name)
    return name


def size(card: Card) -> str:
    """Its size on the disk, such as "3.7 MB"."""
    megabytes = card.bytes / _MEGABYTE
    return _("{size} MB").format(size=f"{megabytes:.1f}" if megabytes < 10 else f"{megabytes:.0f}")


def lines(card: Card) -> list[tuple[str, str]]:
    """The whole card as pairs of a heading and its text, in the order in which a person asks."""
    view = card.field_of_view
    found: list[tuple[str, str | None]] = [
        (_("About"), card.description),
        (_("Segments"), structures(card)),
        (_("Needs"), "\n".join(channels(card))),
        (_("Trained on"), card.training.get("data")),
        (_("Field of view"), None if view is None else "{:g} x {:g} x {:g} mm".format(*view)),
        (_("Accuracy"), "\n".join(accuracy(card)) or _("not measured")),
        (_("Measured on"), accuracy_data(card)),
        (_("Limits"), card.limits),
        (_("Licence"), licence(card)),
        (_("Cite"), "\n".join(card.citation)),
        (_("Version"), card.version),
        (_("Size"), size(card)),
    ]
    return [(heading, str(text)) for heading, text in found if text]


def _measured(entry: dict[str, Any]) -> str:
    text = f"{entry['metric']} {entry['mean']:.3f}"
    if isinstance(entry.get("sd"), int | float):
        text += f" ± {entry['sd']:.3f}"
    cases = entry.get("cases")
    return text + (" " + _("({n} cases)").format(n=cases) if isinstance(cases, int) else "")
