"""Slicer's application without its desktop: slicer.app, slicer.mrmlScene, slicer.modules and module `qt`.

`install()` is called once in a process, before the first import of the product.
"""

from __future__ import annotations

import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from . import environment, modules, pythonqt, scripted
from .events import forbid_pumping
from .faults import FAULTS
from .hierarchy import follow
from .loader import QUiLoader
from .widgets import STAND_INS

VERSION = (5, 10)


class ModuleManager(QtCore.QObject):
    """Slicer's qSlicerModuleManager, as far as scripted modules use it."""

    CXX_CLASS = True
    CXX_SIGNALS = {"moduleAboutToBeUnloaded(QString)": "moduleAboutToBeUnloaded"}
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def module(self, name: str) -> Any:
        """A module object by its name, or None."""
        return getattr(slicer.modules, name.lower(), None)

    def isLoaded(self, name: str) -> bool:
        """Whether the bench has the module."""
        return self.module(name) is not None


class qSlicerApplication(QtWidgets.QApplication):
    """slicer.app: a real QApplication, so that aboutToQuit, palettes, fonts and cursors are real."""

    CXX_CLASS = True
    CXX_SIGNALS = {"startupCompleted()": "startupCompleted"}
    startupCompleted = QtCore.Signal()

    def __init__(self, home: Path) -> None:
        super().__init__(["Slicer"])
        self._home = home
        self._settings = QtCore.QSettings()
        self._manager = ModuleManager(self)
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)

    majorVersion = QtCore.Property(int, lambda self: VERSION[0])
    minorVersion = QtCore.Property(int, lambda self: VERSION[1])
    temporaryPath = QtCore.Property(str, lambda self: _made(self._home / "temporary"))
    slicerHome = QtCore.Property(str, lambda self: _made(self._home / "Slicer"))
    slicerUserSettingsFilePath = QtCore.Property(str, lambda self: self._settings.fileName())

    def mrmlScene(self) -> Any:
        """The one scene."""
        return slicer.mrmlScene

    def applicationLogic(self) -> Any:
        """The logic to which the modules' logics are attached."""
        return self._logic

    def moduleManager(self) -> ModuleManager:
        """See ModuleManager."""
        return self._manager

    def settings(self) -> QtCore.QSettings:
        """The user's settings, in a temporary file; also what qt.QSettings() opens."""
        return self._settings

    userSettings = settings

    def testingEnabled(self) -> bool:
        """As under Slicer's --testing: message displays log and return at once."""
        return True

    def layoutManager(self) -> None:
        """None, as without a main window."""

    def pythonConsole(self) -> None:
        """None, as without a main window."""

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        """The variables from before Slicer's launcher; there was none here."""
        return QtCore.QProcessEnvironment.systemEnvironment()

    def coreIOManager(self) -> Any:
        """Reading and writing through Slicer's file dialogs' machinery: not in the bench."""
        FAULTS.add("slicer.app.coreIOManager() was used: pass arrays, or use storage nodes")
        raise RuntimeError("there is no IO manager here")

    ioManager = coreIOManager

    def translate(self, context: str, text: str, *_more: object) -> str:
        """English."""
        return text


def install() -> qSlicerApplication:
    """Make the application, the scene, the modules, and the importable modules `qt`, `ctk`, `slicer.*`."""
    home = Path(tempfile.mkdtemp(prefix="panel-bench-"))
    _settings_in(home)
    pythonqt.apply()
    forbid_pumping()
    slicer.mrmlScene = slicer.vtkMRMLScene()
    application = qSlicerApplication(home)
    slicer.app = application
    modules.give_file_cache(slicer.mrmlScene, home)
    slicer.modules = modules.make(application, environment.terminologies())
    slicer.dicomDatabase = modules.NoDatabase()
    slicer.selectedModules = []
    follow(slicer.mrmlScene)
    _importable("qt", pythonqt.qt_module(QUiLoader))
    _importable("ctk", types.ModuleType("ctk"))
    for name, cls in STAND_INS.items():
        setattr(sys.modules["ctk"] if name.startswith("ctk") else slicer, name, cls)
    for name in ("ctk", "qt"):
        setattr(slicer, name, sys.modules[name])
    slicer.qSlicerScriptedLoadableModuleWidget = scripted.qSlicerScriptedLoadableModuleWidget
    scripted.install()
    modules.install()
    return application


def _settings_in(home: Path) -> None:
    """Every QSettings, also one without arguments, is an ini file here: values come back as text."""
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    for scope in (QtCore.QSettings.UserScope, QtCore.QSettings.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, scope, str(home / "settings"))
    QtCore.QCoreApplication.setOrganizationName("NA-MIC")
    QtCore.QCoreApplication.setApplicationName("Slicer")


def _importable(name: str, module: types.ModuleType) -> None:
    sys.modules[name] = module


def _made(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
