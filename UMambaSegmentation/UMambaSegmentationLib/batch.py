"""Many cases, one after the other, into a folder. One that fails is told at the end and stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import slicer
from slicer.i18n import tr as _

from UMambaSegmentationLib.batch_cases import BatchCase, find_cases
from UMambaSegmentationLib.cards import Card
from UMambaSegmentationLib.client.job import JobError
from UMambaSegmentationLib.logs import log
from UMambaSegmentationLib.run_folder import RunFolder
from UMambaSegmentationLib.run_options import RunOptions
from UMambaSegmentationLib.scene.errors import SceneError
from UMambaSegmentationLib.scene.volumes import image_entries

if TYPE_CHECKING:
    from UMambaSegmentationLib.client.engine import Engine

RESULT_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha")


@dataclass(frozen=True)
class CaseResult:
    """What became of one case.

    Attributes:
        name: Of the case.
        state: "done", "skipped" (its result was there), "failed" or "cancelled".
        file: The result, if there is one.
        message: Why it failed, or what was odd; one line.
        volumes: Of each structure label, key, name, voxels and ml; empty unless it was done now.
    """

    name: str
    state: Literal["done", "skipped", "failed", "cancelled"]
    file: Path | None = None
    message: str = ""
    volumes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class BatchReport:
    """What became of all cases, in order."""

    results: tuple[CaseResult, ...]

    @property
    def summary(self) -> str:
        """One sentence, then a line for each case that failed."""
        counts = {
            state: sum(result.state == state for result in self.results)
            for state in ("done", "skipped", "failed", "cancelled")
        }
        sentence = _("{done} done, {skipped} there already, {failed} failed, {cancelled} not begun.").format(
            **counts
        )
        failed = [f"{result.name}: {result.message}" for result in self.results if result.state == "failed"]
        return "\n".join([sentence, *failed])


def process_batch(
    engine: Engine,
    inputs: Any,  # noqa: ANN401
    card: Card,
    folder: Path,
    *,
    suffix: str = ".seg.nrrd",
    overwrite: bool = False,
    options: RunOptions | None = None,
    callback: Callable[[str], None] | None = None,
) -> BatchReport:
    """Segment each case into `folder`; see `UMambaSegmentationLogic.processBatch` for the arguments.

    Raises:
        SceneError: Nothing can be begun: no case, no model, no place for the results.
    """
    options = options or RunOptions()
    if suffix not in RESULT_SUFFIXES:
        raise SceneError(
            _("Results cannot be written as {suffix}; choose {known}.").format(
                suffix=suffix, known=", ".join(RESULT_SUFFIXES)
            )
        )
    if card.source == "available":
        raise SceneError(_("Install the model first."))
    options.kept_values(card)
    cases = find_cases(inputs, len(card.channels), folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SceneError(
            _("The folder for the results cannot be made ({reason}).").format(reason=error.strerror or error)
        ) from None
    tell = callback or (lambda _line: None)
    results: list[CaseResult] = []
    for number, case in enumerate(cases, start=1):
        tell(_("Case {number} of {count}: {name}").format(number=number, count=len(cases), name=case.name))
        if results and results[-1].state == "cancelled":  # the engine was closed: Slicer ends
            results.append(CaseResult(case.name, "cancelled"))
        else:
            results.append(_run(engine, case, card, folder / f"{case.name}{suffix}", overwrite, options))
    report = BatchReport(tuple(results))
    log(report.summary.splitlines()[0])
    tell(report.summary)
    return report


def _run(
    engine: Engine, case: BatchCase, card: Card, file: Path, overwrite: bool, options: RunOptions
) -> CaseResult:
    if case.fault:
        return CaseResult(case.name, "failed", message=case.fault)
    empty = file.exists() and not file.stat().st_size  # what a full disk or a broken copy left
    if file.exists() and not empty and not overwrite:
        return CaseResult(case.name, "skipped", file)
    try:
        run_folder = RunFolder()
    except SceneError as error:
        return CaseResult(case.name, "failed", message=str(error))
    try:
        images = list(map(str, case.files)) or image_entries(_nodes(case.nodes), card, run_folder.path)
        job = engine.submit(
            "segment",
            images=images,
            model=str(card.folder),
            output=str(file),
            overwrite=overwrite or empty,
            **options.for_engine(),
        )
        job.wait()
        result = job.check()
    except JobError as error:
        cancelled = error.kind == "cancelled"
        return CaseResult(case.name, "cancelled" if cancelled else "failed", message=str(error))
    except SceneError as error:
        return CaseResult(case.name, "failed", message=str(error))
    finally:
        run_folder.remove()
    return CaseResult(
        case.name, "done", file, " ".join(result["warnings"]), tuple(dict(v) for v in result["volumes"])
    )


def _nodes(ids: Sequence[str]) -> list[slicer.vtkMRMLVolumeNode]:
    nodes = [slicer.mrmlScene.GetNodeByID(node_id) for node_id in ids]
    if any(node is None for node in nodes):
        raise SceneError(_("The volume was removed from the scene."))
    return nodes
