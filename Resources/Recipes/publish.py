"""From a checkpoint to a bundled model: `python publish.py hippocampus_mr DATA WORK TARGET --steps N ...`.

Measures the model with `umamba.segment` on the cases held out by its recipe, rounds the weights to half
precision where that leaves the measured figures as they are, and writes the model's folder.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import umamba
from umamba.models.accuracy import MEAN_OF_ALL, entries
from umamba.models.package import PREVIEW
from umamba.models.package_card import card_content, write_card, write_stage
from umamba.models.results import read_results
from umamba.models.stages import stages_of
from umamba.training.data_at_hand import draw_case
from umamba.training.dataset import Case

RECIPES = Path(__file__).resolve().parent
LICENSE = "LICENSE"


def measure(model: Path, cases: Sequence[Case], values: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Dice of each case and label, (cases, labels), and the label maps, by `umamba.segment`."""
    import SimpleITK

    opened = umamba.models.get(model)
    rows, maps = [], []
    for case in cases:
        found = umamba.segment(list(case.images), opened).labels
        wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(case.label)))
        both = [((found == value) & (wanted == value)).sum() for value in values]
        sizes = [(found == value).sum() + (wanted == value).sum() for value in values]
        rows.append([2 * b / s if s else 1.0 for b, s in zip(both, sizes, strict=True)])
        maps.append(found)
    return np.array(rows), maps


def publish(options: argparse.Namespace) -> None:
    """Measure, round, describe, write."""
    recipe = importlib.import_module(options.recipe)
    texts = _read(RECIPES / f"{options.recipe}.card.json")
    training, _, held_out = recipe.split(options.data)
    cases = [case for case in recipe.cases(options.data) if case.name in held_out]
    values = [label["value"] for label in texts["labels"]]
    texts["training"] |= {
        "steps": options.steps,
        "machine": options.machine,
        "date": options.date,
        "recipe": options.note,
    }
    (stage,) = stages_of(read_results(options.results), texts.pop("id"), texts.pop("name"))
    content = card_content(stage, texts.pop("orientation"), texts, cases=len(training))
    with tempfile.TemporaryDirectory() as temporary:
        full, half = Path(temporary) / "full", Path(temporary) / "half"
        write_stage(stage, full, content, "F32")
        write_stage(stage, half, content, "F16")
        dice_full, maps_full = measure(full, cases, values)
        dice_half, maps_half = measure(half, cases, values)
        differing = sum(int((a != b).sum()) for a, b in zip(maps_full, maps_half, strict=True))
        print(f"float32 {_line(dice_full)}; float16 {_line(dice_half)}; {differing} voxels differ in all")
        columns = {label["key"]: list(dice) for label, dice in zip(texts["labels"], dice_half.T, strict=True)}
        columns[MEAN_OF_ALL] = list(dice_half.mean(axis=1))
        measured = entries(columns, options.measured_on)
        content["accuracy"] = [vars(entry) for entry in measured]
        middle = cases[int(np.argsort(dice_half.mean(axis=1))[len(cases) // 2])]
        draw_case(middle, half, half / PREVIEW)
        shutil.copyfile(RECIPES / f"{options.recipe}.LICENSE", half / LICENSE)
        write_card(half, content)
        if options.target.exists():
            shutil.rmtree(options.target)
        shutil.copytree(half, options.target)
    print("\n".join(f"{entry.label}: {entry.mean} ± {entry.sd}" for entry in measured))
    for case, row in sorted(_worst(cases, dice_half)):
        print(f"  lowest: {case} {row}")


def _worst(cases: Sequence[Case], dice: np.ndarray, count: int = 3) -> Iterator[tuple[str, str]]:
    for index in np.argsort(dice.mean(axis=1))[:count]:
        yield cases[index].name, " ".join(f"{value:.3f}" for value in dice[index])


def _line(dice: np.ndarray) -> str:
    return f"{dice.mean():.4f} ({' '.join(f'{value:.4f}' for value in dice.mean(axis=0))})"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", help="a module beside this one")
    parser.add_argument("data", type=Path, help="the recipe's data folder")
    parser.add_argument("results", type=Path, help="the training's results, or a checkpoint")
    parser.add_argument("target", type=Path, help="the model's folder, replaced")
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps taken")
    parser.add_argument("--machine", required=True, help="what it was trained on")
    parser.add_argument("--date", required=True)
    parser.add_argument("--note", required=True, help="how to repeat it")
    parser.add_argument("--measured-on", required=True, help="the held-out cases in words")
    publish(parser.parse_args())


if __name__ == "__main__":
    main()
