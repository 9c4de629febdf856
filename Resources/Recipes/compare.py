"""Measure trainings on the cases their recipe holds out, side by side, as a Markdown table:

    python compare.py RECIPE DATA WORK NAME=RESULTS [NAME=RESULTS ...] [--mirror] [--curves FILE.png]

RESULTS is a training's folder of results, or a model. Each is run in a process of its own, one case after the
other: seconds are the median of the cases after the first, memory is the process's peak.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from recipe import Recipe, Scores

import umamba
from umamba.training.dataset.raw import Case
from umamba.training.log import PROGRESS

DISTANCES = ("IoU", "HD95", "ASD")
MEGABYTE, KILOBYTE = 1e6, 1e3


@dataclass(frozen=True)
class Run:
    """What one model did: figures of every case, time and memory."""

    rows: list[Scores]
    parameters: int
    seconds: float
    peak_bytes: float


def run(recipe_name: str, options: argparse.Namespace, model: Path, target: Path) -> Run:
    """Segment the cases held out and write their maps to `target`; in a process of its own."""
    import SimpleITK
    import torch

    torch.set_num_threads(options.threads)
    recipe: Recipe = importlib.import_module(recipe_name).RECIPE
    opened = umamba.models.get(model)
    keys = {label.value: label.key for label in opened.card.labels}
    rows, times = [], []
    for case in held_out(recipe, options):
        start = time.perf_counter()
        result = umamba.segment(
            list(case.images), opened, mirror=options.mirror, threads=options.threads, device="cpu"
        )
        times.append(time.perf_counter() - start)
        wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(recipe.reference(options.data, case))))
        rows.append(recipe.score(result.labels, wanted.reshape(result.labels.shape), case, keys))
        result.write(target / f"{case.name}.nii.gz")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE
    parameters = sum(int(p.numel()) for p in umamba.models.load_network(model).parameters())
    return Run(rows, parameters, statistics.median(times[1:]), peak)


def held_out(recipe: Recipe, options: argparse.Namespace) -> list[Case]:
    """The cases to measure."""
    every = recipe.cases(options.data, options.work)
    _, names = recipe.split(every)
    return [case for case in every if case.name in names]


def distances(recipe: Recipe, options: argparse.Namespace, maps: Path) -> dict[str, float]:
    """Means over cases and labels of what `umamba evaluate` measures besides."""
    references = maps.parent / "references"
    if not references.exists():
        references.mkdir()
        for case in held_out(recipe, options):
            shutil.copyfile(case.label, references / case.label.name)
    labels = umamba.evaluate(references, maps).mean["labels"].values()
    return {name: statistics.fmean(label[name] for label in labels) for name in DISTANCES}


def line_of(name: str, recipe: Recipe, done: Run, more: dict[str, float]) -> dict[str, str]:
    """A row of the table."""
    columns: dict[str, list[float]] = {}
    for row in done.rows:
        for what, value in row.items():
            columns.setdefault(what, []).append(value)
    line = {"network": name}
    if recipe.has_mean and len(columns) > 1:
        columns["mean"] = [statistics.fmean(row.values()) for row in done.rows]
    line |= {f"{recipe.metric}, {what}": f"{statistics.fmean(v):.3f}" for what, v in columns.items()}
    line |= {what: f"{value:.2f}" if what != "IoU" else f"{value:.3f}" for what, value in more.items()}
    return line | {
        "million parameters": f"{done.parameters / MEGABYTE:.2f}",
        "seconds a case": f"{done.seconds:.2f}",
        "peak MB": f"{done.peak_bytes / MEGABYTE:.0f}",
    }


def table(lines: Sequence[dict[str, str]]) -> str:
    """Markdown."""
    heads = list(lines[0])
    rows = [heads, ["---"] * len(heads), *([line[head] for head in heads] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw_curves(path: Path, results: dict[str, Path]) -> None:
    """Dice of validation patches after each epoch, smoothed as nnU-Net does."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, folder in results.items():
        (progress,) = folder.glob(f"fold_*/{PROGRESS}")
        epochs = json.loads(progress.read_text(encoding="utf-8"))["epochs"]
        axes.plot([e["epoch"] for e in epochs], [e["smooth_dice"] for e in epochs], label=name)
    axes.set(xlabel="epoch", ylabel="Dice of validation patches, smoothed", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", help="a module beside this one")
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("results", nargs="+", metavar="NAME=RESULTS")
    parser.add_argument("--mirror", action="store_true", help="average over mirrored copies")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--curves", type=Path, help="a picture of the trainings")
    options = parser.parse_args()
    recipe: Recipe = importlib.import_module(options.recipe).RECIPE
    results = {name: Path(path) for name, _, path in (entry.partition("=") for entry in options.results)}
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, (name, model) in enumerate(results.items()):
            maps = Path(temporary) / str(number)
            maps.mkdir()
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                done = pool.submit(run, options.recipe, options, model, maps).result()
            more = distances(recipe, options, maps) if recipe.has_mean else {}
            lines.append(line_of(name, recipe, done, more))
            print(lines[-1], flush=True)
    print(table(lines))
    if options.curves:
        draw_curves(options.curves, results)


if __name__ == "__main__":
    main()
