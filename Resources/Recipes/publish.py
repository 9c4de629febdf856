"""From a checkpoint to a bundled model: `python publish.py RECIPE DATA WORK RESULTS TARGET --steps N ...`.

Measures the model with `umamba.segment` on the cases held out by its recipe, rounds the weights to half
precision where that leaves the measured figures as they are, and writes the model's folder.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recipe import Recipe, Scores

import umamba
from umamba.models.accuracy import MEAN_OF_ALL, entries
from umamba.models.package import PREVIEW
from umamba.models.package_card import card_content, write_card, write_stage
from umamba.models.results import read_results
from umamba.models.stages import stages_of
from umamba.training.dataset.at_hand import draw_case
from umamba.training.dataset.raw import Case

RECIPES = Path(__file__).resolve().parent
LICENSE = "LICENSE"


def measure(
    model: Path, recipe: Recipe, data: Path, cases: Sequence[Case], keys: Mapping[int, str]
) -> tuple[list[Scores], list[np.ndarray]]:
    """The recipe's figures of each case, and the maps, by `umamba.segment`."""
    import SimpleITK

    opened = umamba.models.get(model)
    rows, maps = [], []
    for case in cases:
        found = umamba.segment(list(case.images), opened).labels
        wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(recipe.reference(data, case))))
        rows.append(recipe.score(found, wanted.reshape(found.shape), case, keys))
        maps.append(found)
    return rows, maps


def columns_of(recipe: Recipe, rows: Sequence[Scores]) -> dict[str, list[float]]:
    """The figures by what they are of; with the mean of each case where that says something."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    if recipe.has_mean and len(columns) > 1:
        columns[MEAN_OF_ALL] = [statistics.fmean(row.values()) for row in rows]
    return columns


def publish(options: argparse.Namespace) -> None:
    """Measure, round, describe, write."""
    recipe: Recipe = importlib.import_module(options.recipe).RECIPE
    texts, licence = card_texts(options.recipe)
    every = recipe.cases(options.data, options.work)
    training, held_out = recipe.split(every)
    cases = [case for case in every if case.name in held_out]
    keys = {label["value"]: label["key"] for label in texts["labels"]}
    texts["training"] |= {"steps": options.steps, "recipe": options.note}
    texts["training"] |= {"machine": options.machine, "date": options.date}
    texts |= {name: getattr(options, name) for name in ("id", "name") if getattr(options, name)}
    (stage,) = stages_of(read_results(options.results), texts.pop("id"), texts.pop("name"))
    content = card_content(stage, texts.pop("orientation"), texts, cases=len(set(training)))
    with tempfile.TemporaryDirectory() as temporary:
        full, half = Path(temporary) / "full", Path(temporary) / "half"
        write_stage(stage, full, content, "F32")
        write_stage(stage, half, content, "F16")
        rows_full, maps_full = measure(full, recipe, options.data, cases, keys)
        rows, maps = measure(half, recipe, options.data, cases, keys)
        differing = sum(int((a != b).sum()) for a, b in zip(maps_full, maps, strict=True))
        print(f"float32 {_line(recipe, rows_full)}\nfloat16 {_line(recipe, rows)}\n{differing} voxels differ")
        measured = [
            entry
            for name, column in columns_of(recipe, rows).items()
            for entry in entries({name: column}, options.measured_on, recipe.metric)
        ]
        content["accuracy"] = [vars(entry) for entry in measured]
        means = [statistics.fmean(row.values()) for row in rows]
        draw_case(cases[int(np.argsort(means)[len(cases) // 2])], half, half / PREVIEW)
        shutil.copyfile(licence, half / LICENSE)
        write_card(half, content)
        if options.target.exists():
            shutil.rmtree(options.target)
        shutil.copytree(half, options.target)
    print("\n".join(f"{entry.label}: {entry.mean} ± {entry.sd} ({entry.cases} cases)" for entry in measured))
    for index in np.argsort(means)[:3]:
        print(f"  lowest: {cases[index].name} {rows[index]}")


def _line(recipe: Recipe, rows: Sequence[Scores]) -> str:
    return ", ".join(f"{name} {statistics.fmean(row):.4f}" for name, row in columns_of(recipe, rows).items())


def card_texts(recipe: str) -> tuple[dict[str, Any], Path]:
    """What people wrote of a recipe's model, and its licence; with the rest from the recipe it is `like`."""
    content: dict[str, Any] = json.loads((RECIPES / f"{recipe}.card.json").read_text(encoding="utf-8"))
    like = content.pop("like", None)
    if like is None:
        return content, RECIPES / f"{recipe}.LICENSE"
    texts, licence = card_texts(like)
    return texts | content, licence


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", help="a module beside this one")
    parser.add_argument("data", type=Path, help="the recipe's data folder")
    parser.add_argument("work", type=Path, help="the training's folder")
    parser.add_argument("results", type=Path, help="the training's results, or a checkpoint")
    parser.add_argument("target", type=Path, help="the model's folder, replaced")
    parser.add_argument("--id", help="another than the card's")
    parser.add_argument("--name", help="another than the card's")
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps taken")
    parser.add_argument("--machine", required=True, help="what it was trained on")
    parser.add_argument("--date", required=True)
    parser.add_argument("--note", required=True, help="how to repeat it")
    parser.add_argument("--measured-on", required=True, help="the held-out cases in words")
    publish(parser.parse_args())


if __name__ == "__main__":
    main()
