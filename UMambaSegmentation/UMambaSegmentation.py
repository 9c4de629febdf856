"""U-Mamba and nnU-Net models in 3D Slicer: pick a model, press Segment, edit the result.

This file is read at every start of Slicer; everything else is imported when the module is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

if TYPE_CHECKING:
    from UMambaSegmentationLib.batch import BatchReport
    from UMambaSegmentationLib.cards import Card
    from UMambaSegmentationLib.panel.panel import Panel
    from UMambaSegmentationLib.reporting import Report
    from UMambaSegmentationLib.run import Run
    from UMambaSegmentationLib.run_options import RunOptions

OLDEST_SLICER = (5, 10)
LIBRARY = "UMambaSegmentationLib"

Volumes = Any  # a volume node, or a sequence of them: one for each channel of the model
Model = Any  # a model's id, its folder, or its card


class UMambaSegmentation(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("UMamba Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The UMambaSegmentation authors"]
        self.parent.helpText = _(
            "Segments volumes with U-Mamba and nnU-Net models: choose a model and a volume, press Segment, "
            "edit the result. Research use only; not a medical device."
        )
        self.parent.acknowledgementText = _(
            "U-Mamba is the work of Jun Ma, Feifei Li and Bo Wang; nnU-Net of Fabian Isensee and colleagues. "
            "This extension has an engine of its own that reads their models."
        )
        slicer.app.connect("startupCompleted()", _register_sample_data)


def _register_sample_data() -> None:
    from UMambaSegmentationLib.scene import sample_data

    sample_data.register()


class UMambaSegmentationWidget(ScriptedLoadableModuleWidget):
    """The module's panel. `ui` has every widget by its name, `panel` the sections."""

    def __init__(self, parent: object = None) -> None:
        self.panel: Panel | None = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Called once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        if (slicer.app.majorVersion, slicer.app.minorVersion) < OLDEST_SLICER:
            line = qt.QLabel(_("This module needs Slicer 5.10 or newer; install a newer Slicer."))
            line.wordWrap = True
            self.layout.addWidget(line)
            self.layout.addStretch(1)
            return
        from UMambaSegmentationLib.panel.panel import Panel

        widget = slicer.util.loadUI(self.resourcePath("UI/UMambaSegmentation.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = UMambaSegmentationLogic()
        self.panel = Panel(self.ui, self.logic)

    def enter(self) -> None:
        """The module is opened."""
        if self.panel is not None:
            self.panel.refresh()

    def exit(self) -> None:
        """Another module is opened; a run goes on."""
        if self.panel is not None:
            self.panel.leave()

    def cleanup(self) -> None:
        """Slicer ends, or the module is reloaded: no observer, timer or process stays."""
        panel, self.panel = self.panel, None
        if panel is not None:
            panel.close()

    def onReload(self) -> None:
        """Developer's Reload: Slicer reads this file again; the packages must not be the old ones."""
        for name in [name for name in sys.modules if name.partition(".")[0] == LIBRARY]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class UMambaSegmentationLogic(ScriptedLoadableModuleLogic):
    """The module without its panel, for scripts and the Python console; works without a main window too.

    >>> logic = slicer.util.getModuleLogic("UMambaSegmentation")
    >>> [card.id for card in logic.models()]
    >>> segmentation = logic.process(slicer.util.getNode("T1"), "hippocampus-mr", region=pointNode)
    >>> logic.volumesTable(segmentation)
    """

    def models(self) -> list[Card]:
        """The models that can be used, each a card with id, name, channels, labels, accuracy, limits, ..."""
        from UMambaSegmentationLib import settings
        from UMambaSegmentationLib.cards import read_models

        return read_models(available_folder=settings.model_folder())

    def process(
        self,
        inputs: Volumes,
        model: Model,
        output: slicer.vtkMRMLSegmentationNode | None = None,
        **options: Any,  # noqa: ANN401
    ) -> slicer.vtkMRMLSegmentationNode:
        """Segment, wait for the end, and give the segmentation node.

        Args:
            inputs: A volume node; for a model of several channels a list with one for each, in order.
            model: Its id ("hippocampus-mr"), its folder, or a card of `models()`.
            output: A segmentation that takes the segments; by default a new one.
            options: As for `start`.

        Raises:
            JobError: The engine could not do it; `kind` says whose fault it was.
            SceneError: The nodes do not fit the model or each other, or the run was cancelled.
        """
        run = self.start(inputs, model, output, **options)
        run.wait()
        return run.check()

    def start(
        self,
        inputs: Volumes,
        model: Model,
        output: slicer.vtkMRMLSegmentationNode | None = None,
        *,
        region: slicer.vtkMRMLNode | None = None,
        all_frames: bool = False,
        options: RunOptions | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
        on_end: Callable[[Run], None] | None = None,
        ask: Any = None,  # noqa: ANN401
        **choices: Any,  # noqa: ANN401
    ) -> Run:
        """Segment in the background.

        Args:
            inputs, model, output: As for `process`.
            region: A markups ROI, or a point list whose last point the model is pointed at; by default the
                whole volume.
            all_frames: Segment each frame of the sequence that the volume belongs to, into a new sequence of
                segmentations; `node` is then the one that shows the frame of the moment.
            options: A RunOptions; or give its fields as keywords: device, folds, mirror, step, threads,
                max_memory, uncertainty, labels, same_name, overwrite_edited.
            callback: Called with each event of the engine: its plan, progress and log.
            on_end: Called once with the run when it is done, cancelled or failed.
            ask: As `Segmentation`'s; without it, segments that were edited during the run are never replaced.

        Returns:
            The run: `state`, `cancel()`, `wait(seconds)`, `node`, `error`, `warnings`.

        Raises:
            SceneError: The nodes do not fit the model or each other.
        """
        from UMambaSegmentationLib.client.engine import shared_engine
        from UMambaSegmentationLib.frames import FrameSegmentation
        from UMambaSegmentationLib.model_choice import find_model
        from UMambaSegmentationLib.run_options import RunOptions
        from UMambaSegmentationLib.segmentation import Segmentation

        card = find_model(model)
        settled = options if options is not None else RunOptions(**choices)
        engine, volumes = shared_engine(), _listed(inputs)
        if all_frames:
            frames = FrameSegmentation(callback=callback, on_end=on_end)
            frames.start(engine, volumes, card, region=region, options=settled)
            return frames
        run = Segmentation(callback=callback, on_end=on_end, ask=ask)
        run.start(engine, volumes, card, output=output, region=region, options=settled)
        return run

    def plan(
        self,
        inputs: Volumes,
        model: Model,
        *,
        region: slicer.vtkMRMLNode | None = None,
        **choices: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """What a run would take: `line` for a person, `device`, `seconds`, `peak_ram_bytes`, `notes`, ...

        Args:
            inputs, model: As for `process`.
            region, choices: As for `start`.

        Raises:
            JobError: The engine could not say.
            SceneError: The nodes do not fit the model or each other.
        """
        from UMambaSegmentationLib.client.engine import shared_engine
        from UMambaSegmentationLib.model_choice import find_model
        from UMambaSegmentationLib.planning import start_plan
        from UMambaSegmentationLib.run_options import RunOptions

        card = find_model(model)
        job = start_plan(shared_engine(), card, _listed(inputs), region, RunOptions(**choices))
        job.wait()
        return job.check()

    def processBatch(
        self,
        inputs: Any,  # noqa: ANN401
        model: Model,
        folder: str | Path,
        *,
        suffix: str = ".seg.nrrd",
        overwrite: bool = False,
        callback: Callable[[str], None] | None = None,
        **choices: Any,  # noqa: ANN401
    ) -> BatchReport:
        """Segment many cases into a folder, one after the other, and wait for the end.

        A case that is done already is skipped, one that fails does not stop the others. Nothing is added to
        the scene.

        Args:
            inputs: A folder of image files and DICOM folders; or a list of cases, each a volume node (for
                several channels a list of them). Files of several channels end with _0000, _0001, ...
            model: As for `process`.
            folder: Where the results go, named by their cases; it is made if need be.
            suffix: ".seg.nrrd", ".nii.gz", ".nrrd" or ".mha".
            overwrite: Do again what is done already.
            callback: Called with a line before each case and at the end.
            choices: device, folds, mirror, step, threads, max_memory, labels.

        Returns:
            What became of each case (`results`) and a sentence (`summary`).

        Raises:
            SceneError: No such folder, no case in it, or one that cannot be written to.
        """
        from UMambaSegmentationLib.batch import process_batch
        from UMambaSegmentationLib.client.engine import shared_engine
        from UMambaSegmentationLib.model_choice import find_model
        from UMambaSegmentationLib.run_options import RunOptions

        return process_batch(
            shared_engine(),
            inputs,
            find_model(model),
            Path(folder),
            suffix=suffix,
            overwrite=overwrite,
            options=RunOptions(**choices),
            callback=callback,
        )

    def showIn3D(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Show the segments as surfaces; they are made first, which takes a while for many segments."""
        from UMambaSegmentationLib.scene.display import show_in_3d

        show_in_3d(node)

    def volumesTable(
        self, node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode | None = None
    ) -> slicer.vtkMRMLTableNode:
        """Write the volumes of the segments to a new table node: name, voxels, ml."""
        from UMambaSegmentationLib.scene.tables import volumes_table

        return volumes_table(node, volume)

    def startReport(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        file: str | Path,
        on_end: Callable[[str], None] | None = None,
    ) -> Report:
        """Write a page (HTML) with three planes, contours and volumes, in the background.

        Args:
            node: The segmentation, as it is now.
            file: The page; an existing one is replaced.
            on_end: Called with a sentence: written, or why not.

        Raises:
            SceneError: There is nothing to report.
        """
        from UMambaSegmentationLib.client.engine import shared_engine
        from UMambaSegmentationLib.reporting import Report

        model = node.GetAttribute("UMamba.Model") or ""
        card = next((card for card in self.models() if card.id == model), None)
        return Report(shared_engine(), node, card, Path(file), on_end or (lambda _message: None))


def _listed(inputs: Volumes) -> list[slicer.vtkMRMLVolumeNode | None]:
    """One entry for each channel."""
    return list(inputs) if isinstance(inputs, Sequence) else [inputs]


class UMambaSegmentationTest(ScriptedLoadableModuleTest):
    """The main path inside a real Slicer: real volume, real engine, real model."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Segment the bundled brain around a point, look at the result, cancel a second run."""
        from UMambaSegmentationLib.self_test import run_main_path

        run_main_path(self, UMambaSegmentationLogic())
