"""A model's card as the few lines below the list of models, and its details behind a link.

A card is a stranger's text: every word of it is escaped, and only addresses that were recognised as such
become links.
"""

from __future__ import annotations

import html
import re

from slicer.i18n import tr as _

from UMambaSegmentationLib import card_text
from UMambaSegmentationLib.cards import Card

MORE = "#more"
LESS = "#less"

_MOST_DATA, _MOST_LIMITS, _MOST_CHANNELS = 90, 140, 4
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
# What a citation may hold; an address ends before the punctuation of the sentence around it.
_ADDRESS = re.compile(
    r"(?P<page>https://[^\s<>\"']+?)(?=[.,;)\]]*(?:\s|$))"
    r"|\bdoi:\s*(?P<doi>10\.\d{4,9}/[^\s<>\"']+?)(?=[.,;)\]]*(?:\s|$))"
    r"|\barxiv:\s*(?P<arxiv>\d{4}\.\d{4,5}(?:v\d+)?)",
    re.IGNORECASE,
)


def card_html(card: Card, *, more: bool) -> str:
    """The card as rich text for a label.

    Args:
        card: Of a model, be it installed or not.
        more: With all details, else the five lines that a person needs before a run.
    """
    rows = _all_rows(card) if more else _short_rows(card)
    link, text = (LESS, _("Less")) if more else (MORE, _("More"))
    return (
        "".join(f"<b>{html.escape(heading)}:</b> {body}<br>" for heading, body in rows)
        + f'<a href="{link}">{html.escape(text)}</a>'
    )


def plain_tool_tip(text: str) -> str:
    """A tool tip that shows a stranger's text as it is; Qt takes any that looks like markup for markup."""
    return f"<span>{html.escape(text)}</span>"


def _short_rows(card: Card) -> list[tuple[str, str]]:
    channels = [
        f"{channel.name} ({channel.description})" if channel.description else channel.name
        for channel in card.channels
    ]
    needs = ", ".join(channels[:_MOST_CHANNELS])
    if len(channels) > _MOST_CHANNELS:
        needs = _("{names} and {n} more").format(names=needs, n=len(channels) - _MOST_CHANNELS)
    rows = [
        (_("Segments"), html.escape(card_text.structures(card))),
        (_("Needs"), html.escape(needs)),
        (_("Accuracy"), html.escape(_accuracy(card))),
    ]
    if card.limits:
        first = _SENTENCE_END.split(card.limits.strip(), maxsplit=1)[0]
        rows.append((_("Limits"), html.escape(_cut(first, _MOST_LIMITS))))
    rows.append((_("Licence"), f"{_licence(card)} · {html.escape(card_text.size(card))}"))
    return rows


def _all_rows(card: Card) -> list[tuple[str, str]]:
    licence, network = _("Licence"), card.network
    rows = [
        (heading, _licence(card) if heading == licence else _listed(_linked(text)))
        for heading, text in card_text.lines(card)
    ]
    kind = ", ".join(
        str(network[key]) for key in ("class", "generation", "configuration") if network.get(key)
    )
    rows.append((_("Network"), html.escape(kind)))
    if card.orientation != "native":
        rows.append((_("Orientation"), html.escape(card.orientation)))
    rows.append((_("Name for scripts"), html.escape(card.id)))
    return rows


def _accuracy(card: Card) -> str:
    """The mean over all labels where the card has one, else the range over the labels; and on what data."""
    if not card.accuracy:
        return _("not measured")
    metric = str(card.accuracy[0]["metric"])
    entries = [entry for entry in card.accuracy if entry["metric"] == metric]
    keys = {label.key for label in card.labels}
    overall = [entry for entry in entries if entry["label"] not in keys][:1]
    means = sorted(float(entry["mean"]) for entry in overall or entries)
    text = f"{metric} {means[0]:.2f}"
    if len(means) > 1:
        text = _("{metric} {low} to {high}").format(
            metric=metric, low=f"{means[0]:.2f}", high=f"{means[-1]:.2f}"
        )
    shown = (overall or entries)[0]
    if isinstance(shown.get("cases"), int):
        text = _("{measured} in {n} cases").format(measured=text, n=shown["cases"])
    return f"{text}; {_cut(str(shown['data']), _MOST_DATA)}" if shown.get("data") else text


def _licence(card: Card) -> str:
    name = html.escape(card.licence or _("not stated"))
    if card.commercial_use is False:
        return f"{name}, <b>" + html.escape(_("not for commercial use")) + "</b>"
    said = _("commercial use allowed") if card.commercial_use else _("commercial use not stated")
    return f"{name}, {html.escape(said)}"


def _cut(text: str, most: int) -> str:
    """At most `most` letters: up to the last comma if that leaves the half, else up to the last word."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    clause, word = max(text.rfind(sign, 0, most) for sign in ",;("), text.rfind(" ", 0, most)
    return text[: clause if clause > most // 2 else word].rstrip() + "…"


def _listed(text: str) -> str:
    """Several lines as points, each on a line of its own."""
    lines = text.split("\n")
    return text if len(lines) == 1 else "".join(f"<br>• {line}" for line in lines if line)


def _linked(text: str) -> str:
    """Escape a text and make links of the addresses in it."""
    parts, end = [], 0
    for match in _ADDRESS.finditer(text):
        address = match["page"] or (
            f"https://doi.org/{match['doi']}" if match["doi"] else f"https://arxiv.org/abs/{match['arxiv']}"
        )
        parts.append(html.escape(text[end : match.start()]))
        parts.append(f'<a href="{html.escape(address)}">{html.escape(match[0])}</a>')
        end = match.end()
    return "".join(parts) + html.escape(text[end:])
