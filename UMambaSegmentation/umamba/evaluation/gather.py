"""From the figures of single cases to those of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from umamba.evaluation.conventions import Convention
from umamba.evaluation.labels import Label
from umamba.evaluation.pairs import Pair, counted, some
from umamba.evaluation.result import Case, Evaluation
from umamba.evaluation.scores import CaseScores, Settings, mean


def gather(
    pairs: Sequence[Pair],
    found: Sequence[tuple[CaseScores, str]],
    convention: Convention,
    settings: Settings,
    warnings: Sequence[str],
) -> Evaluation:
    """Bring the figures of all cases into one form and say what the reader should know.

    Args:
        pairs, found: The cases, and for each its figures and the unit of its distances.
        convention, settings: How they were made.
        warnings: What is known already.
    """
    names = _row_names([scores for scores, _ in found], convention, settings)
    cases = tuple(
        _case(pair, scores, convention, names) for pair, (scores, _) in zip(pairs, found, strict=True)
    )
    units = sorted({unit for _, unit in found})
    evaluation = Evaluation(
        convention=convention,
        unit=" and ".join(units),
        labels=_label_facts(names, convention, settings),
        settings=_facts(convention, settings),
        cases=cases,
    )
    more = [*_said_of_cases(pairs, found), *_unnamed(pairs, found, settings), *_one_sided(evaluation)]
    if len(units) > 1:
        more.append("some images have a spacing and some have none: distances are in mm and in pixels")
    return replace(evaluation, warnings=(*warnings, *more))


def _row_names(found: Sequence[CaseScores], convention: Convention, settings: Settings) -> list[str]:
    """All rows; labels without names in the order of their values."""
    names = list(dict.fromkeys(name for scores in found for name in scores.rows))
    if convention.of_objects or _known_labels(convention, settings):
        return names
    return sorted(names, key=int)


def _known_labels(convention: Convention, settings: Settings) -> dict[str, Label]:
    labels = settings.naming.labels if convention.labels is None else convention.labels
    return {label.name: label for label in labels or ()}


def _case(pair: Pair, scores: CaseScores, convention: Convention, names: Sequence[str]) -> Case:
    rows = dict(scores.rows)
    if scores.absent is not None:
        absent = scores.absent
        rows = {name: rows.get(name, {**absent}) for name in names}
    own = scores.own or {name: mean(row[name] for row in rows.values()) for name in convention.own}
    return Case(pair.name, pair.reference.name, pair.prediction.name, rows, own)


def _label_facts(
    names: Sequence[str], convention: Convention, settings: Settings
) -> dict[str, dict[str, Any]]:
    """Values and tolerance of each label."""
    if convention.of_objects:
        return {}
    known = _known_labels(convention, settings)
    facts: dict[str, dict[str, Any]] = {}
    for name in names:
        label = known.get(name) or Label(name, (int(name),))
        facts[name] = {"values": list(label.values)}
        if convention.takes_tolerances:
            facts[name]["tolerance"] = settings.tolerances.of(label)
        elif convention.tolerances:
            facts[name]["tolerance"] = convention.tolerances.get(name)
    return facts


def _facts(convention: Convention, settings: Settings) -> dict[str, Any]:
    if convention.of_objects:
        return {"iou": list(settings.thresholds), "border_px": settings.border}
    source = "the convention" if convention.labels is not None else settings.naming.source
    return {"names_from": source}


def _said_of_cases(pairs: Sequence[Pair], found: Sequence[tuple[CaseScores, str]]) -> list[str]:
    """The warnings of the cases, each text once with the cases that have it."""
    cases: dict[str, list[str]] = {}
    for pair, (scores, _) in zip(pairs, found, strict=True):
        for text in dict.fromkeys(scores.warnings):
            for path in (pair.reference, pair.prediction):
                text = text.removeprefix(f"{path.name}: ")
            cases.setdefault(text, []).append(pair.name)
    return [f"{_cases(names)}: {text}" for text, names in cases.items()]


def _unnamed(pairs: Sequence[Pair], found: Sequence[tuple[CaseScores, str]], settings: Settings) -> list[str]:
    cases: dict[int, list[str]] = {}
    for pair, (scores, _) in zip(pairs, found, strict=True):
        for value in scores.unnamed:
            cases.setdefault(value, []).append(pair.name)
    return [
        f"{_cases(names)}: value {value} was not scored, for no label has it ({settings.naming.source})"
        for value, names in sorted(cases.items())
    ]


def _one_sided(evaluation: Evaluation) -> list[str]:
    """A line on the labels that only one of the two maps has, where the figures leave distances out."""
    if "NSD" not in evaluation.convention.columns or "HD95" not in evaluation.convention.columns:
        return []
    labels = []
    for row in evaluation.rows:
        count = sum(
            case.rows[row]["HD95"] is None and case.rows[row]["NSD"] is not None for case in evaluation.cases
        )
        if count:
            labels.append(f"{row} in {count}")
    if not labels:
        return []
    return [
        f"labels that one of the two maps lacks: {some(labels)} of {counted(len(evaluation.cases), 'case')}; "
        "their Dice and NSD are 0, their distances are not defined and left out of the means"
    ]


def _cases(names: Sequence[str]) -> str:
    return f"case{'s' if len(names) > 1 else ''} {some(names)}"
