"""Slicer's terminologies, read once and sorted by words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import slicer
import vtk

Code = tuple[str, str, str]
Color = tuple[int, int, int]

GENERAL_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
DICOM_CONTEXT = "Segmentation category and type - DICOM master list"
REGION_CONTEXT = "Anatomic codes - DICOM master list"

_ALTERED = "49755003"
_NO_COLOR = (127, 127, 127)  # what Slicer gives where the file recommends nothing
_STOP_WORDS = frozenset(("of", "the", "in"))
_FILLERS = frozenset(("gland", "bone", "muscle", "nucleus", "structure"))
_UNCHANGED = ("ss", "us", "is", "as")


@dataclass(frozen=True)
class Term:
    """One type of a terminology.

    Attributes:
        category, type: Each (scheme, code, meaning).
        color: Recommended, red, green, blue from 0 to 255, or None.
        modifier_colors: The same for its modifiers, by their codes.
        words: Of its meaning, as `words_of` gives them.
    """

    category: Code
    type: Code
    color: Color | None
    modifier_colors: dict[str, Color] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    @property
    def altered(self) -> bool:
        """Whether it is a morphologically altered structure: a tumour, a cyst."""
        return self.category[1] == _ALTERED


class Vocabulary:
    """The types of all contexts, Slicer's general list first.

    Attributes:
        lesions: The altered structures among them.
    """

    def __init__(self, contexts: Sequence[str] = ()) -> None:
        self._exact: dict[str, Term] = {}
        self._shortened: dict[str, Term] = {}
        self._contexts: dict[tuple[str, str, str, str], str] = {}
        self.lesions: list[Term] = []
        for context in sorted(contexts, key=lambda name: (name != GENERAL_CONTEXT, name != DICOM_CONTEXT)):
            for term, label in _terms(context):
                self._add(context, term, label)

    def find(self, words: Sequence[str]) -> Term | None:
        """The type with these words in any order, or the one that says "gland" or the like in addition."""
        for known in (self._exact, self._shortened):
            term = known.get(_key(words)) or known.get("".join(words))
            if term is not None:
                return term
        return None

    @property
    def names(self) -> list[str]:
        """What the types are called, each once, by the alphabet: for a person to choose from."""
        return sorted({term.type[2] for term in self._exact.values()}, key=str.casefold)

    def context_of(self, category: Sequence[str], kind: Sequence[str]) -> str | None:
        """The first context that has a type in a category, by their codes."""
        return self._contexts.get((category[0], category[1], kind[0], kind[1]))

    def _add(self, context: str, term: Term, label: str) -> None:
        code = (*term.category[:2], *term.type[:2])
        self._contexts.setdefault(code, context)
        for text in (term.type[2], label):
            words = words_of(text)
            fewer = [word for word in words if word not in _FILLERS]
            for known, those in ((self._exact, words), (self._shortened, fewer)):
                if those:
                    known.setdefault(_key(those), term)
                    known.setdefault("".join(those), term)
        if term.altered:
            self.lesions.append(term)


def vocabulary() -> Vocabulary:
    """What Slicer has loaded by now."""
    return _vocabulary(_contexts())


def words_of(text: str) -> list[str]:
    """Lower-case words in the singular; camel case and signs part words."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    return [_singular(word) for word in re.findall(r"[a-z]+\d*|\d+[a-z]*", apart) if word not in _STOP_WORDS]


@lru_cache(maxsize=2)
def _vocabulary(contexts: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(contexts)


def _contexts() -> tuple[str, ...]:
    names = vtk.vtkStringArray()
    _logic().GetLoadedTerminologyNames(names)
    return tuple(names.GetValue(index) for index in range(names.GetNumberOfValues()))


def _terms(context: str) -> Iterator[tuple[Term, str]]:
    """Every type of a context, with Slicer's own label for it."""
    logic = _logic()
    for i in range(logic.GetNumberOfCategoriesInTerminology(context)):
        category = slicer.vtkSlicerTerminologyCategory()
        logic.GetNthCategoryInTerminology(context, i, category)
        for j in range(logic.GetNumberOfTypesInTerminologyCategory(context, category)):
            kind = slicer.vtkSlicerTerminologyType()
            logic.GetNthTypeInTerminologyCategory(context, category, j, kind)
            words = tuple(words_of(kind.GetCodeMeaning()))
            colors = _modifier_colors(context, category, kind) if kind.GetHasModifiers() else {}
            yield Term(_code(category), _code(kind), _color(kind), colors, words), kind.GetSlicerLabel() or ""


def _modifier_colors(
    context: str, category: slicer.vtkSlicerTerminologyCategory, kind: slicer.vtkSlicerTerminologyType
) -> dict[str, Color]:
    logic = _logic()
    colors = {}
    for index in range(logic.GetNumberOfTypeModifiersInTerminologyType(context, category, kind)):
        modifier = slicer.vtkSlicerTerminologyType()
        logic.GetNthTypeModifierInTerminologyType(context, category, kind, index, modifier)
        color = _color(modifier)
        if color is not None:
            colors[modifier.GetCodeValue()] = color
    return colors


def _logic() -> slicer.vtkSlicerTerminologiesModuleLogic:
    return slicer.modules.terminologies.logic()


def _code(coded: slicer.vtkCodedEntry) -> Code:
    return coded.GetCodingSchemeDesignator(), coded.GetCodeValue(), coded.GetCodeMeaning()


def _color(kind: slicer.vtkSlicerTerminologyType) -> Color | None:
    red, green, blue = kind.GetRecommendedDisplayRGBValue()
    return None if (red, green, blue) == _NO_COLOR else (int(red), int(green), int(blue))


def _key(words: Sequence[str]) -> str:
    return " ".join(sorted(set(words)))


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(_UNCHANGED) else word
