"""The options that `segment` and `plan` share: the image, the model, and how to run it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from umamba.cli.parser import (
    BYTES_PER_GB,
    Parser,
    box,
    folds,
    gigabytes,
    names,
    point,
    positive_integer,
    step_size,
)

if TYPE_CHECKING:
    from umamba.inference.request import Request
    from umamba.models.model import Model


def add_run_options(parser: Parser) -> None:
    """Add IMAGE, --model and everything that changes what a run does or takes."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="one for each channel, in the model's order or as NAME=IMAGE; a folder is a DICOM series",
    )
    parser.add_argument("--model", required=True, metavar="MODEL", help="id of a model, or its folder")
    how = parser.add_argument_group("how to run")
    how.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    how.add_argument("--threads", type=positive_integer, metavar="N", help="CPU threads")
    how.add_argument("--max-memory", type=gigabytes, metavar="GB", help="most memory to take, in 1e9 bytes")
    how.add_argument("--folds", type=folds, default="all", help="all (default), or some, such as 0,1")
    how.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="average over mirrored copies; without it as the model's card says",
    )
    how.add_argument(
        "--step", type=step_size, default=0.5, help="distance of tiles in patches, 0 to 1 (default 0.5)"
    )
    what = parser.add_argument_group("what to segment")
    what.add_argument("--labels", type=names, metavar="A,B", help="keep these labels only (keys or values)")
    region = what.add_mutually_exclusive_group()
    region.add_argument("--roi", type=box, metavar="X0,X1,Y0,Y1,Z0,Z1", help="a box in mm, LPS")
    region.add_argument("--around", type=point, metavar="X,Y,Z", help="the surroundings of a point, mm, LPS")
    what.add_argument("--series", metavar="UID", help="the series to take from a DICOM folder")


def add_common_options(parser: Parser) -> None:
    """Add --json and --debug."""
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output")
    parser.add_argument("--debug", action="store_true", help="show the log and where an error arose")


def check_images(images: Sequence[str]) -> list[Path]:
    """The path of each IMAGE or NAME=IMAGE, there and readable: known at once, before PyTorch is loaded.

    Raises:
        InputError: There is no such file, or it may not be read.
    """
    from umamba.imaging.files import checked_input

    paths = []
    for image in images:
        _, equals, behind = image.partition("=")
        paths.append(checked_input(behind if equals and not os.path.lexists(image) else image))
    return paths


def open_model(model: str) -> Model:
    """The model of --model; an unknown id is known at once.

    Raises:
        ModelError: There is none, or it is damaged.
    """
    from umamba import models

    return models.get(model)


def make_request(options: argparse.Namespace, uncertainty: bool, probabilities: bool) -> Request:
    """The engine's request for these options.

    Raises:
        InputError: A value that the engine does not take.
    """
    from umamba.inference.request import Request

    return Request(
        device=options.device,
        labels=None if options.labels is None else tuple(options.labels),
        roi=options.roi,
        around=options.around,
        folds=options.folds if isinstance(options.folds, str) else tuple(options.folds),
        mirror=options.mirror,
        step=options.step,
        max_memory_bytes=None if options.max_memory is None else int(options.max_memory * BYTES_PER_GB),
        threads=options.threads,
        uncertainty=uncertainty,
        probabilities=probabilities,
    )
