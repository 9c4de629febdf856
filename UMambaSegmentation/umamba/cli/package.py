"""`umamba package`: one file of a trained model, for `umamba models install` and the Slicer panel."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umamba.cli.parser import Parser, names, positive_integer
from umamba.cli.report import Report
from umamba.cli.run_options import add_common_options
from umamba.cli.stop import Stop
from umamba.errors import InputError

if TYPE_CHECKING:
    from umamba.models.package import PackageReport

MEGABYTE = 1e6
PRECISIONS = ("float16", "float32")
TEXTS = ("id", "name", "description", "anatomy", "modality", "orientation", "licence", "limits")


def run(words: list[str], stop: Stop) -> int:
    """Check the request, make the model, write the file whole or not at all."""
    options = _parse(words)
    report = Report(options.json, options.quiet)
    started = time.monotonic()
    fields = _fields(options)
    with stop.gently(), report.progress() as show:
        from umamba.events import Monitor
        from umamba.models.package import package
        from umamba.training.dataset.at_hand import DataAtHand

        monitor = Monitor(show, stop)
        made = package(
            options.results,
            options.file,
            fields=fields,
            folds=options.folds,
            precision=options.precision,
            allow_unfinished=options.allow_unfinished,
            overwrite=options.overwrite,
            data=DataAtHand(options.measure, options.device, options.threads, monitor),
            preview=options.preview_case,
            monitor=monitor,
        )
    for note in made.notes:
        report.warning(note)
    report.event({"event": "result", **made.as_dict(), "seconds": round(time.monotonic() - started, 2)})
    report.line("\n".join(_summary(made)))
    return 0


def _parse(words: list[str]) -> argparse.Namespace:
    parser = Parser(
        "umamba package",
        "Make one file of a trained model. Its card says what the results tell, what was measured, and what "
        "you give here.",
    )
    parser.add_argument(
        "results",
        type=Path,
        metavar="RESULTS",
        help="results of umamba train, nnU-Net v2 or U-Mamba at any level, or a checkpoint",
    )
    parser.add_argument("file", type=Path, metavar="FILE.zip", help="the file to write")
    card = parser.add_argument_group("the card")
    card.add_argument("--id", help="lower case, digits, dashes (default: dataset and configuration)")
    card.add_argument("--name", help="what a person reads")
    card.add_argument("--description", metavar="TEXT", help="what it finds, in which images")
    card.add_argument("--anatomy", metavar="TEXT", help="for example Liver")
    card.add_argument("--modality", metavar="TEXT", help="for example CT (default: by the channels' names)")
    card.add_argument(
        "--licence", metavar="SPDX", help="for example CC-BY-4.0; that of the data may bind you"
    )
    card.add_argument(
        "--citation", action="append", metavar="TEXT", help="what its users should cite; may be repeated"
    )
    card.add_argument("--limits", metavar="TEXT", help="what it must not be used for")
    card.add_argument(
        "--orientation",
        metavar="RAS|native",
        help="how all training images lay, three letters, or native (default): images are taken as they are",
    )
    card.add_argument(
        "--labels-file", type=Path, metavar="FILE.json", help="names, colours and codes of labels, by value"
    )
    card.add_argument(
        "--card", type=Path, metavar="CARD.json", help="any of a card's fields; options above win over it"
    )
    what = parser.add_argument_group("what goes in")
    what.add_argument(
        "--folds", type=_folds, default="all", metavar="all|best|0,1", help="which folds (default all)"
    )
    what.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="of the weights (default float16)"
    )
    what.add_argument(
        "--measure",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="look at what rounding does to some validation cases, where they are at hand (default)",
    )
    what.add_argument(
        "--preview-case", metavar="CASE", help="draw this validation case: the picture shows a patient"
    )
    what.add_argument(
        "--allow-unfinished", action="store_true", help="take the latest checkpoint of a training"
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--threads", type=positive_integer, metavar="N", help="CPU threads")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    add_common_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser.parse_intermixed_args(words)


def _folds(text: str) -> str | list[str]:
    return text if text in ("all", "best") else names(text)


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    """The card's fields of --card, then --labels-file, then the options.

    Raises:
        InputError: A file that is no JSON of the form wanted.
    """
    fields: dict[str, Any] = {}
    if options.card is not None:
        fields = _read("--card", options.card, dict)
    if options.labels_file is not None:
        fields["labels"] = _read("--labels-file", options.labels_file, list)
    fields |= {name: text for name in TEXTS if (text := getattr(options, name)) is not None}
    if options.citation:
        fields["citation"] = options.citation
    return fields


def _read(option: str, path: Path, kind: type) -> Any:  # noqa: ANN401
    from umamba.imaging.files import checked_input

    try:
        found = json.loads(checked_input(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{option} {path}: cannot be read as JSON ({error}); correct the file") from None
    if not isinstance(found, kind):
        wanted = "an object with a card's fields" if kind is dict else "a list of objects, each with a value,"
        raise InputError(f"{option} {path}: {wanted} is wanted; see docs/training.md")
    return found


def _summary(made: PackageReport) -> Iterator[str]:
    folds = f"fold{'s' if len(made.folds) > 1 else ''} {', '.join(made.folds)}"
    yield f"{made.id}: {folds}, {made.precision}, {made.size_bytes / MEGABYTE:.1f} MB"
    for entry in made.card.get("accuracy", ()):
        spread = "" if entry.get("sd") is None else f" ± {entry['sd']:.3f}"
        yield f"  {entry['label']}: {entry['metric']} {entry['mean']:.3f}{spread}, {entry.get('data') or ''}"
    yield f"wrote {made.file}"
    yield f"next: umamba models install {shlex.quote(made.file)}"
