"""`umamba convert`: a published dataset written as nnU-Net's, to train on."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from umamba.cli.parser import Parser, numbers
from umamba.cli.report import Report
from umamba.cli.run_options import add_common_options
from umamba.cli.stop import Stop

if TYPE_CHECKING:
    from umamba.training.convert.dataset import Conversion


def run(words: list[str], stop: Stop) -> int:
    """Check the request, convert every case, put the dataset in its place whole."""
    options = _parse(words)
    report = Report(options.json, options.quiet)
    started = time.monotonic()
    with stop.gently(), report.progress() as show:
        from umamba.events import Monitor
        from umamba.training.convert.dataset import convert

        made = convert(
            options.layout,
            options.source,
            options.output,
            name=options.name,
            spacing=options.spacing,
            lists=options.lists,
            monitor=Monitor(show, stop),
        )
    for note in made.notes:
        report.warning(note)
    report.event(
        {
            "event": "result",
            "folder": str(made.folder),
            "training": made.training,
            "validation": made.validation,
            "test": made.test,
            "warnings": list(made.notes),
            "seconds": round(time.monotonic() - started, 2),
        }
    )
    report.line("\n".join(_summary(made)))
    return 0


def _parse(words: list[str]) -> argparse.Namespace:
    from umamba.training.convert.dataset import LAYOUTS

    parser = Parser(
        "umamba convert",
        "Write a published dataset as nnU-Net's raw dataset, with its split where it has one.\n\n"
        "layouts:\n"
        "  acdc      the challenge's NIfTI files\n"
        "  acdc-h5   ACDC's volumes and slices of SSL4MIS and Mamba-UNet\n"
        "  synapse   TransUNet's slices and volumes of the Synapse (BTCV) abdomen CT",
    )
    parser.add_argument("layout", choices=tuple(LAYOUTS), metavar="LAYOUT", help=", ".join(LAYOUTS))
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of the published dataset")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="to put the dataset's folder, DatasetNNN_Name, into; made if it does not exist",
    )
    parser.add_argument("--name", metavar="DatasetNNN_Name", help="another name for the dataset's folder")
    parser.add_argument(
        "--lists", type=Path, metavar="FOLDER", help="where the lists of cases lie, if not with the files"
    )
    parser.add_argument(
        "--spacing",
        type=spacing,
        metavar="X,Y,Z",
        help="voxel size in mm for files that have none (default: 1,1,10 for acdc-h5, 1,1,1 for synapse)",
    )
    add_common_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser.parse_intermixed_args(words)


def spacing(text: str) -> tuple[float, ...]:
    """Three lengths above 0, in mm."""
    wanted = "three lengths X,Y,Z above 0, in mm,"
    values = numbers(text, 3, wanted)
    if min(values) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} found, {wanted} wanted")
    return values


def _summary(made: Conversion) -> Iterator[str]:
    """What was written, for a person."""
    held = f", {made.validation} to validate on" if made.validation else ""
    yield f"{made.training} cases to train on{held}, {made.test} to test on"
    yield f"wrote {made.folder}"
    yield f"next: umamba train {made.folder} -o FOLDER"
