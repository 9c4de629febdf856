"""From a checkpoint to a bundled model: `python publish.py hippocampus_mr DATA WORK TARGET --steps N ...`.

Measures the model with `umamba.segment` on the cases held out by its recipe, rounds the weights to half
precision where that leaves the measured figures as they are, and writes the model's folder.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import umamba
from umamba.models.card import CARD_FILE, Card, card_bytes, read_card
from umamba.models.convert import write_model
from umamba.models.results import read_results
from umamba.models.safetensors_file import read_arrays, write_arrays
from umamba.training.planning import Case

RECIPES = Path(__file__).resolve().parent
METRIC = "Dice"
MEAN_OF_ALL = "mean of all labels"
PREVIEW, LICENSE = "preview.png", "LICENSE"


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


def accuracy(dice: np.ndarray, keys: Sequence[str], data: str) -> list[dict[str, Any]]:
    """The card's entries: each label, and the mean of a case's labels."""
    columns = [*zip(keys, dice.T, strict=True), (MEAN_OF_ALL, dice.mean(axis=1))]
    return [
        {
            "label": label,
            "metric": METRIC,
            "mean": round(statistics.fmean(column), 4),
            "sd": round(statistics.stdev(column), 4),
            "cases": len(column),
            "data": data,
        }
        for label, column in columns
    ]


def write_card(folder: Path, content: Mapping[str, Any]) -> None:
    """Write card.json with the hashes of all other files, checked against the schema, in the card's order."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != CARD_FILE
    }
    text = json.dumps({**content, "files": files}, indent=2, ensure_ascii=False) + "\n"
    (folder / CARD_FILE).write_text(text, encoding="utf-8")
    (folder / CARD_FILE).write_bytes(card_bytes(read_card(folder)))


def write_full(results: Path, folder: Path, texts: Mapping[str, Any]) -> Card:
    """The model as trained, in float32, with the card's texts."""
    card = write_model(
        read_results(results),
        folder,
        model_id=texts["id"],
        name=texts["name"],
        orientation=texts["orientation"],
        previous_stage=None,
        accuracy=(),
    )
    content = card.as_dict()
    content.pop("description")
    write_card(folder, {**content, **texts})
    return card


def write_half(full: Path, folder: Path) -> None:
    """The same with weights in float16."""
    shutil.copytree(full, folder)
    for path in folder.glob("fold_*.safetensors"):
        arrays = [(key, array.astype(np.float16)) for key, array in read_arrays(full / path.name)]
        path.unlink()
        write_arrays(path, {key: ("F16", array.shape) for key, array in arrays}, arrays)
    write_card(folder, _read(folder / CARD_FILE))


def draw(model: Path, case: Case, path: Path) -> None:
    """Picture of one held-out case with the model's labels."""
    from umamba.imaging.preview import draw_preview

    result = umamba.segment(list(case.images), model)
    draw_preview(result.image, result.labels, result.model.labels, path)


def publish(options: argparse.Namespace) -> None:
    """Measure, round, describe, write."""
    recipe = importlib.import_module(options.recipe)
    texts = _read(RECIPES / f"{options.recipe}.card.json")
    training, _, held_out = recipe.split(options.data)
    cases = [case for case in recipe.cases(options.data) if case.name in held_out]
    values = [label["value"] for label in texts["labels"]]
    keys = [label["key"] for label in texts["labels"]]
    texts["training"] |= {
        "cases": len(training),
        "steps": options.steps,
        "machine": options.machine,
        "date": options.date,
        "recipe": options.note,
    }
    with tempfile.TemporaryDirectory() as temporary:
        full, half = Path(temporary) / "full", Path(temporary) / "half"
        write_full(options.results, full, texts)
        write_half(full, half)
        dice_full, maps_full = measure(full, cases, values)
        dice_half, maps_half = measure(half, cases, values)
        differing = sum(int((a != b).sum()) for a, b in zip(maps_full, maps_half, strict=True))
        print(f"float32 {_line(dice_full)}; float16 {_line(dice_half)}; {differing} voxels differ in all")
        content = _read(half / CARD_FILE)
        content["accuracy"] = accuracy(dice_half, keys, options.measured_on)
        middle = cases[int(np.argsort(dice_half.mean(axis=1))[len(cases) // 2])]
        draw(half, middle, half / PREVIEW)
        shutil.copyfile(RECIPES / f"{options.recipe}.LICENSE", half / LICENSE)
        write_card(half, content)
        if options.target.exists():
            shutil.rmtree(options.target)
        shutil.copytree(half, options.target)
    print("\n".join(f"{entry['label']}: {entry['mean']} ± {entry['sd']}" for entry in content["accuracy"]))
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
