"""slicer.modules: real logics of slicer-core, and small recording modules where there is nothing real."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from PySide6 import QtCore

from .faults import FAULTS
from .segment_editor import SegmentEditorModule

LOGICS = {
    "colors": "vtkMRMLColorLogic",  # the Slicer one asks for files that the wheel does not have
    "terminologies": "vtkSlicerTerminologiesModuleLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "tables": "vtkSlicerTablesLogic",
}


SAMPLE_KEYS = {  # of Slicer 5.10; loadFileTypes is newer
    *("sampleName", "uris", "fileNames", "nodeNames", "checksums", "thumbnailFileName"),
    *("loadFileType", "loadFiles", "loadFileProperties", "customDownloader"),
}


class Module:
    """A loaded module: name, title, path, logic()."""

    def __init__(self, name: str, logic: Any = None, path: str = "") -> None:
        self.name = self.title = name
        self.path = path
        self._logic = logic

    def logic(self) -> Any:
        """The module's logic."""
        return self._logic

    def widgetRepresentation(self) -> Any:
        """The module's panel."""
        raise RuntimeError(f"the bench has no panel of module {self.name}")


class NoDatabase:
    """slicer.dicomDatabase of a bench without one. A test that needs one sets its own in its place."""

    def __getattr__(self, name: str) -> Any:
        FAULTS.add(f"slicer.dicomDatabase.{name} was used, and the test has given no database")
        raise RuntimeError("there is no DICOM database here")


def make(application: QtCore.QCoreApplication, terminologies: Path) -> types.ModuleType:
    """Module `slicer.modules`, each logic on the scene and on the application's logic."""
    found = types.ModuleType("slicer.modules")
    for name, class_name in LOGICS.items():
        logic = getattr(slicer, class_name)()
        if name == "terminologies":
            logic.SetModuleShareDirectory(str(terminologies))  # before the scene: it loads then
        logic.SetMRMLApplicationLogic(application.applicationLogic())
        logic.SetMRMLScene(slicer.mrmlScene)
        application.applicationLogic().SetModuleLogic(name.capitalize(), logic)
        if name == "colors":
            logic.AddDefaultColorNodes()
        setattr(found, name, Module(name.capitalize(), logic))
    found.segmenteditor = SegmentEditorModule()
    found.sampledata = Module("SampleData")
    found.sampleDataSources = {}
    return found


def give_file_cache(scene: Any, home: Path) -> None:
    """What reading a scene bundle (.mrb) asks of a scene."""
    cache = slicer.vtkCacheManager()
    folder = home / "cache"
    folder.mkdir()
    cache.SetRemoteCacheDirectory(str(folder))
    cache.SetMRMLScene(scene)
    manager = slicer.vtkDataIOManager()
    manager.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(manager)


def install() -> None:
    """Module `SampleData` and slicer.util.selectModule: both only record."""
    module = types.ModuleType("SampleData")

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(category: str = "Custom", **source: Any) -> None:
            """Keep what Slicer would show: category -> list of sources."""
            unknown = set(source) - SAMPLE_KEYS
            if unknown:
                raise TypeError(f"registerCustomSampleDataSource takes no {', '.join(sorted(unknown))}")
            slicer.modules.sampleDataSources.setdefault(category, []).append(source)

    module.SampleDataLogic = SampleDataLogic
    sys.modules["SampleData"] = module

    def select(target: Any) -> None:
        slicer.selectedModules.append(target if isinstance(target, str) else target.name)

    slicer.util.selectModule = select
