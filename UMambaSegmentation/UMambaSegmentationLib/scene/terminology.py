"""Coded words for segments, in the form that Slicer keeps them, and a guess at them from a label's name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from UMambaSegmentationLib.scene.vocabulary import (
    GENERAL_CONTEXT,
    REGION_CONTEXT,
    Code,
    Color,
    Term,
    vocabulary,
    words_of,
)

# For what has no better code: some structure. Slicer's own default says Tissue, which would be a claim.
_ANATOMY: Code = ("SCT", "123037004", "Anatomical Structure")
_MODIFIERS: dict[str, Code] = {
    "left": ("SCT", "7771000", "Left"),
    "right": ("SCT", "24028007", "Right"),
    "anterior": ("SCT", "255549009", "Anterior"),
    "posterior": ("SCT", "255551008", "Posterior"),
}
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right", "lt": "left", "rt": "right"}
_WRITTEN_OUT = {  # what the names of segmentation data sets mean by these
    "lv": "left ventricle",
    "rv": "right ventricle",
    "la": "left atrium",
    "ra": "right atrium",
    "ivc": "inferior vena cava",
    "svc": "superior vena cava",
    "csf": "cerebrospinal fluid",
    "wm": "white matter",
    "gm": "gray matter",
    "grey": "gray",
    "clavicula": "clavicle",
    "vertebrae": "vertebra",
    "oesophagus": "esophagus",
    "oedema": "edema",
    "haemorrhage": "hemorrhage",
    "tumor": "neoplasm",
    "tumour": "neoplasm",
    "cancer": "neoplasm",
    "metastasis": "neoplasm secondary",
    "metastase": "neoplasm secondary",
}
# Words that tell parts of one structure apart, or say nothing: without them the name still means its type.
# fmt: off
_DETAILS = frozenset((
    "upper", "lower", "superior", "inferior", "anterior", "posterior", "medial", "lateral", "proximal",
    "distal", "inner", "outer", "whole", "total", "region", "area", "roi", "label", "mask", "segment",
    "structure", "organ", "head", "body", "tail", "heart",
))
# fmt: on
_LESION_DETAILS = frozenset(("enhancing", "non", "core", "necrotic", "solid", "active", "whole", "total"))
_NUMBER = re.compile(r"[a-z]?\d+")


@dataclass(frozen=True)
class Guess:
    """What a label's name most likely means.

    Attributes:
        name: Words for a person.
        color: Red, green, blue (0 to 255) recommended there; None where there is no recommendation.
        terminology: category, type, modifier, region as in a model's card: [scheme, code, meaning] or None.
    """

    name: str
    color: Color | None
    terminology: dict[str, list[str] | None]


def entry(terminology: Mapping[str, Any] | None) -> str:
    """Slicer's text for a card's coded words; for None that of a structure of which nothing is known."""
    codes = terminology or {"category": _ANATOMY, "type": _ANATOMY}
    parts = [
        vocabulary().context_of(codes["category"], codes["type"]) or GENERAL_CONTEXT,
        *(_text(codes.get(part)) for part in ("category", "type", "modifier")),
        REGION_CONTEXT,
        _text(codes.get("region")),
        _text(None),
    ]
    return "~".join(parts)


def guess(name: str) -> Guess | None:
    """What a label's name means in Slicer's terminologies, as in "kidney_right", "LV", "rib_left_4".

    Exact matches come first, then ones in which the name only adds a side, a number or a word of place. A
    lesion of an organ ("liver_tumor") gets the organ as its region. None where nothing fits.
    """
    words = []
    for word in words_of(name):
        words += _WRITTEN_OUT.get(word, word).split()
    return _structure(words, name) or _lesion(words, name)


def _structure(words: Sequence[str], name: str) -> Guess | None:
    """A type of any category, perhaps of one side."""
    term, rest = _find(words)
    side = None
    if term is None:
        sides = {_SIDES[word] for word in words if word in _SIDES}
        side = sides.pop() if len(sides) == 1 else None
        term, rest = _find([word for word in words if word not in _SIDES])
    if term is None:
        return None
    places = [word for word in rest if word in _MODIFIERS]
    modifier = _MODIFIERS.get(side or (places[0] if len(places) == 1 else ""))
    color = (term.modifier_colors.get(modifier[1]) if modifier else None) or term.color
    meaning = term.type[2]
    exact = f"{side.capitalize()} {meaning[:1].lower()}{meaning[1:]}" if side else meaning
    keeps_name = bool(rest) or term.altered  # "Tumour", not "Neoplasm"
    return Guess(_readable(name) if keeps_name else exact, color, _codes(term, modifier, None))


def _lesion(words: Sequence[str], name: str) -> Guess | None:
    """An altered structure with further words: what they say of it, or where it is."""
    for term in sorted(vocabulary().lesions, key=lambda term: -len(term.words)):
        if not set(term.words) <= set(words):
            continue
        others = [word for word in words if word not in term.words and word not in _LESION_DETAILS]
        place = _structure(others, name)
        if others and place is None:
            return None
        found = place.terminology if place else {}
        codes = _codes(term, found.get("modifier"), found.get("type"))
        return Guess(_readable(name), term.color, codes)
    return None


def _find(words: Sequence[str]) -> tuple[Term | None, list[str]]:
    """The type that has all of the words, or all but a few that hardly matter; and those few."""
    known = vocabulary()
    term = known.find(words)
    if term is not None:
        return term, []
    rest = [word for word in words if word in _DETAILS or _NUMBER.fullmatch(word)]
    return known.find([word for word in words if word not in rest]), rest


def _codes(
    term: Term, modifier: Sequence[str] | None, region: Sequence[str] | None
) -> dict[str, list[str] | None]:
    return {
        "category": list(term.category),
        "type": list(term.type),
        "modifier": list(modifier) if modifier else None,
        "region": list(region) if region else None,
    }


def _readable(name: str) -> str:
    words = " ".join(re.split(r"[\s_.-]+", name.strip()))
    return words[:1].upper() + words[1:]


def _text(code: Sequence[str] | None) -> str:
    """A code as Slicer writes it, without the signs that part its lists."""
    if not code:
        return "^^"
    return "^".join(" ".join(re.sub(r"[~^|]", " ", part).split()) for part in code)
