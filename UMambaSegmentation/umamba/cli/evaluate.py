"""`umamba evaluate`: segmentations held against references; figures, a table and a plot in a folder."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from umamba.cli.outputs import Outputs, check_folder
from umamba.cli.parser import Parser, positive_integer
from umamba.cli.report import Report
from umamba.cli.run_options import add_common_options
from umamba.cli.stop import Stop
from umamba.errors import InputError

if TYPE_CHECKING:
    from umamba.evaluation.result import Evaluation

FILES = {"json": "results.json", "csv": "results.csv", "plot": "boxplot.png"}
CONVENTIONS = ("default", "umamba-abdomen", "umamba-endoscopy", "umamba-cells", "mamba-unet")
OUTPUT_OPTION = "-o"


def run(words: list[str], stop: Stop) -> int:
    """Check the request, compute all figures, write the folder's files all or none."""
    options = _parse(words)
    report = Report(options.json, options.quiet)
    folder: Path = options.output
    _check_folder(folder, options)
    started = time.monotonic()
    with stop.gently(), report.progress() as show:
        from umamba.evaluation.api import evaluate

        evaluation = evaluate(
            options.reference,
            options.prediction,
            convention=options.convention,
            model=options.model,
            tolerance_mm=options.tolerance,
            instances=options.instances,
            iou=options.iou,
            border=options.border,
            allow_missing=options.allow_missing,
            jobs=options.jobs or _cores(),
            progress=show,
            cancel=stop,
        )
    for warning in evaluation.warnings:
        report.warning(warning)
    written = _write(evaluation, folder, options.overwrite, stop)
    seconds = time.monotonic() - started
    report.event(
        {
            "event": "result",
            "files": written,
            "cases": len(evaluation.cases),
            "mean": evaluation.mean,
            "warnings": list(evaluation.warnings),
            "seconds": round(seconds, 2),
        }
    )
    report.line("\n".join(_summary(evaluation, folder, seconds)))
    return 0


def _parse(words: list[str]) -> argparse.Namespace:
    parser = Parser(
        "umamba evaluate",
        "Compare segmentations with references: two label maps, or two folders of them with the same names.",
    )
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="label map, or folder of them")
    parser.add_argument("prediction", type=Path, metavar="PREDICTION", help="the same, to be measured")
    parser.add_argument(
        OUTPUT_OPTION,
        "--output",
        required=True,
        type=Path,
        metavar="FOLDER",
        help=f"for {', '.join(FILES.values())}; made if it does not exist",
    )
    parser.add_argument(
        "--convention", choices=CONVENTIONS, default=CONVENTIONS[0], help="whose rules (docs/evaluation.md)"
    )
    labels = parser.add_argument_group("labels")
    labels.add_argument(
        "--model",
        metavar="MODEL",
        help="names and values of this model; without it dataset.json beside the images, or segment names",
    )
    labels.add_argument(
        "--tolerance",
        type=tolerances,
        metavar="MM",
        help="for NSD, in mm: one, some by label as in liver=5,spleen=3, or both as in 2,liver=5 (default 2)",
    )
    objects = parser.add_argument_group("objects")
    objects.add_argument("--instances", action="store_true", help="the maps number objects: F1 of these")
    objects.add_argument(
        "--iou", type=shares, metavar="IOU", help="least IoU of a found object, as in 0.5,0.7 (default 0.5)"
    )
    objects.add_argument(
        "--border",
        type=pixels,
        metavar="PIXELS",
        help="leave out objects that touch the outer PIXELS (default 0; umamba-cells 2)",
    )
    parser.add_argument(
        "--allow-missing", action="store_true", help="leave out references without a prediction"
    )
    parser.add_argument("--jobs", type=positive_integer, metavar="N", help="processes (default: all cores)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    add_common_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser.parse_intermixed_args(words)


def tolerances(text: str) -> dict[str, float]:
    """`2`, `liver=5,spleen=3` or `2,liver=5` as lengths by label, that of the others under ""."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, length = part.rpartition("=")
        if name.strip() in found or bool(equals) != bool(name.strip()):
            raise argparse.ArgumentTypeError(f"{text!r} found, lengths in mm as in 2,liver=5 wanted")
        found[name.strip()] = _number(length, text, "lengths in mm of at least 0, as in 2,liver=5,")
    return found


def shares(text: str) -> list[float]:
    """Numbers above 0 and at most 1, between commas."""
    wanted = "numbers above 0 and at most 1, as in 0.5,0.7,"
    values = [_number(part, text, wanted) for part in text.split(",")]
    if not all(0 < value <= 1 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} found, {wanted} wanted")
    return values


def pixels(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} found, a whole number of pixels wanted")
    return int(text)


def _number(part: str, text: str, wanted: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} found, {wanted} wanted")
    return value


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_folder(folder: Path, options: argparse.Namespace) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        InputError: One of the inputs is the folder; it is a file, has results already, or cannot be made.
    """
    for name in ("reference", "prediction"):
        place: Path = getattr(options, name)
        if os.path.realpath(place) == os.path.realpath(folder):
            raise InputError(f"{OUTPUT_OPTION} {folder} is {name.upper()}; give another folder")
    check_folder(OUTPUT_OPTION, folder)
    if folder.is_dir():
        _outputs(folder, options.overwrite)


def _outputs(folder: Path, overwrite: bool) -> tuple[Outputs, dict[str, Path]]:
    outputs = Outputs(overwrite)
    return outputs, {key: outputs.add(OUTPUT_OPTION, folder / name) for key, name in FILES.items()}


def _write(evaluation: Evaluation, folder: Path, overwrite: bool, stop: Stop) -> dict[str, str]:
    """Write every file beside its place, then move all; a folder made for them goes if that fails."""
    stop.check()
    made = not folder.is_dir()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{OUTPUT_OPTION} {folder} cannot be made ({error.strerror}); choose another"
        ) from error
    try:
        outputs, paths = _outputs(folder, overwrite)
        with outputs.staged() as staging:
            for path in paths.values():
                evaluation.write(staging.path(path))
            staging.commit()
    except BaseException:
        if made:
            _remove(folder)
        raise
    return {key: str(path) for key, path in paths.items()}


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # somebody else has put something there


def _summary(evaluation: Evaluation, folder: Path, seconds: float) -> Iterator[str]:
    """The means that matter most, for a person."""
    from umamba.evaluation.pairs import counted
    from umamba.inference.runplan import human_seconds

    measures = evaluation.convention.plotted
    mean = evaluation.mean
    rows = mean[evaluation.convention.rows]
    width = max(len(name) for name in (*rows, "all"))
    yield "  " + " " * width + "".join(f"{name:>11}" for name in measures)
    for name, figures in (*rows.items(), ("all", mean)):
        cells = "".join(f"{_figure(figures.get(measure)):>11}" for measure in measures)
        yield f"  {name:<{width}}{cells}"
    distances = f"; distances in {evaluation.unit}" if any(name.startswith("HD") for name in measures) else ""
    yield f"  means of {counted(len(evaluation.cases), 'case')}{distances}"
    yield f"wrote {', '.join(FILES.values())} to {folder}"
    yield f"done in {human_seconds(seconds)}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
