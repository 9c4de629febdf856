"""`umamba segment`: an image in, labels out."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from umamba.cli import side_outputs
from umamba.cli.outputs import Outputs
from umamba.cli.parser import Parser
from umamba.cli.report import Report
from umamba.cli.run_options import (
    add_common_options,
    add_run_options,
    check_images,
    make_request,
    open_model,
)
from umamba.cli.side_outputs import FLAT_SUFFIXES, VOLUME_SUFFIXES, SideOutput
from umamba.cli.stop import Stop
from umamba.errors import InputError

if TYPE_CHECKING:
    from umamba.events import Monitor
    from umamba.inference.result import Result
    from umamba.inference.run import Prepared

# NIfTI has no room for the record of a run: it is written beside.
SUFFIXES_WITHOUT_HEADER = (".nii.gz", ".nii")
UINT8_LARGEST = 255
OUTPUT_OPTION = "-o"


def run(words: list[str], stop: Stop) -> int:
    """Check the request, run it, write its files all or none."""
    options = _parse(words)
    report = Report(options.json, options.quiet)
    inputs = check_images(options.images)
    outputs, sides = _plan_outputs(options, inputs)
    model = open_model(options.model)
    request = make_request(options, options.uncertainty is not None, options.probabilities is not None)
    started = time.monotonic()
    with stop.gently(), report.progress() as show:
        from umamba.events import Monitor
        from umamba.inference.run import prepare
        from umamba.inference.run import run as compute

        monitor = Monitor(show, stop)
        prepared = prepare(options.images, model, request, monitor, options.series)
        _check_outputs(prepared, outputs, sides, options.output)
        report.plan(prepared.plan)
        for warning in prepared.warnings:
            report.warning(warning)
        result = compute(prepared, monitor)
        for warning in result.warnings[len(prepared.warnings) :]:
            report.warning(warning)
        written = _write(result, prepared, options.output, outputs, sides, monitor)
    seconds = time.monotonic() - started
    report.event(
        {
            "event": "result",
            "files": written,
            "volumes": [vars(volume) for volume in result.volumes()],
            "warnings": list(result.warnings),
            "provenance": dict(result.provenance),
            "seconds": round(seconds, 2),
        }
    )
    report.line("\n".join(_summary(result, written, seconds)))
    return 0


def _parse(words: list[str]) -> argparse.Namespace:
    parser = Parser("umamba segment", "Segment an image with a model.")
    add_run_options(parser)
    parser.add_argument(
        OUTPUT_OPTION,
        "--output",
        required=True,
        type=Path,
        metavar="OUTPUT",
        help=f"by its suffix: {' '.join(VOLUME_SUFFIXES)} a label map, {' '.join(FLAT_SUFFIXES)} the same of "
        "a 2D image, .seg.nrrd a segmentation for 3D Slicer",
    )
    group = parser.add_argument_group("what else to write")
    for side in side_outputs.ALL:
        group.add_argument(side.option, type=Path, metavar=f"FILE{side.suffixes[0]}", help=side.about)
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")
    add_common_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return parser.parse_intermixed_args(words)


def _plan_outputs(
    options: argparse.Namespace, inputs: Sequence[Path]
) -> tuple[Outputs, dict[SideOutput, Path]]:
    """Every file that the run will write, checked as far as that needs no image.

    Raises:
        InputError: A name that cannot be written, or stands twice, or is an input's.
    """
    from umamba.imaging.write import check_output

    suffix = check_output(options.output)
    outputs = Outputs(options.overwrite)
    outputs.add(OUTPUT_OPTION, options.output)
    sides = {}
    for side in side_outputs.ALL:
        path = getattr(options, side.key)
        if path is not None:
            sides[side] = outputs.add(side.option, path, side.suffixes)
    if suffix in SUFFIXES_WITHOUT_HEADER:
        record = options.output.with_name(options.output.name[: -len(suffix)] + ".json")
        if record != options.provenance:
            sides[side_outputs.RECORD] = outputs.add("the record of -o,", record)
    outputs.keep_apart_from(inputs)
    return outputs, sides


def _check_outputs(prepared: Prepared, outputs: Outputs, sides: dict[SideOutput, Path], output: Path) -> None:
    """What needs the image and the model: a format for this image, a class map to write, room on the disk.

    Raises:
        InputError: One of these is wanting.
    """
    from umamba.imaging.write import check_output

    image = prepared.channels[0].original
    check_output(output, image)
    for side in (side_outputs.CLASSES, side_outputs.UNCERTAINTY):
        if side in sides:
            check_output(sides[side], image)
    if side_outputs.CLASSES in sides and prepared.model.card.instances is None:
        raise InputError(
            f"--classes: model {prepared.model.card.id!r} has no instances; its classes are the output itself"
        )
    rules = prepared.model.dataset.labels
    voxels = math.prod(image.geometry.shape)
    needed = {path: side.bytes_needed(voxels, rules.heads) for side, path in sides.items()}
    outputs.check_space({output: voxels * (1 if rules.largest <= UINT8_LARGEST else 2), **needed})


def _write(
    result: Result,
    prepared: Prepared,
    output: Path,
    outputs: Outputs,
    sides: dict[SideOutput, Path],
    monitor: Monitor,
) -> dict[str, str]:
    """Write every file beside its place, then move all; what was written, by option."""
    steps = len(sides) + 1
    with outputs.staged() as staging:
        monitor.step("write", 0, steps)
        result.write(staging.path(output))
        for done, (side, path) in enumerate(sides.items(), start=1):
            monitor.step("write", done, steps)
            side.write(staging.path(path), result, prepared)
        monitor.step("write", steps, steps)
        staging.commit()
    return {"output": str(output), **{side.key: str(path) for side, path in sides.items()}}


def _summary(result: Result, written: dict[str, str], seconds: float) -> Iterator[str]:
    """What was found and where it lies, for a person."""
    from umamba.inference.runplan import human_seconds

    found = [volume for volume in result.volumes() if volume.voxels]
    width = max((len(volume.name) for volume in found), default=0)
    flat = result.geometry.axes == 2
    for volume in found:
        amount = f"{volume.voxels} px" if flat else f"{volume.ml:.3f} ml"
        yield f"  {volume.name:<{width}}  {amount}"
    if not found:
        yield "  nothing was found"
    for path in written.values():
        yield f"wrote {path}"
    yield f"done in {human_seconds(seconds)}"
