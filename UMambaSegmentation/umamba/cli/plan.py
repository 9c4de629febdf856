"""`umamba plan`: what a run would take, and how, without running."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from umamba.cli.parser import Parser
from umamba.cli.run_options import (
    add_common_options,
    add_run_options,
    check_images,
    make_request,
    open_model,
)
from umamba.cli.stop import Stop
from umamba.cli.streams import error_line, write_line
from umamba.messages import json_line, plan_event

if TYPE_CHECKING:
    from umamba.inference.run import Prepared

GIGABYTE = 1_000_000_000


def run(words: list[str], stop: Stop) -> int:
    """Prepare a run, print what it would take, and leave it at that."""
    parser = Parser(
        "umamba plan", "Say what `umamba segment` would take with the same options; nothing runs."
    )
    add_run_options(parser)
    add_common_options(parser)
    options = parser.parse_intermixed_args(words)
    request = make_request(options, uncertainty=False, probabilities=False)
    check_images(options.images)
    model = open_model(options.model)

    from umamba.events import Monitor
    from umamba.inference.run import prepare

    prepared = prepare(options.images, model, request, Monitor(cancel=stop), options.series)
    for warning in prepared.warnings:
        error_line(f"warning: {warning}")
    if options.json:
        write_line(json_line({**plan_event(prepared.plan), "warnings": list(prepared.warnings)}))
    else:
        write_line("\n".join(_lines(prepared)))
    return 0


def _lines(prepared: Prepared) -> Iterator[str]:
    plan = prepared.plan
    patch = " x ".join(str(size) for size in plan.patch_size)
    yield plan.line()
    yield f"  model      {plan.model}, fold {', '.join(plan.folds)}"
    yield f"  tiles      {plan.tiles} of {patch} voxels, {plan.batch} at a time, step {plan.step:g}"
    yield f"  mirroring  {'on' if plan.mirror else 'off'}"
    yield f"  precision  {plan.precision}"
    if plan.backend:
        yield f"  scan       {plan.backend}"
    for name, size in plan.parts.items():
        yield f"  memory     {size / GIGABYTE:7.3f} GB  {name}"
